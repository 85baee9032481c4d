"""The figures of the README, from finished runs.

python -m tqd_probe.gradsim --ckpt tiny --out runs/tiny
python -m figures.run_figures runs/tiny tiny    # tiny_heatmap.png, _curves, _density
python -m figures.run_figures runs/mixture tiny --mixture
"""

from __future__ import annotations

import shutil
from pathlib import Path

from figures.helpers import HERE, figure_parser
from tqd_probe.plot import redraw


def main() -> None:
    """Draw a run's figures again and copy some of them."""
    parser = figure_parser(__file__, __doc__)
    parser.add_argument("run", type=Path, help="a finished run directory")
    parser.add_argument("name", help="prefix of the files")
    parser.add_argument(
        "--mixture", action="store_true", help="copy the mixture's figures instead"
    )
    args = parser.parse_args()
    paths = {path.stem: path for path in redraw(args.run)}
    plain = {"similarity_heatmap": "heatmap", "similarity_curves": "curves"}
    if "golden_density" in paths:  # where golden gradients are resolved at two levels
        plain["golden_density"] = "density"
    mixture = {
        "mixture_weights": "mixture",
        "mixture_risk": "risk",
        "cross_level_map": "cross_level",
    }
    for stem, suffix in (mixture if args.mixture else plain).items():
        out = HERE / f"{args.name}_{suffix}.png"
        shutil.copyfile(paths[stem], out)
        print(out)


if __name__ == "__main__":
    main()
