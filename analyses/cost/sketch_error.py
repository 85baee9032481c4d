"""The error of the sketch: cosines of class means against float64 truth.

Part of `probe_cost.py`. Truth is the gradient of the mean loss of each class, by plain
autograd in float64. Sketch sizes are compared on it over several random maps, with
numbers divided by a pilot's energies (the product's way) and equally; the engine, in
float32 and at the default size, is compared with it too.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import torch

from analyses.cost import models
from analyses.cost.tiny_probe import tiny_probe
from tqd_probe.gradients import sketch as sketching
from tqd_probe.gradients.capture import GradientCapture
from tqd_probe.gradients.gradient_energy import measure_energy
from tqd_probe.gradients.kept_gradients import Sketched
from tqd_probe.gradients.layout import Layout
from tqd_probe.gradients.reference import double_precision
from tqd_probe.gradients.sketch import DEFAULT_SIZE, Sketch
from tqd_probe.models.base import per_clip_loss
from tqd_probe.probing.losses import draw_batch
from tqd_probe.probing.micro_batches import Draw
from tqd_probe.probing.passes import allocate_sketch

SIZES = (1024, 4096, 16_384, DEFAULT_SIZE)
SEEDS = 8
Mean = dict[str, torch.Tensor]


def cosines(means: np.ndarray) -> np.ndarray:
    """Cosines of all pairs of rows."""
    products = means @ means.T
    return np.array(
        [
            products[i, j] / np.sqrt(products[i, i] * products[j, j])
            for i, j in combinations(range(len(means)), 2)
        ]
    )


def sketched(
    layout: Layout,
    means: torch.Tensor,
    size: int,
    seed: int,
    energy: dict[str, float] | None,
) -> np.ndarray:
    """Sketch class means under another random map."""
    before, sketching.SEED = sketching.SEED, seed
    try:
        return Sketch(layout, size, energy).of_flat(means).double().numpy()
    finally:
        sketching.SEED = before


def compare(
    layout: Layout,
    truth: list[torch.Tensor],
    engine: list[torch.Tensor],
    energy: dict[str, float],
) -> dict[str, Any]:
    """Errors by size over levels, pairs of classes and maps; and the engine's own."""
    right = np.concatenate([cosines(t.double().numpy()) for t in truth])
    found: dict[str, Any] = {"cosines": [float(right.min()), float(right.max())]}
    for way, shares in {"fitted": energy, "equal": None}.items():
        found[way] = {}
        for size in SIZES:
            errors = []
            for seed in range(SEEDS):
                wrong = [
                    cosines(sketched(layout, t, size, seed, shares)) for t in truth
                ]
                errors.append(np.concatenate(wrong) - right)
            found[way][str(size)] = float(np.sqrt(np.mean(np.square(errors))))
    own = np.concatenate([cosines(e.double().numpy()) for e in engine])
    found["engine_default"] = float(np.sqrt(np.mean((own - right) ** 2)))
    return found


def flat_gradient(
    network: torch.nn.Module, layout: Layout, loss: torch.Tensor
) -> torch.Tensor:
    """Gradient of a loss by plain autograd, in the layout's order."""
    named = dict(network.named_parameters())
    wanted = [named[name] for name in layout.parameters]
    return torch.cat([g.flatten() for g in torch.autograd.grad(loss, wanted)])


