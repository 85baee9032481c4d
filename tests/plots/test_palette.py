import re
from pathlib import Path

import numpy as np
from matplotlib.colors import to_rgb

import tqd_probe
from tqd_probe.core.clip_classes import CLASSES
from tqd_probe.plots import mixture, training_figures
from tqd_probe.plots.palette import CLASS_COLOURS, COLOURS


def test_every_class_has_one_colour_in_every_figure():
    assert set(CLASS_COLOURS) == set(CLASSES)
    assert {name: COLOURS[name] for name in CLASS_COLOURS} == CLASS_COLOURS
    assert mixture.COLOURS is COLOURS
    assert training_figures.CLASS_COLOURS is CLASS_COLOURS
    colours = [np.array(to_rgb(each)) for each in COLOURS.values()]
    for index, one in enumerate(colours):
        for other in colours[:index]:
            assert np.abs(one - other).max() > 0.2


def test_importing_chooses_no_backend():
    """Figures are made without pyplot, which would keep them and choose a backend."""
    package = Path(tqd_probe.__file__).parent
    for path in package.rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"matplotlib\.use\(|import .*pyplot", text), path
