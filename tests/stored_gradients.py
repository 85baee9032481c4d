"""Known gradients of a run with two module groups, put into a store as draws."""

import numpy as np
import torch

from tqd_probe.gradients.draws import LevelDraws
from tqd_probe.gradients.layout import Layout
from tqd_probe.gradients.reduce_level import Reduction
from tqd_probe.gradients.sketch import Sketch

CLIPS, DRAWS, VERSIONS, SIZE = 4, 2, 3, 50
GROUPS = {"embedding": (0, 20), "block00.feed_forward": (20, 50)}
LAYOUT = Layout({"a": (0, 20), "b": (20, 50)}, GROUPS, {"a": (20,), "b": (5, 6)}, SIZE)
SKETCH = Sketch(LAYOUT, 4096)
UNPAIRED = 3
REDUCTION = Reduction(LAYOUT, SKETCH, [[0], [1, 2]])


def gradients(level=0):
    """Gradients [clips, draws, versions, size] of a level."""
    rng = np.random.default_rng(level)
    return rng.normal(size=(CLIPS, DRAWS, VERSIONS, SIZE)).astype(np.float32)


def fill(store, level=0, skip=()):
    """Draws of whole gradients."""
    values = gradients(level)
    for clip, draw in np.ndindex(CLIPS, DRAWS):
        if (clip, draw) not in skip:
            losses = np.full(VERSIONS, 10 * clip + draw, np.float32)
            store.put_draw(level, clip, draw, values[clip, draw], losses)


def sketched(values):
    """Sketches of gradients [B, size]."""
    return SKETCH.of_flat(torch.from_numpy(values)).numpy()


def fill_sketched(store, level=0, exact=True):
    """Draws of sketches, with exact norms or none."""
    values = gradients(level)
    for clip, draw in np.ndindex(CLIPS, DRAWS):
        one = values[clip, draw]
        norms = [(one[:, a:b].astype(float) ** 2).sum(1) for a, b in GROUPS.values()]
        norms = np.stack(norms, 1) if exact else np.full((VERSIONS, 2), np.nan)
        losses = np.zeros(VERSIONS, np.float32)
        store.put_draw(level, clip, draw, sketched(one), losses, norms)


def fill_unpaired(store, values):
    """Draws of sketched unpaired clips after the paired ones."""
    for clip, draw in np.ndindex(*values.shape[:2]):
        one = values[clip, draw][None]
        norms = [(one[:, a:b].astype(float) ** 2).sum(1) for a, b in GROUPS.values()]
        norms = np.stack(norms, 1)
        losses = np.zeros(1, np.float32)
        store.put_draw(0, CLIPS + clip, draw, sketched(one), losses, norms)


def level_draws(store, level=0, unpaired=0):
    """All draws of a level."""
    others = range(CLIPS, CLIPS + unpaired)
    return LevelDraws(store.draws, level, CLIPS, DRAWS, others)


def finish(store, level=0, unpaired=0, reduction=REDUCTION):
    """Reduce a level; returns its Gram matrices."""
    store.finish_level(level_draws(store, level, unpaired), reduction)
    return store.level(level)
