"""`sonde run`: starts a Python program with its telemetry switched on, without a change to it."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import quote

from sonde.cli.errors import CommandError, UsageError
from sonde.cli.parser import PROGRAM
from sonde.sdk.launched import STARTED_BY

DESCRIPTION = """\
Starts a Python program with traces, metrics and logs switched on; the program stays as it is. Libraries that it
imports are wrapped where an OpenTelemetry instrumentation for them is installed. Telemetry goes to the sonde on this
machine (127.0.0.1:4318), or to any other OTLP receiver with --endpoint. Where none answers, the program runs on.

Put `--` before the program where its own flags could be taken for those of `sonde run`. What the program starts, forks
or reloads is instrumented too. Flags set OpenTelemetry's variables for the program and win over them; docs/sdk.md has
every setting."""
EXAMPLES = """\
  sonde run python app.py
  sonde run -m shop.web --port 8000                      as python -m would
  sonde run --service shop gunicorn -w 4 shop.wsgi:app
  sonde run --endpoint http://collector:4318 --attr deployment.environment.name=staging -- celery -A shop worker
  sonde run --trace 'shop.*' pytest tests                functions of these modules are traced as well
  sonde run --explain python app.py                      what would be wrapped, what could be, where data goes"""
STARTUP = Path(__file__).parent.parent / "sdk" / "startup"
NO = {"traces": "OTEL_TRACES_EXPORTER", "metrics": "OTEL_METRICS_EXPORTER", "logs": "OTEL_LOGS_EXPORTER"}


def configure(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(**{PROGRAM: []})
    parser.add_argument("--service", metavar="NAME", help="name of the service (default: found out)")
    parser.add_argument(
        "--endpoint",
        metavar="URL",
        help="where telemetry goes (default: http://127.0.0.1:4318, or what the variables say)",
    )
    parser.add_argument(
        "--protocol", choices=("http/protobuf", "grpc"), help="(default: grpc for port 4317, else HTTP)"
    )
    parser.add_argument(
        "--trace",
        action="append",
        default=[],
        metavar="PATTERN",
        help="trace functions of modules such as shop.*; repeatable",
    )
    parser.add_argument(
        "--attr", action="append", default=[], metavar="KEY=VALUE", help="say this with all telemetry; repeatable"
    )
    parser.add_argument(
        "--leave", action="append", default=[], metavar="LIBRARY", help="leave this library alone; repeatable"
    )
    for signal in NO:
        parser.add_argument(f"--no-{signal}", action="store_true", help=f"send no {signal}")
    parser.add_argument("--quiet", action="store_true", help="say nothing at the start")
    parser.add_argument(
        "--explain",
        action="store_true",
        help="tell what would be done, and ask the endpoint; the program is not started",
    )


def run(args: argparse.Namespace) -> int:
    command = command_line(getattr(args, PROGRAM))
    if not command and not args.explain:
        raise UsageError("say what to run, such as: sonde run python app.py. See: sonde run --help")
    environ = environment(args, os.environ)
    check(environ)
    if args.explain:
        from sonde.sdk.rehearsal import rehearse

        print(rehearse(environ, command or [sys.executable]))
        return 0
    program = shutil.which(command[0])
    if program is None:
        raise CommandError(f"there is no program {command[0]} on the PATH")
    sys.stdout.flush()
    try:
        os.execve(program, command, environ)
    except OSError as error:
        raise CommandError(f"{program} can't be started: {error.strerror}") from error


def command_line(words: Sequence[str]) -> list[str]:
    """The words after the flags as a command: `-m module` and `app.py` are run by this Python."""
    if words and (words[0] == "-m" or (words[0].endswith(".py") and shutil.which(words[0]) is None)):
        return [sys.executable, *words]
    return list(words)


def environment(args: argparse.Namespace, environ: Mapping[str, str]) -> dict[str, str]:
    """The program's environment: the variables that the flags stand for, and the folder that instruments it on PYTHONPATH."""
    found = dict(environ)
    given = {
        "OTEL_SERVICE_NAME": args.service,
        "OTEL_EXPORTER_OTLP_ENDPOINT": args.endpoint,
        "OTEL_EXPORTER_OTLP_PROTOCOL": args.protocol,
        "SONDE_SDK_TRACE": ",".join(args.trace),
        "SONDE_SDK_QUIET": "true" if args.quiet else None,
        "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": ",".join(args.leave),
        "OTEL_RESOURCE_ATTRIBUTES": ",".join(
            filter(None, [environ.get("OTEL_RESOURCE_ATTRIBUTES"), *map(attribute, args.attr)])
        ),
    }
    found |= {variable: value for variable, value in given.items() if value}
    found |= {variable: "none" for signal, variable in NO.items() if getattr(args, f"no_{signal}")}
    inherited = [entry for entry in environ.get("PYTHONPATH", "").split(os.pathsep) if entry and entry != str(STARTUP)]
    found["PYTHONPATH"] = os.pathsep.join([str(STARTUP), *inherited])
    found[STARTED_BY] = str(os.getpid())
    return found


def attribute(text: str) -> str:
    """KEY=VALUE as OTEL_RESOURCE_ATTRIBUTES takes it."""
    key, equals, value = text.partition("=")
    if not key or not equals:
        raise UsageError(
            f"--attr: {text!r} is not understood: write key=value, such as deployment.environment.name=staging"
        )
    return f"{quote(key, safe='')}={quote(value, safe='')}"


def check(environ: Mapping[str, str]) -> None:
    """Whatever is wrong with the settings is said here, and not by the program that they are for."""
    from sonde.sdk.errors import SdkError
    from sonde.sdk.settings import SIGNALS, read_settings

    try:
        settings = read_settings(environ)
        for signal in SIGNALS:
            settings.url(signal)
    except SdkError as error:
        raise UsageError(str(error)) from error
