"""`sonde rollup`: the summaries of metrics that PromQL over long ranges reads."""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
import time
from itertools import chain
from typing import Any

from sonde.cli import settings
from sonde.cli.errors import CommandError, UsageError
from sonde.cli.progress import StatusLine, bar
from sonde.storage.config import StorageConfig

DESCRIPTION = """\
Looks after the summaries of metric points by five minutes and the hour. `sonde serve` makes them by itself as hours pass.

  status    how many hours are summarised, outdated (late points came) or missing, for each tenant
  rebuild   summarises hours anew, all of them or those between --from and --to

An embedded store can be open in one process only: of a running sonde `status` asks the query API, and `rebuild` has to wait
until it is stopped."""
EXAMPLES = """\
  sonde rollup status
  sonde rollup rebuild --missing                     only what is missing or outdated
  sonde rollup rebuild --tenant shop --from 2026-01-01T00:00:00Z --to 2026-02-01T00:00:00Z
  sonde rollup rebuild --store http://default:@clickhouse:8123/"""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("action", choices=("status", "rebuild"), help="what to do")
    parser.add_argument("--tenant", default="", metavar="NAME", help="whose metrics (default: everybody's)")
    parser.add_argument(
        "--from",
        default="",
        dest="after",
        metavar="TIME",
        help="rebuild: hours that ended after this time (default: all)",
    )
    parser.add_argument(
        "--to",
        default="",
        dest="before",
        metavar="TIME",
        help="rebuild: hours that ended up to this time (default: now)",
    )
    parser.add_argument("--missing", action="store_true", help="rebuild: only hours that are missing or outdated")
    parser.add_argument("--json", action="store_true", help="status: one JSON object for each tenant and kind")
    parser.add_argument(
        "--url", default="", metavar="URL", help="status: query API to ask, rather than to open the store"
    )
    settings.add_flags(parser, StorageConfig)


def run(args: argparse.Namespace) -> int:
    config = settings.load(args).build(StorageConfig)
    return status(args, config) if args.action == "status" else rebuild(args, config)


def status(args: argparse.Namespace, config: StorageConfig) -> int:
    found = asked(args) if args.url else looked_up(args, config)
    for row in found:
        print(json.dumps(row) if args.json else sentence(row))
    if not found:
        print("there are no metric points yet", file=sys.stderr)
    return 0


def looked_up(args: argparse.Namespace, config: StorageConfig) -> list[dict[str, Any]]:
    """From the store; where another process has it open, from the sonde that the settings name."""
    from sonde.cli import compose
    from sonde.query.rollups.status_api import statuses
    from sonde.storage.errors import StoreLocked

    try:
        store = compose.open_configured(config)
    except StoreLocked:
        return asked(args)
    with contextlib.closing(store):
        return [found.model_dump() for found in statuses(store.rows, args.tenant or None)]


def asked(args: argparse.Namespace) -> list[dict[str, Any]]:
    from sonde.cli.api import Api, local_api

    api = Api(args.url, args.tenant) if args.url else local_api(args.tenant)
    rows: list[dict[str, Any]] = api.json("/api/rollups")["rollups"]
    return rows


def sentence(row: dict[str, Any]) -> str:
    between = f", from {row['first']} to {row['last']}" if row["first"] else ""
    counts = f"{row['built']:,} hours built, {row['outdated']:,} outdated, {row['missing']:,} missing"
    return f"{row['tenant']}  {row['kind']}  {counts}{between}"


def rebuild(args: argparse.Namespace, config: StorageConfig) -> int:
    from sonde.cli import compose
    from sonde.query.rollups.builder import Figures, batches, build
    from sonde.query.rollups.kinds import KINDS
    from sonde.storage.errors import StoreLocked

    now_ms = round(time.time() * 1000)
    after_ms, before_ms = moment(args.after, "--from", 0), min(moment(args.before, "--to", now_ms), now_ms)
    if after_ms >= before_ms:
        raise UsageError("--from must be before --to")
    try:
        store = compose.open_configured(config)
    except StoreLocked as error:
        advice = "a running sonde summarises what is missing or outdated by itself; stop it to rebuild anything else"
        raise CommandError(f"{error} For rollups: {advice}.") from error
    done = Figures()
    with contextlib.closing(store), StatusLine() as line:
        tenant, again = args.tenant or None, not args.missing
        hours = (batches(store, kind, after_ms, before_ms, tenant=tenant, again=again) for kind in KINDS)
        waiting = list(chain.from_iterable(hours))
        for number, batch in enumerate(waiting):
            line.show(f"summarising {bar(number / len(waiting))} {done.points:,} points")
            if built := build(store, batch):
                done.add(built)
    each = done.seconds / done.points * 1e6 if done.points else 0.0
    counts = f"{done.hours:,} hours, {done.points:,} points into {done.windows:,} windows"
    print(f"{counts} in {done.seconds:.1f} s, {each:.2f} us a point", file=sys.stderr)
    return 0


def moment(text: str, flag: str, default_ms: int) -> int:
    """Milliseconds of a time as the query API reads them."""
    from sonde.query.errors import InvalidParameter
    from sonde.query.times import parse_time

    if not text:
        return default_ms
    try:
        return parse_time(text, time.time_ns(), flag) // 1_000_000
    except InvalidParameter as error:
        raise UsageError(f"{error.message}. {error.hint}") from error
