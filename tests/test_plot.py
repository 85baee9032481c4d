import json
import shutil

import pytest
from probe_runs import FIGURES, copy_of, fails

from tqd_probe import plot

pytestmark = pytest.mark.rendered


def test_plot_draws_the_same_figures_again(probe_run, tmp_path, capsys):
    out = copy_of(probe_run, tmp_path)
    before = {p.name: p.read_bytes() for p in (out / "figures").iterdir()}
    shutil.rmtree(out / "figures")
    assert plot.main([str(out)]) == 0
    after = {p.name: p.read_bytes() for p in (out / "figures").iterdir()}
    assert set(after) == {f"{name}.png" for name in FIGURES}
    assert before == after
    assert len(capsys.readouterr().out.splitlines()) == len(FIGURES)


def test_plot_refuses_what_is_not_a_run(probe_run, tmp_path, capsys):
    fails(capsys, [str(tmp_path)], "holds no gradsim.json", main=plot.main)
    absent, table = tmp_path / "absent", tmp_path / "notes.txt"
    table.write_text("some text")
    fails(capsys, [str(absent)], "absent: no such folder; give", main=plot.main)
    fails(capsys, [str(table)], "notes.txt: is no folder; give", main=plot.main)
    out = copy_of(probe_run, tmp_path)
    (out / "gradsim.json").write_text('{"format": "other"}')
    fails(
        capsys, [str(out)], "gradsim.json: ", "not a tqd-gradsim file", main=plot.main
    )
    shutil.copy(probe_run / "gradsim.json", out)
    value = json.loads((out / "bands.json").read_text())
    value["model"]["fingerprint"] = "sha256:other"
    (out / "bands.json").write_text(json.dumps(value))
    fails(capsys, [str(out)], "both must be of one run", main=plot.main)
    shutil.copy(probe_run / "bands.json", out)
    value = json.loads((out / "bands.json").read_text())
    value["criterion"]["cos_min"] = 0.5
    (out / "bands.json").write_text(json.dumps(value))
    fails(capsys, [str(out)], "model, criterion, noise.levels", main=plot.main)
    shutil.copy(probe_run / "bands.json", out)
    value = json.loads((out / "bands.json").read_text())
    value["classes"]["visual_degraded"]["bands"] = [[0.9, 0.1]]
    (out / "bands.json").write_text(json.dumps(value))
    fails(capsys, [str(out)], "classes.visual_degraded.bands", main=plot.main)
