"""What stops a command: one sentence for the person who typed it, and the exit code."""

from __future__ import annotations


class CommandError(Exception):
    """The message says what is wrong, where, and what to do. Printed without a traceback."""

    exit_code = 1


class UsageError(CommandError):
    """The command was given something it can't take: a flag, a variable, a file's key, a path. Nothing was started."""

    exit_code = 2


def did_you_mean(word: str, known: list[str]) -> str:
    """The end of a sentence: `; did you mean X?` where something known is close to `word`, else `.`"""
    import difflib  # only when something is already wrong: it costs 10 ms of every start

    close = difflib.get_close_matches(word, known, n=1, cutoff=0.6)
    return f"; did you mean {close[0]}?" if close else "."
