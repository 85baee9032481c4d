"""The argument parser behind all commands: options under headings, errors of one line.

pydantic-settings turns fields into arguments and decides their types; this parser
places each under its heading and says what `tqd_probe.core.option_help` says of it.
"""

from __future__ import annotations

import argparse
import difflib
from collections.abc import Collection, Sequence
from typing import Any, NoReturn

from pydantic_settings import SettingsError

from tqd_probe.core.option_help import OptionHelp
from tqd_probe.core.version import __version__

WIDTH, INDENT = 88, 28  # columns of the help, and those before its sentences
UNBROKEN = "\xa0"  # a space at which no line ends


class OptionParser(argparse.ArgumentParser):
    """An argparse parser whose options stand under headings."""

    def __init__(
        self,
        described: Sequence[OptionHelp],
        program: str,
        description: str,
        end: str,
        config: bool = False,
        filed: Collection[str] = (),
    ) -> None:
        """Set up headings; pydantic-settings adds the options.

        Args:
            described: What is said about each option.
            program: Name of the command.
            description: Text before the options.
            end: Text after them.
            config: Whether ``--config`` is listed; it is read before.
            filed: Options that a configuration file gives.
        """
        needed = [
            each.flag if each.positional else f"{each.flag} {each.value}"
            for each in described
            if each.required
        ]
        super().__init__(
            prog=program,
            usage=" ".join(["%(prog)s", *needed, "[options]"]),
            description=description,
            epilog=end,
            formatter_class=_Columns,
            allow_abbrev=False,
            add_help=False,
        )
        self._described = {each.name: each for each in described}
        self._order = [each.name for each in described]
        self._headings = {
            heading: self.add_argument_group(heading)
            for heading in dict.fromkeys(each.heading for each in described)
        }
        self._filed = filed
        about = self.add_argument_group("help")
        if config:
            about.add_argument(
                "--config",
                metavar="FILE",
                help="take options from a TOML or YAML file, such as the run.toml of a"
                " run; what is typed goes before it",
            )
        about.add_argument("-h", "--help", action="help", help="show this and exit")
        about.add_argument(
            "--version",
            action="version",
            version=f"tqd_probe {__version__}",
            help="show the version and exit",
        )

    def add_option(self, *flags: str, **how: Any) -> None:
        """Add an option under its heading.

        Args:
            *flags: Flags that pydantic-settings chose.
            **how: What it tells argparse.
        """
        option = self._described[_name_of(how["dest"] if "dest" in how else flags[0])]
        said = option.text.replace("(default: ", f"(default:{UNBROKEN}")
        how["help"] = said.replace("%", "%%")
        # The field `from_`, whose alias is `from`, would also be `--from-`.
        kept = [flag for flag in flags if not flag.endswith("-")]
        if option.positional and option.name in self._filed:
            how["nargs"] = "?"
        action = self._headings[option.heading].add_argument(*kept, **how)
        named = option.value and not option.positional
        action.metavar = option.value if named else option.flag

    def format_help(self) -> str:
        """Return the help, options in the order in which they are described.

        Returns:
            Several lines.
        """
        for heading in self._headings.values():
            heading._group_actions.sort(
                key=lambda action: self._order.index(_name_of(action.dest))
            )
        return super().format_help().replace(UNBROKEN, " ")

    def error(self, message: str) -> NoReturn:
        """Refuse a command line; `parse` turns it into an error of one line.

        Args:
            message: What argparse found.

        Raises:
            SettingsError: Always.
        """
        before, unknown, arguments = message.partition("unrecognized arguments: ")
        if unknown and not before:
            first = arguments.split()[0].partition("=")[0]
            known = difflib.get_close_matches(first, self._option_string_actions, n=1)
            message += f"; did you mean {known[0]}?" if known else ""
        raise SettingsError(message)


def _name_of(name: str) -> str:
    """Return the option that a destination or a flag belongs to."""
    return name.lstrip("-").replace("-", "_")


class _Columns(argparse.RawDescriptionHelpFormatter):
    """A column of flags, a column of sentences."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=INDENT, width=WIDTH)

    def _format_action_invocation(self, action: argparse.Action) -> str:
        if not action.option_strings:
            return str(action.metavar)
        if isinstance(action, argparse.BooleanOptionalAction):
            return str(action.metavar)  # the flag as it is described
        names = ", ".join(action.option_strings)
        return f"{names} {action.metavar}" if action.metavar else names
