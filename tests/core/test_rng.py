import hashlib
import pickle

import numpy as np
import torch

from tqd_probe.core.rng import normal, stream


def test_a_name_decides_the_numbers():
    first = stream(0, "noise", "clip", 1).standard_normal(4)
    stream(0, "noise", "clip", 2).standard_normal(100)
    assert (stream(0, "noise", "clip", 1).standard_normal(4) == first).all()


def test_names_do_not_run_into_each_other():
    names = [(0, "a", "b", 1), (0, "a", "b1"), (0, "ab", 1), (1, "a", "b", 1), (0, "a")]
    values = {float(stream(*name).random()) for name in names}
    assert len(values) == len(names)


def test_known_value_so_that_versions_agree():
    assert stream(0, "noise", "clip", 0).integers(1 << 30) == 315291388


def test_normal_is_standard():
    values = normal((200, 500), 0, "test")
    assert values.dtype == torch.float32
    assert abs(float(values.mean())) < 0.015
    assert abs(float(values.std()) - 1) < 0.015
    assert np.isfinite(values.numpy()).all()


def test_a_stream_is_philox_with_the_hash_as_its_key():
    name = "\x1f".join(["7", "noise", "3"]).encode()
    key = np.frombuffer(hashlib.blake2b(name, digest_size=16).digest(), "<u8")
    expected = np.random.Generator(np.random.Philox(key=key.astype(np.uint64)))
    found = stream(7, "noise", 3)
    assert (found.random(9) == expected.random(9)).all()
    again = pickle.loads(pickle.dumps(found))
    assert again.random() == found.random()
