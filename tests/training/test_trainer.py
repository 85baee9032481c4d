import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from training_runs import BATCH, STEPS, assert_close, fails, options

from tqd_probe.clips.synthetic import synthetic_clip
from tqd_probe.models.load import load_model
from tqd_probe.training.checkpoint import CheckpointStore


def test_the_loop_is_plain_training(straight, pipeline, manifest):
    """Three steps of the run against a loop written out with torch alone."""
    from tqd_probe.core.rng import normal
    from tqd_probe.models.base import collate, per_clip_loss

    model = load_model(str(pipeline))
    videos = {}
    for index in range(9):
        clip = synthetic_clip(index, 8)
        from tqd_probe.clips.video import VideoClip

        source = VideoClip(f"c{index}", clip.caption, manifest.parent / f"c{index}.mp4")
        videos[f"c{index}"] = source.read(model.native), clip.caption
    rows = [
        json.loads(line) for line in (straight / "draws.jsonl").read_text().splitlines()
    ]
    steps = [
        json.loads(x) for x in (straight / "metrics.jsonl").read_text().splitlines()
    ]
    network = model.network
    decayed = [p for p in network.parameters() if p.ndim >= 2]
    others = [p for p in network.parameters() if p.ndim < 2]
    optimiser = torch.optim.AdamW(
        [
            {"params": decayed, "weight_decay": 0.01},
            {"params": others, "weight_decay": 0},
        ]
    )
    rates = [0.5e-3, 1e-3, 1e-3]
    for step in range(3):
        mine = rows[step * BATCH : (step + 1) * BATCH]
        clips = []
        for row in mine:
            video, caption = videos[row["clip"]]
            clips.append(model.encode(video, "" if row["text_dropped"] else caption))
        batch = collate(clips)
        eps = [
            normal(batch.latents.shape[1:], 0, "train-noise", r["sample"]) for r in mine
        ]
        sigma = torch.tensor([row["sigma"] for row in mine])
        loss = per_clip_loss(model, batch, torch.stack(eps), sigma)
        assert loss.tolist() == pytest.approx([r["loss"] for r in mine], rel=1e-4)
        loss.mean().backward()
        norm = torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        assert float(norm) == pytest.approx(steps[step]["grad_norm"], rel=1e-3)
        assert steps[step]["lr"] == pytest.approx(rates[step])
        for group in optimiser.param_groups:
            group["lr"] = rates[step]
        optimiser.step()
        optimiser.zero_grad()
    saved = load_file(
        straight / "checkpoints" / "step-00000003" / "parameters.safetensors"
    )
    assert_close(saved, dict(network.named_parameters()), 2e-5)


def test_what_a_run_writes(straight):
    names = {p.name for p in straight.iterdir() if not p.name.startswith(".")}
    assert names == {
        "run.json",
        "run.toml",
        "log.txt",
        "quarantine.json",
        "density.json",
        "density.png",
        "metrics.jsonl",
        "timing.jsonl",
        "draws.jsonl",
        "validation.jsonl",
        "validation_losses.jsonl",
        "validation.png",
        "checkpoints",
        "result",
    }
    last = json.loads((straight / "metrics.jsonl").read_text().splitlines()[-1])
    assert last["step"] == STEPS
    counts = np.array(list(last["density"].values()))
    assert counts.sum() == STEPS * BATCH
    row = json.loads((straight / "validation.jsonl").read_text().splitlines()[0])
    assert row["step"] == 0
    assert all(one["change"] == 0 for one in row["classes"].values())
    kept = sorted(p.name for p in (straight / "checkpoints").iterdir())
    assert kept == [f"step-0000000{n}" for n in (3, 6, 7)]


def test_a_loss_that_is_not_finite_stops_and_names_the_sample(
    pipeline, manifest, tmp_path, capsys
):
    out = tmp_path / "run"
    values = options(pipeline, manifest, out, lr=9.0, clip_norm=0, warmup=0)
    values |= {
        "steps": 60,
        "save_every": 1,
        "weight_decay": 10,
        "lr_schedule": "constant",
    }
    from tqd_probe.training import optimisation, trainer

    rate = optimisation.learning_rate
    trainer.learning_rate = lambda step, settings: 1e30 if step >= 2 else 1e-4
    try:
        fails(
            capsys, values, "step 4: ", "is not finite", "clip c", "(class ", "sigma 0."
        )
    finally:
        trainer.learning_rate = rate
    latest, skipped = CheckpointStore(out / "checkpoints", 3).latest()
    assert skipped == []
    assert latest.step == 3
