"""Training curves of the `tiny` checkpoint and its held-out loss by noise level.

python -m figures.tiny_training
"""

from __future__ import annotations

import numpy as np
import seaborn as sns
from matplotlib import pyplot as plt

from figures.helpers import figure_parser, results_of, save, set_style
from tqd_probe.plots.palette import SERIES


def main() -> None:
    """Draw the figure."""
    figure_parser(__file__, __doc__).parse_args()
    data = results_of("tiny.train")
    set_style()
    colours = sns.color_palette(SERIES)
    figure, (left, middle, right) = plt.subplots(
        1, 3, figsize=(13, 3.8), layout="constrained"
    )
    mse = np.array(data["decoder_mse_every_50_steps"])
    left.plot(50 * (np.arange(len(mse)) + 1), 10 * np.log10(4 / mse), color=colours[0])
    left.set(title="decoder", xlabel="step", ylabel="PSNR on training clips (dB)")
    loss = data["loss_every_50_steps"]
    middle.plot(
        50 * (np.arange(len(loss)) + 1),
        loss,
        color=colours[0],
        label="pool, levels as trained",
    )
    held = data["held_out"]
    steps = sorted(held, key=int)
    means = [np.mean(held[step]["model"]) for step in steps]
    middle.plot(
        [int(s) for s in steps],
        means,
        "o",
        color=colours[1],
        label="held-out golden, uniform levels",
    )
    middle.set(title="transformer", xlabel="step", ylabel="loss", ylim=(0, None))
    middle.legend()
    final = held[str(data["exported_step"])]
    names = {
        "mean": "mean of the target",
        "linear": "best multiple of the noisy latent",
        "model": "tiny",
    }
    for colour, (key, name) in zip([colours[7], colours[2], colours[1]], names.items()):
        right.plot(final["sigma"], final[key], "o-", color=colour, label=name)
    right.set(
        title="held-out golden clips",
        xlabel="noise level σ",
        ylabel="loss",
        ylim=(0, 2.7),
        xlim=(0, 1),
    )
    right.legend(fontsize=8, loc="upper right")
    save(figure, "tiny_training", dpi=130)


if __name__ == "__main__":
    main()
