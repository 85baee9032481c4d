"""What rounding the kept projections of layer inputs to bf16 does to a sketch.

python -m analyses.cost.kept_rounding

Of a projected layer's input ``Q^T x`` is kept for the backward pass, in the network's
type. Compared, on a Wan with random weights in bf16: sketches with it kept in bf16 and
in float32, and sketches of the same network in float32.
"""

from __future__ import annotations

from typing import Any

import torch

from analyses.cost import models
from analyses.cost.meta_counts import as_loaded
from analyses.results_file import run_script, study_parser
from tqd_probe.core.files import write_json
from tqd_probe.gradients import zero_leaves
from tqd_probe.gradients.capture import GradientCapture
from tqd_probe.gradients.sketch import DEFAULT_SIZE

WIDTH, BLOCKS, CLIPS = 384, 6, 3


class HalfTask(models.Task):
    """Clips given to a network in bf16."""

    def losses(self) -> torch.Tensor:
        """Return the clips' losses."""
        x, text = self.x.bfloat16(), self.text.bfloat16()
        out = self.network(x, self.t, text, return_dict=False)[0]
        return (out.float() - self.target).square().flatten(1).mean(1)


def relative(found: torch.Tensor, truth: torch.Tensor) -> float:
    """Largest relative difference of a clip's sketch."""
    return float(((found - truth).norm(dim=1) / truth.norm(dim=1)).max())


def study() -> dict[str, Any]:
    """Compare the sketches."""
    single = models.Task(models.wan(WIDTH, BLOCKS), CLIPS)
    engine = single.engine(DEFAULT_SIZE)
    half = HalfTask(as_loaded(models.wan(WIDTH, BLOCKS)), CLIPS)
    # The float32 network has the weights of the bf16 one.
    weights = {key: w.float() for key, w in half.network.state_dict().items()}
    single.network.load_state_dict(weights)
    truth = engine.capture(single.losses, CLIPS).gradients
    capture = GradientCapture(half.network, engine.layout, engine.kept)
    rounded = capture.capture(half.losses, CLIPS).gradients
    forward = zero_leaves.ProjectedLinearLeaves.forward
    product = zero_leaves.outer_products

    def wide_forward(ctx: Any, y: Any, x: Any, q: Any, one: Any, *more: Any) -> Any:
        return forward(ctx, y, x.float(), q.float(), one, *more)

    zero_leaves.ProjectedLinearLeaves.forward = staticmethod(wide_forward)  # type: ignore[method-assign]
    zero_leaves.outer_products = lambda a, b, out=None: product(  # type: ignore[assignment]
        a.float(), b.float(), out
    )
    try:
        kept = capture.capture(half.losses, CLIPS).gradients
    finally:
        zero_leaves.ProjectedLinearLeaves.forward = staticmethod(forward)  # type: ignore[method-assign]
        zero_leaves.outer_products = product
    return {
        "kept_in_bf16_over_float32": relative(rounded, kept),
        "bf16_network_over_float32": relative(kept, truth),
    }


def main() -> None:
    """Run the study and write what it found."""
    args = study_parser(__file__, __doc__).parse_args()
    found = study()
    print(found)
    write_json(args.results, found)


if __name__ == "__main__":
    run_script(main)
