import pytest
from training_runs import options

from tqd_probe.models.load import load_model
from tqd_probe.training.callbacks import sample_videos
from tqd_probe.training.train import train


@pytest.mark.rendered("sheet")
def test_samples_come_from_the_averaged_weights(
    pipeline, manifest, tmp_path, monkeypatch
):
    """At the end they equal what the published weights generate."""
    written = {}
    monkeypatch.setattr(
        sample_videos,
        "write_video",
        lambda path, video, fps: written.update({path.parent.name: video}),
    )
    prompts = tmp_path / "prompts.txt"
    prompts.write_text("a ball rolls to the left")
    out = tmp_path / "run"
    values = options(pipeline, manifest, out, steps=2, warmup=0, lr=0.05)
    values |= {"validate_every": 0, "sample_every": 2, "sample_steps": 2}
    done = train(**values, prompts=prompts, guidance=1.0, quiet=True)
    model = load_model(str(done.weights))
    expected = model.sample(
        ["a ball rolls to the left"], seed=0, steps=2, guidance=1.0, shape=model.native
    )[0]
    assert set(written) == {"step-00000000", "step-00000002"}
    assert (written["step-00000002"] == expected).all()
    assert (written["step-00000000"] != expected).mean() > 0.1
    for step in written:
        assert (out / "samples" / step / "sheet.png").read_bytes()[:4] == b"\x89PNG"
