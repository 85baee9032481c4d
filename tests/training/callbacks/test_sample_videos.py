import pytest
from training_runs import options

from tqd_probe.core.errors import InputError
from tqd_probe.models.load import load_model
from tqd_probe.training.callbacks import sample_videos
from tqd_probe.training.callbacks.sample_videos import read_prompts
from tqd_probe.training.train import train


def test_prompts_are_read_one_a_line(tmp_path):
    file = tmp_path / "prompts.txt"
    file.write_text("a cat\n\n  a dog \n")
    assert read_prompts(file) == ["a cat", "a dog"]
    file.write_text("\n")
    with pytest.raises(InputError, match="is empty"):
        read_prompts(file)
    file.write_bytes(b"\xff\xfe\xff")
    with pytest.raises(InputError, match="UTF-8"):
        read_prompts(file)


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
