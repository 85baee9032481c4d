"""Which sketch: processor time and error of four ways at equal numbers kept.

One layer's gradient is ``dW = sum_t g_t x_t^T`` (1,024 tokens). Kept are 1,024 numbers:

- kronecker: ``P dW Q^T`` with 32 x 32 random signs, never forming dW;
- rows: 32 random-sign rows ``P dW``, each count-sketched to 32 numbers, dW not formed
  (what `tqd_probe.gradients.sketch` does);
- rows_formed: the same numbers from dW, which gives the exact norm too;
- count_sketch: every entry of dW with a random sign to a random number.

Time is relative to forming dW (one of the three products of a training step). Error is
the root mean square of the cosine of two gradients whose true cosine is 0.5, at several
stable ranks.

    python -m analyses.cost.sketch_choice        # about a minute
"""

from __future__ import annotations

import json
import os
import time
from statistics import median

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import torch
from torch import Tensor

from analyses.results_file import run_script, study_parser, write_results

TOKENS, CLIPS, SIDE = 1024, 2, 32
WAYS = ("kronecker", "rows", "rows_formed", "count_sketch")


class Maps:
    """Random maps of one layer, kept between passes."""

    def __init__(self, out: int, into: int, seed: int) -> None:
        """Draw them.

        Args:
            out: Outputs of the layer.
            into: Inputs of the layer.
            seed: Seed.
        """
        generator = torch.Generator().manual_seed(seed)

        def signs(*shape: int) -> Tensor:
            bits = torch.randint(0, 2, shape, generator=generator, dtype=torch.int8)
            return bits * 2 - 1

        self.left = signs(out, SIDE).float() / SIDE**0.5
        self.right = signs(into, SIDE).float() / SIDE**0.5
        part = torch.arange(SIDE)[:, None] * SIDE
        spots = torch.randint(0, SIDE, (SIDE, into), generator=generator)
        self.row_places = (part + spots).flatten()
        self.row_signs = signs(SIDE * into)
        size = (out * into,)
        self.places = torch.randint(0, SIDE * SIDE, size, generator=generator)
        self.signs = signs(out * into)

    def rows(self, rows: Tensor) -> Tensor:
        """Count-sketch each of the rows ``[B, SIDE, into]``."""
        found = torch.zeros(len(rows), SIDE * SIDE)
        return found.index_add_(1, self.row_places, rows.flatten(1) * self.row_signs)

    def sketch(self, way: str, g: Tensor, x: Tensor) -> Tensor:
        """Sketch gradients from their factors ``[B, tokens, ...]``."""
        if way == "kronecker":
            left = torch.matmul(g, self.left)
            return torch.bmm(left.mT, torch.matmul(x, self.right)).flatten(1)
        if way == "rows":
            return self.rows(torch.bmm(torch.matmul(g, self.left).mT, x))
        whole = torch.bmm(g.mT, x)
        if way == "rows_formed":
            whole.square().sum((1, 2))
            return self.rows(torch.matmul(self.left.t(), whole))
        found = torch.zeros(len(g), SIDE * SIDE)
        return found.index_add_(1, self.places, whole.flatten(1) * self.signs)


def costs(width: int, repetitions: int) -> dict[str, float]:
    """Processor time of each way over that of forming dW, taken in turn."""
    generator = torch.Generator().manual_seed(0)
    g, x = (torch.randn(CLIPS, TOKENS, width, generator=generator) for _ in range(2))
    maps = Maps(width, width, 0)
    times: dict[str, list[float]] = {way: [] for way in ("form", *WAYS)}
    for turn in range(repetitions + 1):
        for way, values in times.items():
            began = time.process_time()
            if way == "form":
                torch.bmm(g.mT, x)
            else:
                maps.sketch(way, g, x)
            if turn:
                values.append(time.process_time() - began)
    return {
        way: median(a / b for a, b in zip(times[way], times["form"])) for way in WAYS
    }


def factors(rank: float, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Factors of two 256 x 256 gradients of cosine 0.5 and about that stable rank."""
    scale = torch.exp(-torch.arange(256) / rank) if rank < 200 else torch.ones(256)
    shape = (1, 256, 256)
    g, x = (torch.randn(shape, generator=generator) for _ in range(2))
    other = torch.randn(shape, generator=generator)
    g, other = g * scale[:, None], other * scale[:, None]
    a, b = torch.bmm(g.mT, x).flatten(), torch.bmm(other.mT, x).flatten()
    rest = b - (a @ b) / (a @ a) * a
    share = 3**0.5 * a.norm() / rest.norm()  # cosine 1/2
    mixed = g * (1 - share * (a @ b) / (a @ a)) + share * other
    return torch.cat([g, mixed]), x.expand(2, -1, -1)


def errors(rank: float, draws: int) -> dict[str, float]:
    """Root mean square error of the cosine of each way."""
    generator = torch.Generator().manual_seed(1)
    found: dict[str, list[float]] = {way: [] for way in WAYS}
    for draw in range(draws):
        g, x = factors(rank, generator)
        maps = Maps(256, 256, draw)
        for way in WAYS:
            a, b = maps.sketch(way, g, x)
            found[way].append(float(torch.cosine_similarity(a, b, dim=0)) - 0.5)
    return {w: float(torch.tensor(v).square().mean().sqrt()) for w, v in found.items()}


def main() -> None:
    """Compare time and error of the four sketches."""
    parser = study_parser(__file__, __doc__)
    args = parser.parse_args()
    torch.set_num_threads(1)
    value = {
        "cost": {str(width): costs(width, 9) for width in (384, 768, 1536)},
        "error": {str(rank): errors(rank, 100) for rank in (1, 5, 256)},
    }
    print(json.dumps(value, indent=1))
    write_results(parser, args, value)


if __name__ == "__main__":
    run_script(main)
