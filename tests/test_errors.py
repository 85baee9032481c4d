import pytest

import tqd_probe
from tqd_probe import errors
from tqd_probe.core.errors import InputError


def test_what_a_public_function_raises_can_be_caught_by_its_public_name(tmp_path):
    assert errors.InputError is InputError
    with pytest.raises(errors.TqdError, match=r"--ckpt no-such-folder"):
        tqd_probe.probe(ckpt="no-such-folder", out=tmp_path / "run", progress=False)
