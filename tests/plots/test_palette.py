from matplotlib.colors import to_rgb

from tqd_probe.core.clip_classes import CLASSES
from tqd_probe.plots.palette import CLASS_COLOURS, COLOURS


def test_every_class_has_a_colour_of_its_own():
    assert set(CLASS_COLOURS) == set(CLASSES)
    assert len({to_rgb(colour) for colour in COLOURS.values()}) == len(COLOURS)
