"""Cheaper probes: what they take, and how their decisions are compared."""

import pytest

from tqd_probe.clips.shape import ClipShape


@pytest.mark.parametrize(("blocks", "first"), [(5, 3), (4, 3), (30, 20), (1, 0)])
def test_the_last_third_of_the_blocks(blocks, first):
    from analyses.worth.cheaper_probes import last_blocks

    names = [f"blocks.{n}.attn1.to_out.0.weight" for n in range(blocks)]
    names += ["patch_embedding.weight", "proj_out.bias"]
    assert last_blocks(names) == names[first:blocks]


def test_shapes_of_cheaper_probes():
    from analyses.worth.cheaper_probes import PROBES, shape_of

    native = ClipShape(frames=17, height=64, width=96, fps=16)
    shapes = [shape_of(probe, native) for probe in PROBES]
    assert shapes[0] == shapes[1] == native
    assert shapes[2] == ClipShape(frames=9, height=64, width=96, fps=16)
    assert shapes[3] == ClipShape(frames=17, height=32, width=48, fps=16)


def test_decisions_are_compared_pair_by_pair():
    from analyses.worth.cheaper_probes import compare
    from analyses.worth.judge_predictors import BASE

    def pairs(*uses):
        shares = [0.9] * 30 + [0.2] * 9 + [-0.5]
        return [{"share": s, "admitted": {BASE: u}} for s, u in zip(shares, uses)]

    whole = pairs(*[True] * 30, *[False] * 10)
    alike = compare(whole, pairs(*[True] * 28, *[False] * 12))
    assert (alike["share_alike"], alike["refused_by_it_alone"]) == (0.95, 2)
    assert alike["recommended"] is True
    fewer = compare(whole, pairs(*[True] * 27, *[False] * 13))
    assert fewer["recommended"] is False
    worse = compare(whole, pairs(*[True] * 30, *[False] * 9, True))
    assert (worse["alike"], worse["harmful_by_it_alone"]) == (39, 1)
    assert worse["harmful"] == 1
    assert worse["recommended"] is False
    assert (worse["admitted"], worse["good"]) == (31, 30)
