"""How the tree is laid out: short files, a test beside each module, plain calls."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FOLDERS = ("tqd_probe", "tests", "analyses", "figures")
LONGEST = 400

# Modules without a test file of their name, and where they are tested.
ELSEWHERE = {
    "core/version.py": "one string; test_command_line.py shows it",
    "models/pipeline_weights.py": "a part of adapters; test_lora.py, test_save.py",
    "sampling/names.py": "names alone",
    "sampling/timestep_sampler.py": "a base class; the tests of every sampler",
    "schedules/mixture_schema.py": "a part of the schema in test_band_schedule.py",
    "training/callbacks/make.py": "a list of callbacks; test_train.py",
    "training/model.py": "opens what test_training_families.py trains",
    "training/train.py": "test_trainer.py, test_resume.py and tests/test_train.py",
}


def files():
    return [p for folder in FOLDERS for p in sorted((ROOT / folder).rglob("*.py"))]


def test_no_file_is_long():
    found = {
        str(path.relative_to(ROOT)): count
        for path in files()
        if (count := len(path.read_text().splitlines())) > LONGEST
    }
    assert found == {}


def test_every_module_has_a_test_file_of_its_name():
    package = ROOT / "tqd_probe"
    missing = set()
    for path in package.rglob("*.py"):
        place = path.relative_to(package)
        if place.name.startswith("__"):
            continue
        if not (ROOT / "tests" / place.parent / f"test_{place.name}").exists():
            missing.add(str(place))
    assert sorted(missing - set(ELSEWHERE)) == []
    assert sorted(set(ELSEWHERE) - missing) == []  # the list holds no more than it must


def squeezed(tree):
    """Lines of literals that are unpacked where they could stand as they are."""
    return [
        node.lineno
        for node in ast.walk(tree)
        if isinstance(node, ast.Starred)
        and isinstance(node.value, (ast.Tuple, ast.List))
    ]


def test_no_literal_is_unpacked_on_the_spot():
    """``f(a, *(b, c), d)`` hides which argument is which; arguments have names."""
    found = {
        f"{path.relative_to(ROOT)}:{line}"
        for path in files()
        for line in squeezed(ast.parse(path.read_text()))
    }
    assert found == set()


@pytest.mark.parametrize("call", ["f(*(a, b), c)", "f(a, *[b, c])", "{*('a', 'b')}"])
def test_an_unpacked_literal_is_found(call):
    assert squeezed(ast.parse(call)) == [1]
    assert squeezed(ast.parse("f(*given, c)")) == []


def test_layout_is_not_squeezed_past_the_formatter():
    mark = "# fmt: " + "skip"
    assert [str(p) for p in files() if mark in p.read_text()] == []
