"""The models, clips and timing that the studies of cost share.

Wan transformers with random weights in the proportions of Wan 2.1 (heads of 128,
feed-forward 35/6 of the width, 512 numbers of text per token), 1,024 video tokens and
128 text tokens per clip.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median
from typing import Any

import torch
from diffusers import WanTransformer3DModel

from tqd_probe.gradients.capture import GradientCapture
from tqd_probe.gradients.gradient_energy import measure_energy
from tqd_probe.gradients.kept_gradients import Sketched
from tqd_probe.gradients.layout import Layout, make_layout
from tqd_probe.gradients.sketch import Sketch
from tqd_probe.models.families.cogvideox import CogVideoXModel
from tqd_probe.models.families.hunyuan_video import HunyuanVideoModel
from tqd_probe.models.families.ltx import LTXModel
from tqd_probe.models.families.wan import WanModel
from tqd_probe.models.pipeline import PipelineModel

TOKENS, TEXT = 1024, 128
LATENT = (16, 4, 32, 32)
ADAPTERS: dict[str, type[PipelineModel]] = {
    "CogVideoX": CogVideoXModel,
    "HunyuanVideo": HunyuanVideoModel,
    "LTXVideo": LTXModel,
    "Wan": WanModel,
}


def wan(
    width: int, layers: int, seed: int = 0, feed: int | None = None, text: int = 512
) -> WanTransformer3DModel:
    """Build a Wan transformer with random weights."""
    torch.manual_seed(seed)
    network = WanTransformer3DModel(
        patch_size=(1, 2, 2),
        num_attention_heads=width // 128,
        attention_head_dim=128,
        in_channels=LATENT[0],
        out_channels=LATENT[0],
        text_dim=text,
        freq_dim=256,
        ffn_dim=feed or width * 35 // 6 // 64 * 64,
        num_layers=layers,
        rope_max_seq_len=256,
    ).eval()
    return network


def layout_of(network: torch.nn.Module) -> Layout:
    """Lay out all parameters in the adapter's module groups."""
    names = [name for name, _ in network.named_parameters()]
    adapter = ADAPTERS[type(network).__name__.removesuffix("Transformer3DModel")]
    return make_layout(network, adapter.grouping.groups(names))


class Task:
    """A batch of clips and the losses of a network on it."""

    def __init__(
        self,
        network: torch.nn.Module,
        clips: int,
        seed: int = 0,
        latent: tuple[int, ...] = LATENT[1:],
        text: int = 512,
    ) -> None:
        """Draw the clips.

        Args:
            network: The network.
            clips: Number of clips.
            seed: Seed of the clips.
            latent: Frames, height and width of the latents.
            text: Numbers per text token.
        """
        torch.manual_seed(seed)
        self.network, self.clips = network, clips
        self.x = torch.randn(clips, LATENT[0], *latent)
        self.t = torch.full((clips,), 500.0)
        self.text = torch.randn(clips, TEXT, text)
        self.target = torch.randn(clips, LATENT[0], *latent)

    def losses(self) -> torch.Tensor:
        """Return the clips' losses."""
        out = self.network(self.x, self.t, self.text, return_dict=False)[0]
        return (out - self.target).square().flatten(1).mean(1)

    def plain(self) -> None:
        """An ordinary batched forward and backward pass."""
        for parameter in self.network.parameters():
            parameter.requires_grad_(True)
            parameter.grad = None
        self.losses().sum().backward()

    def floor(self) -> None:
        """Forward and the backward of activations alone: no gradient of a weight."""
        for parameter in self.network.parameters():
            parameter.grad = None
            parameter.requires_grad_(False)
        self.x.requires_grad_(True)
        self.losses().sum().backward()
        self.x.requires_grad_(False)
        self.x.grad = None

    def compile(self) -> None:
        """Compile the network's blocks, as a training would."""
        blocks = self.network.blocks
        assert isinstance(blocks, torch.nn.ModuleList)
        for block in blocks:
            block.compile()

    def engine(
        self,
        size: int | None,
        exact_norms: bool = False,
        pilot: bool = True,
        compiled: bool = False,
    ) -> GradientCapture:
        """Make the capture engine; no size keeps whole gradients.

        Args:
            size: Numbers of the sketch, divided as a pilot pass on these clips finds.
            exact_norms: Form every layer's gradient.
            pilot: Let a pilot divide numbers and rows, as a probe does.
            compiled: Compile the network's blocks.

        Returns:
            The engine.
        """
        layout = layout_of(self.network)
        if size is None:
            return GradientCapture(self.network, layout)
        energy = None
        if pilot and self.x.device.type != "meta":
            energy = measure_energy(self.network, layout, [(self.losses, self.clips)])
        sketch = Sketch(layout, size, energy)
        sink = Sketched(sketch, exact_norms)
        return GradientCapture(self.network, layout, sink, compiled)

    def capturing(self, engine: GradientCapture) -> Callable[[], Any]:
        """Return a pass of an engine."""

        def run() -> Any:
            for parameter in self.network.parameters():
                parameter.grad = None
            return engine.capture(self.losses, self.clips)

        return run


def interleaved(
    modes: dict[str, Callable[[], Any]], repetitions: int, base: str = "plain"
) -> dict[str, dict[str, Any]]:
    """Time modes in turn, A B C A B C; ratios are medians over the turns.

    Each turn starts at another mode, so that none always follows the same one. Wall
    clock and processor time (all threads) are both kept: on a machine that others use
    the second varies less.
    """
    spent: dict[str, list[tuple[float, float]]] = {name: [] for name in modes}
    for action in modes.values():
        action()
    names = list(modes)
    for turn in range(repetitions):
        for place in range(len(names)):
            name = names[(turn + place) % len(names)]
            began = time.perf_counter(), time.process_time()
            modes[name]()
            ended = time.perf_counter(), time.process_time()
            spent[name].append((ended[0] - began[0], ended[1] - began[1]))
    found = {}
    for name, values in spent.items():
        wall = sorted(v[0] / b[0] for v, b in zip(values, spent[base]))
        processor = sorted(v[1] / b[1] for v, b in zip(values, spent[base]))
        found[name] = {
            "seconds": median(v[0] for v in values),
            "ratio": median(wall),
            "ratio_quartiles": [wall[len(wall) // 4], wall[-1 - len(wall) // 4]],
            "processor_ratio": median(processor),
        }
    return found
