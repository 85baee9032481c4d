"""The runs of the tables."""

from collections import defaultdict
from pathlib import Path

import pytest


@pytest.mark.parametrize("reduced", [False, True])
def test_runs_of_the_evidence_name_samplers_that_exist(tmp_path, reduced):
    from analyses.tables.ablations import ablations_of
    from analyses.tables.compare_samplers import parser
    from analyses.tables.runs import table_runs
    from analyses.tables.samplers import carried_samplers, samplers_of, select

    manifest = tmp_path / "set.csv"
    manifest.write_text("video,caption,mq,vq,class,source\na.mp4,x,0.9,0.3,a,s\n")
    files = defaultdict(lambda: Path("x.json"))
    names = []
    for name, options, out in table_runs(tmp_path, "half", reduced):
        args = parser().parse_args([*map(str, options), "--work", str(tmp_path)])
        names.append(name)
        assert args.results == out
        samplers = {
            letter: samplers_of(letter, files) for letter in args.sets.split(",")
        }
        for place in args.measured_on.split(",")[1:]:
            for letter in {"A", "B"} & set(samplers):
                samplers[letter] += carried_samplers(letter, files, place)
        for letter in filter(None, args.ablations.split(",")):
            samplers[letter] += ablations_of(manifest, files, args.remeasure, letter)
        for part in ";".join(filter(None, (args.only, args.skip, args.few))).split(";"):
            found = [
                a for x, some in samplers.items() for a in select(some, x, part, "")
            ]
            assert len(found) > len(samplers), part  # uniform always stays
    full = ["half", "scratch", "plenty", "again", "often", "wide", "larger"]
    full += ["controls", "controls_more", "controls_large"]
    full += ["controls_cogvideox", "density_bands_cogvideox", "density"]
    full += ["density_bands", "tilted_bands", "controls_long", "controls_many"]
    assert names == (full[:2] if reduced else full)
