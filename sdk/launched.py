"""What happens in a program that `sonde run` has started, before its own first line."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from itertools import pairwise

from sonde.sdk.errors import SdkError

STARTED_BY = "SONDE_SDK_RUN_PID"
"""The process that `sonde run` became: that one says what is wrapped, and not each of those that it starts."""
LEFT_ALONE = ("multiprocessing.resource_tracker", "pip", "ensurepip", "venv")
"""Modules that run beside a program, or before it."""


def launched() -> None:
    """Instruments this process. A setting that can't be right is told; the program runs without telemetry then."""
    if is_left_alone(sys.orig_argv):
        return
    try:
        from sonde.sdk.instrumenting import instrument, one_line

        started = instrument()
        if os.environ.get(STARTED_BY) == str(os.getpid()) and not started.settings.quiet:
            print(f"sonde: {one_line(started)}", file=sys.stderr)
    except SdkError as error:
        print(f"sonde: no telemetry: {error}", file=sys.stderr)
    except Exception as error:
        print(f"sonde: no telemetry: {type(error).__name__}: {error}", file=sys.stderr)


def is_left_alone(command: Sequence[str]) -> bool:
    for flag, word in pairwise(command):
        if flag == "-m":
            return word.partition(".")[0] in LEFT_ALONE
        if flag == "-c":
            return any(f"from {module} import" in word for module in LEFT_ALONE)
        if not flag.startswith("-") and flag != command[0]:
            return False
    return False
