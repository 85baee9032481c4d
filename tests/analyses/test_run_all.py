"""Studies run one after the other, resumably."""

import json

from analyses.run_all import ROOT, run, scripts_of
from analyses.steps import Step, steps


def test_steps_done_before_are_skipped_until_their_script_changes(tmp_path):
    place, count = tmp_path / "place", tmp_path / "count"
    script = place / "analyses" / "one.py"
    script.parent.mkdir(parents=True)
    made = tmp_path / "made"
    text = f"open({str(count)!r}, 'a').write('x'); open({str(made)!r}, 'w')"
    script.write_text(text)
    step = Step("one", ["-m", "analyses.one"], [made])
    for _ in range(2):
        assert run([step], place, tmp_path / "work") == 0
    assert count.read_text() == "x"
    script.write_text(text + "\n")
    assert run([step], place, tmp_path / "work") == 0
    assert count.read_text() == "xx"
    script.write_text("raise SystemExit(3)")
    assert run([step], place, tmp_path / "work") == 3
    notes = json.loads((tmp_path / "work" / "run_all.json").read_text())
    assert list(notes) == ["one"]


def test_a_step_depends_on_every_script_that_its_script_imports():
    found = scripts_of("analyses.worth.similarity_worth", ROOT)
    names = {path.relative_to(ROOT).as_posix() for path in found}
    assert names >= {
        "analyses/worth/similarity_worth.py",
        "analyses/worth/start_checkpoints.py",  # imported by it
        "analyses/tiny/step_files.py",  # imported by that
        "analyses/results_file.py",
    }
    assert "analyses/tiny/maturity.py" not in names
    assert scripts_of("tqd_probe.gradsim", ROOT) == []


def test_every_step_is_a_module_that_exists(tmp_path):
    for trained in (None, tmp_path):
        for reduced in (False, True):
            for step in steps(ROOT, tmp_path, trained, reduced):
                assert step.command[0] == "-m"
                path = ROOT.joinpath(*step.command[1].split("."))
                assert path.with_suffix(".py").is_file(), step.name
                assert step.makes
                assert all(isinstance(word, str) for word in step.command)
