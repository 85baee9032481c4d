"""What the scripts of figures share: results read, style, colours, files written.

Every figure is drawn by ``python -m figures.NAME`` from the results of `analyses`
alone, and lies beside its script.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import seaborn as sns
from matplotlib.figure import Figure

from tqd_probe.core.files import read_json

HERE = Path(__file__).parent
ANALYSES = HERE.parent / "analyses"
# Two things compared: the colour-blind safe blue and vermilion of Okabe and Ito.
FIRST, SECOND, THIRD = "#0072B2", "#D55E00", "#009E73"
REFERENCE = {"color": "0.6", "linewidth": 0.8}  # of lines to compare with


def results_of(study: str, suffix: str = "") -> Any:
    """Read what a study found.

    Args:
        study: Folder and name of its script, such as ``tiny.maturity``.
        suffix: What the results file's name ends with beside the script's.

    Returns:
        The content of the results file.
    """
    folder, _, name = study.partition(".")
    path = ANALYSES / folder / "results" / f"{name}{suffix}.json"
    return read_json(path, f"results of python -m analyses.{study}")


def all_results_of(study: str) -> dict[str, Any]:
    """Read every results file of a study that writes one for each of its runs.

    Args:
        study: Folder and name of its script.

    Returns:
        Contents by what the file's name ends with, in order.
    """
    folder, _, name = study.partition(".")
    paths = sorted((ANALYSES / folder / "results").glob(f"{name}_*.json"))
    return {
        path.stem.removeprefix(f"{name}_"): read_json(path, f"results of {study}")
        for path in paths
    }


def parse_model(script: str, description: str | None) -> str:
    """Parse the command line of a figure drawn for `tiny` or the tiny CogVideoX.

    Args:
        script: ``__file__`` of the script.
        description: ``__doc__`` of the script.

    Returns:
        What the names of results and figure end with.
    """
    parser = figure_parser(script, description)
    parser.add_argument(
        "model", nargs="?", choices=["cogvideox"], help="of the tiny CogVideoX"
    )
    model = parser.parse_args().model
    return f"_{model}" if model else ""


def figure_parser(script: str, description: str | None) -> argparse.ArgumentParser:
    """Return the command line of a figure.

    Args:
        script: ``__file__`` of the script.
        description: ``__doc__`` of the script.

    Returns:
        The parser.
    """
    return argparse.ArgumentParser(
        prog=f"python -m figures.{Path(script).stem}",
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def set_style(font_scale: float = 0.85, style: str = "ticks") -> None:
    """Set the style of all figures.

    Args:
        font_scale: Size of the text.
        style: Of seaborn.
    """
    sns.set_theme(context="notebook", style=style, font_scale=font_scale)


def save(figure: Figure, name: str, dpi: int = 150, despine: bool = True) -> None:
    """Write a figure beside the scripts and print its path.

    Args:
        figure: The figure.
        name: Its name.
        dpi: Dots per inch.
        despine: Leave out the upper and the right axis.
    """
    if despine:
        sns.despine(figure)
    path = HERE / f"{name}.png"
    figure.savefig(path, dpi=dpi)
    print(path)
