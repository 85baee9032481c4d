"""The page of all options in Markdown, from the same descriptions as `--help`."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from itertools import groupby

from tqd_probe.core.command_line import Options
from tqd_probe.core.option_help import OptionHelp, describe_options

START = """# Commands

<!-- Made by `python .ci/write_commands.py` from the settings classes. Do not edit. -->

Every command can be called in three ways, which do the same:

```bash
tqd-probe gradsim --ckpt tiny
python -m tqd_probe gradsim --ckpt tiny
python -m tqd_probe.gradsim --ckpt tiny
```

`--help` explains a command, `--version` shows the version. `--config FILE` takes
options from a TOML or YAML file, one key each (`num_clips = 24`); what is typed goes
before it. Every run writes what it was given to `run.toml`, so that `--config
DIR/run.toml` replays it. Exit codes: 0 done, 2 after an error that you can cure (one
line: place, fault, cure), 130 stopped by Ctrl-C, 143 by SIGTERM.
"""


def reference_page(commands: Mapping[str, type[Options]]) -> str:
    """Write the page of all commands.

    Args:
        commands: The options of each command, by name.

    Returns:
        Markdown.
    """
    sections = [_section(name, options) for name, options in commands.items()]
    return "\n".join([START, *sections])


def _section(name: str, options: type[Options]) -> str:
    """Describe one command: text, example, files written, a table for each heading."""
    parts = [f"## {name}", _escape(inspect.cleandoc(options.__doc__ or ""))]
    if options.example:
        parts.append(f"```bash\ntqd-probe {name} {options.example}\n```")
    if options.writes:
        files = options.writes.items()
        rows = [f"| `{file}` | {_escape(text)} |" for file, text in files]
        parts.append("\n".join(["| file written | holds |", "|---|---|", *rows]))
    for heading, group in groupby(describe_options(options), lambda each: each.heading):
        rows = [_row(option) for option in group]
        head = ["| option | what it does | default |", "|---|---|---|"]
        parts.append(f"### {name}: {heading}")
        parts.append("\n".join([*head, *rows]))
    if options.appendix:
        title, _, table = options.appendix.partition("\n")
        parts += [_escape(title), f"```text\n{table}\n```"]
    return "\n\n".join(parts) + "\n"


def _row(option: OptionHelp) -> str:
    """Write one option as a row of a table."""
    written = f"{option.flag} {option.value}".strip()
    if option.positional:
        written = option.flag
    unset = "none" if option.value else "off"
    default = "*required*" if option.required else _escape(option.default or unset)
    return f"| `{written}` | {_escape(option.sentence)} | {default} |"


def _escape(text: str) -> str:
    """Escape what Markdown would take as markup."""
    for mark in ("|", "*", "<", "_", "["):
        text = text.replace(mark, f"\\{mark}")
    return text
