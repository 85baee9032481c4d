"""The figures of the README, from finished runs.

python -m tqd_probe.gradsim --ckpt tiny --out runs/tiny
python figures/run_figures.py runs/tiny tiny     # figures/tiny_{heatmap,curves}.png
python figures/run_figures.py runs/mixture tiny --mixture
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

from tqd_probe.plot import redraw

HERE = Path(__file__).parent


def main() -> None:
    """Draw a run's figures again and copy some of them."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path, help="a finished run directory")
    parser.add_argument("name", help="prefix of the files")
    parser.add_argument(
        "--mixture", action="store_true", help="copy the mixture's figures instead"
    )
    args = parser.parse_args()
    paths = {path.stem: path for path in redraw(args.run)}
    plain = {"similarity_heatmap": "heatmap", "similarity_curves": "curves"}
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