def on_tiny() -> dict[str, Any]:
    """Class means of 12 clips at three levels of the shipped checkpoint."""
    truth, engine = [], []
    with tempfile.TemporaryDirectory() as place:
        probe = tiny_probe(Path(place) / "run", num_clips=12)
        network, layout = probe.model.network, probe.layout
        names = probe.encoded.versions
        probe.sketch = allocate_sketch(probe)
        capture = GradientCapture(network, layout, Sketched(probe.sketch))
        for sigma in (0.15, 0.5, 0.85):
            total = torch.zeros(len(names), layout.size, dtype=torch.float64)
            parts = torch.zeros(len(names), probe.sketch.size)
            for clip in range(12):
                batch, eps, levels = draw_batch(probe, Draw(clip, 0), sigma, names)
                found, _ = capture.per_clip(
                    lambda b=(batch, eps, levels): per_clip_loss(probe.model, *b),
                    len(names),
                )
                parts += found / 12
            network.double()
            with double_precision():
                for clip in range(12):
                    batch, eps, levels = draw_batch(probe, Draw(clip, 0), sigma, names)
                    values = per_clip_loss(
                        probe.model,
                        type(batch)(
                            batch.latents.double(),
                            {k: v.double() for k, v in batch.conditioning.items()},
                        ),
                        eps.double(),
                        levels.double(),
                    )
                    for index in range(len(names)):
                        named = dict(network.named_parameters())
                        wanted = [named[name] for name in layout.parameters]
                        keep = index + 1 < len(names)
                        some = torch.autograd.grad(
                            values[index], wanted, retain_graph=keep
                        )
                        total[index] += torch.cat([g.flatten() for g in some]) / 12
            network.float()
            truth.append(total)
            engine.append(parts)
        probe.release()
    assert probe.sketch.energy is not None
    return compare(layout, truth, engine, probe.sketch.energy)


def on_random(width: int = 768, blocks: int = 4, clips: int = 4) -> dict[str, Any]:
    """Class means on a Wan with random weights: clean, blurred, noisy and still clips.

    Latents are smooth random fields of 16 x 4 x 8 x 8 (64 tokens); versions of a
    clip share noise and text.
    """
    network = models.wan(width, blocks)
    layout = models.layout_of(network)
    generator = torch.Generator().manual_seed(1)
    base = torch.randn(clips, 16, 4, 8, 8, generator=generator)
    base = torch.nn.functional.avg_pool3d(base, (1, 3, 3), 1, (0, 1, 1)) * 3
    blurred = torch.nn.functional.avg_pool3d(base, (1, 5, 5), 1, (0, 2, 2))
    noisy = base + torch.randn(base.shape, generator=generator)
    still = base[:, :, :1].expand_as(base)
    eps = torch.randn(base.shape, generator=generator)
    text = torch.randn(clips, 16, 512, generator=generator)

    def losses_of(latents: torch.Tensor, sigma: float) -> Callable[[], torch.Tensor]:
        x, target = (1 - sigma) * latents + sigma * eps, eps - latents

        def losses() -> torch.Tensor:
            kind = next(network.parameters()).dtype
            t = torch.full((clips,), 1000 * sigma, dtype=kind)
            out = network(x.to(kind), t, text.to(kind), return_dict=False)[0]
            return (out - target.to(kind)).square().flatten(1).mean(1)

        return losses

    pilot = [(losses_of(base, sigma), clips) for sigma in (0.2, 0.8)]
    sketch = Sketch(layout, energy=measure_energy(network, layout, pilot))
    capture = GradientCapture(network, layout, Sketched(sketch))
    truth, engine = [], []
    for sigma in (0.2, 0.8):
        rows, parts = [], []
        for latents in (base, blurred, noisy, still):
            losses = losses_of(latents, sigma)
            parts.append(capture.per_clip(losses, clips)[0].mean(0))
            network.double()
            with double_precision():
                rows.append(flat_gradient(network, layout, losses().mean()).float())
            network.float()
        truth.append(torch.stack(rows))
        engine.append(torch.stack(parts))
    energy = sketch.energy
    assert energy is not None
    return {"width": width, "blocks": blocks, **compare(layout, truth, engine, energy)}


def study() -> dict[str, Any]:
    found = {"tiny": on_tiny()}
    print("tiny", found["tiny"], flush=True)
    found["random"] = on_random()
    print("random", found["random"], flush=True)
    return {"sizes": list(SIZES), "maps": SEEDS, **found}
