"""argparse, made to explain itself: nothing abbreviated, a wrong flag is answered with the nearest right one."""

from __future__ import annotations

import argparse
from typing import NoReturn

from sonde.cli.errors import UsageError, did_you_mean

PROGRAM = "program"
"""The default, and the name among the arguments, of what a command passes on to another program."""


class CommandFormatter(argparse.RawDescriptionHelpFormatter):
    """Descriptions and examples stand as they were written; flags are aligned a little wider than argparse's habit."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=34)


def join_relative_times(argv: list[str]) -> list[str]:
    """`--start -15m` as `--start=-15m`: argparse takes every word that begins with a dash for a flag."""
    joined: list[str] = []
    for word in argv:
        if joined and joined[-1].startswith("--") and word[:1] == "-" and word[1:2].isdigit():
            joined[-1] += f"={word}"
        else:
            joined.append(word)
    return joined


class CommandParser(argparse.ArgumentParser):
    """The parser of one command. Errors are `UsageError`s, so that main prints them like every other."""

    def __init__(self, prog: str, description: str, examples: str = "") -> None:
        super().__init__(
            prog=prog,
            usage=f"{prog} [flags]",
            description=description,
            epilog=f"examples:\n{examples.rstrip()}" if examples else None,
            formatter_class=CommandFormatter,
            allow_abbrev=False,
        )

    def parse_command(self, argv: list[str]) -> argparse.Namespace:
        if self.get_default(PROGRAM) is None:
            args, unknown = self.parse_known_args(join_relative_times(argv))
        else:
            argv, program = self.before_program(argv)
            args, unknown = self.parse_known_args(argv)
            setattr(args, PROGRAM, program)
        if unknown:
            flags = list(self._option_string_actions)
            word = unknown[0].partition("=")[0]
            raise UsageError(f"{self.prog} has no {word}{did_you_mean(word, flags)} See: {self.prog} --help")
        return args

    def before_program(self, argv: list[str]) -> tuple[list[str], list[str]]:
        """The flags, and the words of the program that they stand before: what comes after `--`, or from the first word on that
        is neither a flag nor its value. `-m` begins a program."""
        at = 0
        while at < len(argv):
            word = argv[at]
            if word == "--":
                return argv[:at], argv[at + 1 :]
            if not word.startswith("-") or word == "-m":
                return argv[:at], argv[at:]
            flag, equals, _ = word.partition("=")
            known = self._option_string_actions.get(flag)
            at += 2 if known is not None and known.nargs is None and not equals else 1
        return argv, []

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{self.prog}: {message}. See: {self.prog} --help")
