"""The `sonde` command: finds the subcommand, runs it, and turns errors that a person can mend into one sentence.

Each command is a module with `configure(parser)` and `run(args) -> exit code`, loaded only when it is the one asked for, so
that `sonde --help` answers at once.
"""

from __future__ import annotations

import os
import sys
from importlib import import_module
from typing import NamedTuple

from sonde.cli.errors import CommandError, UsageError, did_you_mean


class Command(NamedTuple):
    name: str
    module: str
    summary: str


COMMANDS = (
    Command("serve", "sonde.cli.serve", "receive OTLP, store it and answer queries, in one process"),
    Command("ingest", "sonde.cli.ingest", "the receiving half alone, writing to a ClickHouse server"),
    Command("query", "sonde.cli.query", "the answering half alone, reading from a ClickHouse server"),
    Command("migrate", "sonde.cli.migrate", "create the tables, or bring them up to this version"),
    Command("run", "sonde.cli.run", "start a Python program with its telemetry switched on"),
    Command("demo", "sonde.cli.demo", "send the telemetry of an imagined shop to any OTLP endpoint"),
    Command("export", "sonde.cli.export", "write stored telemetry as OTLP, JSON or protobuf"),
    Command("import", "sonde.cli.import_otlp", "send OTLP files, JSON or protobuf, to any OTLP endpoint"),
    Command("spool", "sonde.cli.spool", "look into the spool: list, print and replay segments"),
    Command("rollup", "sonde.cli.rollup", "summaries of metrics: how far they are, and making them anew"),
    Command("doctor", "sonde.cli.doctor", "check the set-up and say what to do about each finding"),
    Command("version", "sonde.cli.version", "print the versions of sonde and of what it stands on"),
)
OVERVIEW = """\
sonde keeps logs, metrics and traces: OTLP in, ClickHouse inside.

usage: sonde COMMAND [flags]

{commands}

`sonde COMMAND --help` teaches a command; `sonde serve` needs no flags at all.
"""


def overview() -> str:
    return OVERVIEW.format(commands="\n".join(f"  {command.name:<9} {command.summary}" for command in COMMANDS))


def find(name: str) -> Command:
    for command in COMMANDS:
        if command.name == name:
            return command
    names = [command.name for command in COMMANDS]
    raise UsageError(f"there is no command {name}{did_you_mean(name, names)} The commands are {', '.join(names)}.")


def dispatch(argv: list[str]) -> int:
    if not argv or argv[0] in ("-h", "--help", "help"):
        print(overview(), end="")
        return 0 if argv else 2
    command = find("version" if argv[0] in ("-V", "--version") else argv[0])
    from sonde.cli.parser import CommandParser

    module = import_module(command.module)
    parser = CommandParser(f"sonde {command.name}", module.DESCRIPTION, module.EXAMPLES)
    module.configure(parser)
    return int(module.run(parser.parse_command(argv[1:])))


def main(argv: list[str] | None = None) -> int:
    """Runs one command. Exit codes: 0 done, 1 it failed, 2 it was asked for wrongly, 130 interrupted."""
    try:
        return dispatch(sys.argv[1:] if argv is None else argv)
    except CommandError as error:
        print(f"sonde: {error}", file=sys.stderr)
        return error.exit_code
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split(".")[0] == "sonde":
            raise
        print(f"sonde: {error.name} is not installed; this command needs: pip install 'sonde[server]'", file=sys.stderr)
        return 1
    except BrokenPipeError:  # `sonde export | head`: the reader has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        return 130
    except Exception as error:
        if not is_of_the_store(error):
            raise
        print(f"sonde: {error}", file=sys.stderr)
        return 1


def is_of_the_store(error: Exception) -> bool:
    """Whether it is a StoreError; the room of those is loaded only where one can have been raised."""
    errors = sys.modules.get("sonde.storage.errors")
    return errors is not None and isinstance(error, errors.StoreError)


if __name__ == "__main__":
    sys.exit(main())
