"""VideoAlign up to the call of its model: inputs, batches, what is recorded."""

import json
import math
import shutil
import sys

import pytest

from tqd_probe.core.errors import BadClip, InputError
from tqd_probe.scoring.run import score
from tqd_probe.scoring.settings import ScoreSettings
from tqd_probe.scoring.tasks import Task
from tqd_probe.scoring.videoalign import describe, model_input, result

# The interface of VideoAlign's inference.py, with the network left out: it checks what
# the real one would stop at, notes what it was given and answers from that.
INFERENCE = """
import json, os
import av, torch

class VideoVLMRewardInference:
    def __init__(self, load_from_pretrained, load_from_pretrained_step=-1,
                 device="cuda", dtype=torch.bfloat16):
        with open(os.path.join(load_from_pretrained, "model_config.json")) as handle:
            self.config = json.load(handle)
        self.log = os.path.join(load_from_pretrained, "calls.jsonl")
        assert dtype is torch.bfloat16 and device == "cpu"

    def reward(self, video_paths, prompts, fps=None, num_frames=None, max_pixels=None,
               use_norm=True):
        assert len(video_paths) == len(prompts) and fps is None and num_frames is None
        assert not torch.is_grad_enabled()
        for path in video_paths:
            assert os.path.isabs(path)
            with av.open(path) as container:
                next(container.decode(video=0))
        with open(self.log, "a") as handle:
            handle.write(json.dumps([video_paths, prompts, use_norm]) + "\\n")
        rewards = []
        for prompt in prompts:
            vq, mq, ta = len(prompt) / 10, -len(prompt) / 20, 0.5
            rewards.append({"VQ": vq, "MQ": mq, "TA": ta, "Overall": vq + mq + ta})
        return rewards
"""
CONFIG = {
    "data_config": {"fps": 2.0, "num_frames": None, "max_frame_pixels": 200704},
    "inference_config": {"VQ_mean": 3.6757, "VQ_std": 2.2476},
}


@pytest.fixture
def code(tmp_path, monkeypatch):
    folder = tmp_path / "VideoAlign"
    folder.mkdir()
    (folder / "inference.py").write_text(INFERENCE)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delitem(sys.modules, "inference", raising=False)
    yield folder
    sys.modules.pop("inference", None)


@pytest.fixture
def weights(tmp_path):
    folder = tmp_path / "VideoReward"
    folder.mkdir()
    (folder / "model_config.json").write_text(json.dumps(CONFIG))
    return folder


@pytest.fixture
def videos(folder_of_clips, tmp_path):
    return shutil.copytree(folder_of_clips, tmp_path / "videos")


def run(videos, out, **options):
    settings = ScoreSettings(
        clips=str(videos), out=out, scorer="videoalign", device="cpu", **options
    )
    return score(settings, quiet=True)


def test_paths_prompts_and_batches(videos, weights, code, tmp_path):
    (videos / "bad.mp4").write_bytes(b"no")
    (videos / "bad.txt").write_text("x")
    (videos / "c3.txt").unlink()
    summary = run(
        videos, tmp_path / "s.csv", weights=weights, videoalign_code=code, batch_size=2
    )
    calls = [json.loads(x) for x in (weights / "calls.jsonl").read_text().splitlines()]
    assert [len(paths) for paths, _, _ in calls] == [2, 2, 1]
    paths = [path for call in calls for path in call[0]]
    assert paths == [str(videos / f"c{n}.mp4") for n in (0, 1, 2, 4, 5)]
    prompts = [prompt for call in calls for prompt in call[1]]
    assert prompts[0] == (videos / "c0.txt").read_text()
    assert all(use_norm is False for _, _, use_norm in calls)
    assert (summary["clips"], summary["quarantined"]) == (5, 2)
    scoring = summary["scoring"]
    assert (scoring["scorer"], scoring["scale"]) == ("videoalign", "raw")
    assert scoring["normalisation_of_checkpoint"]["VQ_mean"] == 3.6757
    text = (tmp_path / "s.csv").read_text().splitlines()
    assert f"{-len(prompts[0]) / 20:g}" in text[1]
    assert "reward_TA" in text[1]
    quarantine = (tmp_path / "s.quarantine.csv").read_text()
    assert "c3.txt: caption: no such file" in quarantine
    # What was scored is not scored again.
    run(videos, tmp_path / "s.csv", weights=weights, videoalign_code=code)
    assert len((weights / "calls.jsonl").read_text().splitlines()) == len(calls)


def test_what_is_missing_is_named(videos, weights, code, tmp_path):
    with pytest.raises(InputError, match=r"no model_config\.json"):
        run(videos, tmp_path / "s.csv", weights=code)
    with pytest.raises(InputError, match=r"no inference\.py"):
        run(videos, tmp_path / "s.csv", weights=weights, videoalign_code=weights)
    with pytest.raises(InputError, match="clone VideoAlign"):
        run(videos, tmp_path / "s.csv", weights=weights)
    (weights / "model_config.json").write_text("[]")
    with pytest.raises(InputError, match="data_config"):
        describe(weights)


def test_inputs_of_one_clip(videos):
    task = Task(str(videos / "c0.mp4"), caption="from the table")
    assert model_input(task) == (str(videos / "c0.mp4"), "from the table")
    with pytest.raises(BadClip, match="VideoAlign reads files"):
        model_input(Task("synthetic:0", caption="x"))


def test_answers_that_are_no_scores():
    task = Task("a.mp4")
    good = {"VQ": 1.0, "MQ": 2.0, "TA": 3.0, "Overall": 6.0}
    assert result(task, good)["mq"] == 2
    assert "bad" in result(task, {**good, "MQ": math.nan})
    assert "bad" in result(task, {"VQ": 1.0})
