"""The page of all options is what the settings say today."""

from pathlib import Path

import tqd_probe
from tqd_probe.__main__ import COMMANDS, options_of
from tqd_probe.core.command_reference import reference_page
from tqd_probe.core.option_help import describe_options


def test_the_committed_page_is_made_from_the_settings():
    page = Path(tqd_probe.__file__).parent / "docs" / "commands.md"
    made = reference_page({name: options_of(name) for name in COMMANDS})
    assert page.read_text(encoding="utf-8") == made, "run python .ci/write_commands.py"


def test_every_option_is_a_row_of_three_cells():
    made = reference_page({name: options_of(name) for name in COMMANDS})
    rows = [line for line in made.splitlines() if line.startswith("| `--")]
    described = [each for n in COMMANDS for each in describe_options(options_of(n))]
    assert len(rows) == sum(not each.positional for each in described)
    for row in rows:
        assert row.replace("\\|", "").count("|") == 4, row
