"""The task that peers and we are given: the network, the clips, what is wanted."""

from __future__ import annotations

from collections.abc import Callable

import torch

from analyses.cost import models
from tqd_probe.gradients.sketch import Sketch

SIZE, WIDTH, BLOCKS, CLIPS = 4096, 384, 2, 4
Answer = tuple[torch.Tensor, torch.Tensor, torch.Tensor]


class Setting:
    """The network, the clips, and a reduction for peers that have none."""

    def __init__(self) -> None:
        """Build them."""
        self.network = models.wan(WIDTH, BLOCKS)
        self.task = models.Task(self.network, CLIPS)
        self.layout = models.layout_of(self.network)
        self.sketch = Sketch(self.layout, SIZE)

    def batch(self) -> tuple[torch.Tensor, ...]:
        """Return the clips."""
        task = self.task
        return task.x, task.t, task.text, task.target

    def reduce(self, gradients: dict[str, torch.Tensor]) -> Answer:
        """Sketch whole gradients by name; norms and products from them."""
        products = torch.zeros(CLIPS, CLIPS)
        for value in gradients.values():
            products += value.flatten(1) @ value.flatten(1).t()
        out = self.sketch.of_parts(gradients)
        return out, products.diagonal().sqrt(), products

    def one(self, values: dict[str, torch.Tensor], *clip: torch.Tensor) -> torch.Tensor:
        """Loss of one clip under given weights."""
        x, t, text, target = (part[None] for part in clip)
        out = torch.func.functional_call(
            self.network, values, (x, t, text), {"return_dict": False}
        )[0]
        return (out - target).square().mean()


def ours(setting: Setting, exact_norms: bool) -> Callable[[], Answer]:
    """Sketched capture; norms from the sketch, or exact."""
    run = setting.task.capturing(setting.task.engine(SIZE, exact_norms))

    def answer() -> Answer:
        found = run()
        products = found.gradients @ found.gradients.t()
        norms = found.norms.sum(1).sqrt() if exact_norms else products.diagonal().sqrt()
        return found.gradients, norms, products

    return answer
