import numpy as np
import pytest

from tqd_probe.core.errors import InputError
from tqd_probe.probing.checkpoint import load_model_to_probe, model_levels
from tqd_probe.probing.settings import ProbeRunSettings


def settings(ckpt, **options):
    return ProbeRunSettings(ckpt=str(ckpt), device="cpu", **options)


def test_levels_lie_inside_the_range_of_an_expert(checkpoint):
    ckpt = checkpoint("wan_experts")
    for expert, (low, high) in {"high": (0.875, 1), "low": (0, 0.875)}.items():
        asked = settings(ckpt, expert=expert, levels="4")
        levels = model_levels(asked, load_model_to_probe(asked))
        assert levels == pytest.approx(low + (high - low) * (np.arange(4) + 0.5) / 4)


def test_levels_that_fall_on_one_timestep_are_refused(checkpoint):
    asked = settings(checkpoint("cogvideox"), levels="0.5,0.50001")
    with pytest.raises(InputError, match="two levels fall on one timestep"):
        model_levels(asked, load_model_to_probe(asked))
    apart = settings(checkpoint("cogvideox"), levels="0.5,0.6")
    assert model_levels(apart, load_model_to_probe(apart)) == pytest.approx(
        [0.5, 0.6], abs=2e-3
    )
