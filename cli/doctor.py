"""`sonde doctor`: is everything as it should be, and if not, what to do."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from sonde.cli import settings

if TYPE_CHECKING:
    from sonde.cli.checks import Finding

DESCRIPTION = """\
Looks at Python and the dependencies, the settings, the ports, the store with its schema and retention, the spool with its
disk space and quarantine, the ledger and the clock, and says what to do about each finding. It changes nothing. Give it
the settings that sonde runs with. Exit code 0: nothing failed; 1: something did."""
EXAMPLES = """\
  sonde doctor
  sonde doctor --config /etc/sonde.toml
  sonde doctor --json | jq '.[] | select(.level != "ok")'"""
COLORS = {"ok": "green", "warn": "yellow", "fail": "red"}


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="the findings as one JSON list")
    settings.add_flags(parser, *settings.CONFIGS)


def run(args: argparse.Namespace) -> int:
    chosen = settings.load(args)
    storage, ingest, query = (chosen.build(config) for config in settings.CONFIGS)
    from sonde.cli.checks import Level, Setup, examine

    findings = list(examine(Setup(storage, ingest, query, chosen.file)))
    if args.json:
        json.dump([asdict(finding) for finding in findings], sys.stdout, indent=2)
        print()
    else:
        show(findings)
    return 1 if any(finding.level == Level.FAIL for finding in findings) else 0


def show(findings: Sequence[Finding]) -> None:
    """A table on a terminal, plain lines elsewhere."""
    if not sys.stdout.isatty():
        for finding in findings:
            advice = f" To do: {finding.advice}" if finding.advice else ""
            print(f"{finding.level:<5} {finding.check}: {finding.what.rstrip('.')}{'.' if advice else ''}{advice}")
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table("", "check", "found", "to do", box=None, pad_edge=False)
    for finding in findings:
        level = Text(finding.level, COLORS[finding.level])
        table.add_row(level, finding.check, Text(finding.what), Text(finding.advice))
    Console().print(table)
