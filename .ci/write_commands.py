"""Write the page of all options: python .ci/write_commands.py."""

from __future__ import annotations

from pathlib import Path

from tqd_probe.__main__ import COMMANDS, options_of
from tqd_probe.core.command_reference import reference_page

PAGE = Path(__file__).parent.parent / "tqd_probe" / "docs" / "commands.md"

if __name__ == "__main__":
    page = reference_page({name: options_of(name) for name in COMMANDS})
    PAGE.write_text(page, encoding="utf-8")
