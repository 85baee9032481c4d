"""Training of small complete pipelines, and back into diffusers."""

import json

import pytest
import torch
from safetensors.torch import load_file

from tqd_probe import train
from tqd_probe.clips.source import open_clips
from tqd_probe.core.rng import normal
from tqd_probe.models.base import collate, per_clip_loss
from tqd_probe.models.load import load_model
from tqd_probe.training.checkpoint import CheckpointStore

FAMILIES = ["cogvideox", "hunyuan_video", "ltx", "wan_image", "wan_image_tokens"]


def run(ckpt, clips, out, **more):
    values = {
        "ckpt": str(ckpt),
        "clips": str(clips),
        "out": out,
        "steps": 2,
        "warmup": 0,
        "batch_size": 2,
        "micro_batch": 2,
        "lr": 0.02,
        "text_dropout": 0.0,
        "device": "cpu",
        "report_to": "none",
        "record_draws": True,
        "quiet": True,
        "figures": False,
        **more,
    }
    return train(**values)


def rows_of(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def first_samples(model, folder, out, count=2):
    """The first samples of a run, encoded anew."""
    rows = rows_of(out / "draws.jsonl")[:count]
    clips = {each.id: each for each in open_clips(str(folder), None, 0).golden}
    mine = [clips[row["clip"]] for row in rows]
    batch = collate([model.encode(c.read(model.native), c.caption) for c in mine])
    noise = [
        normal(batch.latents.shape[1:], 0, "train-noise", r["sample"]) for r in rows
    ]
    return rows, batch, torch.stack(noise), torch.tensor([r["sigma"] for r in rows])


@pytest.mark.parametrize("name", FAMILIES)
def test_lora_and_full_training_of_every_family(
    checkpoint, folder_of_clips, tmp_path, name
):
    """Losses are those of the model; results load into the pipeline as trained."""
    ckpt = checkpoint(name)
    model = load_model(str(ckpt))
    for full in (False, True):
        out = tmp_path / f"full-{full}"
        done = run(ckpt, folder_of_clips, out, full=full, lora_rank=2, lora_alpha=6.0)
        rows, batch, eps, sigma = first_samples(model, folder_of_clips, out)
        with torch.no_grad():
            losses = per_clip_loss(model, batch, eps, sigma)
        # a LoRA starts as nothing, so that both begin with the checkpoint's loss
        assert losses.tolist() == pytest.approx([r["loss"] for r in rows], rel=1e-4)

        trained = load_model(str(ckpt))
        if not full:
            trained.add_lora(2, 6.0)
        latest, _ = CheckpointStore(out / "checkpoints", 3).latest()
        with torch.no_grad():
            for key, value in latest.tensors("parameters").items():
                trained.network.get_parameter(key).copy_(value)
            x_t = model.corrupt(batch.latents, eps, sigma)
            expected = trained.predict(x_t, sigma, batch.conditioning)
            before = model.predict(x_t, sigma, batch.conditioning)
            # the family's own pipeline loads what was saved
            loaded = model.pipeline_class.from_pretrained(
                done.weights if full else ckpt
            )
            if not full:
                loaded.load_lora_weights(done.weights)
            other = model.bound_to(loaded.transformer.eval())
            found = other.predict(x_t, sigma, batch.conditioning)
        assert (expected - before).abs().max() > 1e-3
        assert torch.allclose(found, expected, atol=1e-5), name


@pytest.mark.parametrize("name", ["wan_image", "wan_image_tokens"])
def test_image_to_video_is_trained_with_each_clips_own_first_frame(
    checkpoint, folder_of_clips, tmp_path, name
):
    ckpt = checkpoint(name)
    more = {"full": True, "steps": 1, "batch_size": 4, "text_dropout": 1.0}
    run(ckpt, folder_of_clips, tmp_path / "run", **more)
    model = load_model(str(ckpt))
    rows, batch, eps, sigma = first_samples(model, folder_of_clips, tmp_path / "run", 4)
    blank = model.encode_caption("")
    for key, value in blank.items():  # dropping the caption leaves the image
        batch.conditioning[key] = value.expand(4, *value.shape).contiguous()
    with torch.no_grad():
        right = per_clip_loss(model, batch, eps, sigma).tolist()
        swapped = batch.conditioning["condition"].flip(0)
        batch.conditioning["condition"] = swapped
        wrong = per_clip_loss(model, batch, eps, sigma).tolist()
    assert [r["loss"] for r in rows] == pytest.approx(right, rel=1e-4)
    assert [r["loss"] for r in rows] != pytest.approx(wrong, rel=1e-3)


def test_image_to_video_samples_start_from_clips(checkpoint, folder_of_clips, tmp_path):
    from tqd_probe.clips.shape import ClipShape
    from tqd_probe.clips.video import VideoClip
    from tqd_probe.core.errors import InputError

    ckpt = checkpoint("wan_image_tokens")
    more = {"sample_every": 1, "sample_steps": 2, "steps": 1, "full": True}
    run(ckpt, folder_of_clips, tmp_path / "run", guidance=1.0, **more)
    videos = sorted((tmp_path / "run" / "samples" / "step-00000001").glob("*.mp4"))
    assert len(videos) == 4
    found = VideoClip("s", "", videos[0]).read(ClipShape(5, 32, 32, 16))
    assert found.shape == (5, 32, 32, 3)
    (tmp_path / "prompts.txt").write_text("a cat")
    with pytest.raises(InputError, match="starts from a frame"):
        run(
            ckpt,
            folder_of_clips,
            tmp_path / "b",
            **{**more, "prompts": tmp_path / "prompts.txt"},
        )


@pytest.mark.parametrize("full", [True, False])
def test_bf16_computes_short_and_trains_in_float32(
    checkpoint, folder_of_clips, tmp_path, full
):
    losses, weights = [], []
    for dtype in ("fp32", "bf16"):
        out = tmp_path / dtype
        more = {"full": full, "steps": 3, "lr": 2e-3, "dtype": dtype}
        run(checkpoint("wan"), folder_of_clips, out, **more)
        losses.append([row["loss"] for row in rows_of(out / "metrics.jsonl")])
        latest, _ = CheckpointStore(out / "checkpoints", 3).latest()
        weights.append(load_file(latest.folder / "parameters.safetensors"))
        assert all(value.dtype == torch.float32 for value in weights[-1].values())
    assert losses[0] == pytest.approx(losses[1], rel=0.02)
    assert losses[0] != losses[1]
    # updates below the resolution of bfloat16 (2^-8) are kept
    values = torch.cat([value.flatten() for value in weights[1].values()])
    assert (values != values.bfloat16().float()).float().mean() > 0.5


@pytest.mark.parametrize("full", [True, False])
def test_gradient_checkpointing_changes_memory_alone(
    checkpoint, folder_of_clips, tmp_path, monkeypatch, full
):
    import torch.utils.checkpoint as recompute

    calls, original = [], recompute.checkpoint

    def counted(*args, **more):
        calls.append(1)
        return original(*args, **more)

    monkeypatch.setattr(recompute, "checkpoint", counted)
    found = []
    for mode in ("off", "on"):
        out = tmp_path / mode
        more = {"full": full, "checkpointing": mode}
        run(checkpoint("wan"), folder_of_clips, out, **more)
        latest, _ = CheckpointStore(out / "checkpoints", 3).latest()
        found.append(latest.tensors("parameters"))
        assert bool(calls) == (mode == "on")
    for key, value in found[0].items():
        assert abs(value - found[1][key]).max() <= 1e-6, key
