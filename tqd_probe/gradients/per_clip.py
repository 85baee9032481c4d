"""Per-clip gradients of any network, in one call."""

from __future__ import annotations

from torch import Tensor, nn

from tqd_probe.gradients.capture import GradientCapture, Losses
from tqd_probe.gradients.kept_gradients import Sketched
from tqd_probe.gradients.layout import make_layout
from tqd_probe.gradients.sketch import Sketch


def per_clip_gradients(
    network: nn.Module,
    losses: Losses,
    clips: int,
    *,
    sketch: int | None = None,
    params: str = "all",
    compile: bool = False,
) -> Tensor:
    """Return the gradient of every clip's loss, from one forward and backward pass.

    Args:
        network: Any network that treats clips independently and keeps them in front.
        losses: Runs the network and returns the clips' losses ``[clips]``.
        clips: Number of clips B.
        sketch: Numbers to keep of a gradient; inner products of sketches estimate
            those of gradients without bias. Sketches of several calls belong together:
            the map depends on names and shapes of the parameters only. None: whole
            gradients.
        params: ``all``, or a regular expression searched in parameter names.
        compile: Compile the members of the network's module lists with
            `torch.compile`. Compiled anew in every call.

    Returns:
        ``[B, size]``, float32 (float64 for a float64 network): whole gradients in the
        order of ``network.named_parameters()``, or sketches.

    Raises:
        GradientError: If a layer sees the clips other than in front, batch norm mixes
            them, or a parameter is used in a way that is not known.
        InputError: If `params` matches nothing, or `sketch` is too small.
    """
    names = [name for name, _ in network.named_parameters()]
    layout = make_layout(network, {"all": names}, params)
    kept = None if sketch is None else Sketched(Sketch(layout, sketch))
    return GradientCapture(network, layout, kept, compile).per_clip(losses, clips)[0]
