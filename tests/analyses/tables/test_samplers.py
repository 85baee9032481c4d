"""Samplers under comparison, and how some of them are selected."""

from collections import defaultdict
from pathlib import Path


def test_samplers_are_picked_by_ends_of_names_and_uniform_stays():
    from analyses.tables.samplers import ComparedSampler, select

    samplers = [
        ComparedSampler(name, "measured")
        for name in ("uniform", "Beta, kappa_max 4", "bands")
    ]
    names = [
        sampler.name for sampler in select(samplers, "A", "", "A:kappa_max 4;B:bands")
    ]
    assert names == ["uniform", "bands"]
    assert [sampler.name for sampler in select(samplers, "C", "bands; 4", "")] == [
        sampler.name for sampler in (samplers[0], *samplers[1:])
    ]
    assert [sampler.name for sampler in select(samplers, "C", "A:bands", "")] == [
        "uniform"
    ]


def test_schedules_of_another_checkpoint_are_named_for_it():
    from analyses.tables.samplers import carried_samplers

    files = defaultdict(lambda: Path("x.json"))
    samplers = carried_samplers("B", files, "half")
    assert [sampler.name for sampler in samplers] == [
        "bands .95, of half",
        "bands .95, floor, of half",
        "gate by worth, of half",
        "mixture, joint, of half",
    ]
    assert {sampler.kind for sampler in samplers} == {"measured"}


def test_the_hand_set_tilt_gives_a_third_of_the_draws_to_the_lowest_fifth():
    import numpy as np

    from analyses.tables.samplers import density_samplers
    from tqd_probe.sampling.registry import make_sampler

    files = defaultdict(lambda: Path("x.json"))
    for letter in ("A", "C"):
        found = {each.name: each for each in density_samplers(letter, files)}
        tilt = found["shift 0.5"]
        assert tilt.kind == "hand-set"
        sampler = make_sampler("uniform", shift=tilt.options["shift"])
        assert np.isclose(sampler.base.cdf(np.array(0.2)), 1 / 3)
        assert ("shift 0.5, bands" in found) == (letter == "A")
