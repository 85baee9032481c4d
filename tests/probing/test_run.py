"""Which checks refuse a run, and that a refused run leaves nothing behind."""

import pytest

from tqd_probe.core.errors import ConfigurationChanged, GradientError, InputError
from tqd_probe.probing import run
from tqd_probe.probing.run import run_probe
from tqd_probe.probing.settings import ProbeRunSettings


def small(pipeline, out, **more):
    options = {
        "num_clips": 5,
        "least_clips": 4,
        "levels": "0.5",
        "draws": 1,
        "degradations": "blur:4",
    }
    return ProbeRunSettings(ckpt=str(pipeline), out=out, **{**options, **more})


def test_a_refused_run_claims_nothing(pipeline, tmp_path, monkeypatch):
    out = tmp_path / "run"
    pool = {"criterion": "mixture", "pool": "golden=5"}
    with pytest.raises(InputError, match="--pool: visual_degraded is missing"):
        run_probe(small(pipeline, out, **pool), progress=False)
    assert not out.exists()

    def disagree(workspace):
        raise GradientError("--self-check: they disagree")

    monkeypatch.setattr(run, "self_check", disagree)
    with pytest.raises(GradientError, match="disagree"):
        run_probe(small(pipeline, out, self_check=True), progress=False)
    assert not out.exists()


def test_other_settings_are_refused_before_the_checkpoint_is_opened(
    probe_run, monkeypatch
):
    def opened(*rest):
        raise AssertionError("the checkpoint was opened")

    monkeypatch.setattr("tqd_probe.probing.prepare.load_model_to_probe", opened)
    with pytest.raises(ConfigurationChanged, match="--draws was 2, now 1"):
        run_probe(ProbeRunSettings(ckpt="other", draws=1, num_clips=8, out=probe_run))


def test_the_log_tells_how_a_run_ended(pipeline, tmp_path, monkeypatch):
    def fails(workspace, progress):
        raise GradientError("a gradient is\nnot finite")

    monkeypatch.setattr(run, "capture_all", fails)
    with pytest.raises(GradientError):
        run_probe(small(pipeline, tmp_path / "run"), progress=False)
    log = (tmp_path / "run" / "log.txt").read_text()
    assert "ERROR ended early: a gradient is not finite" in log
