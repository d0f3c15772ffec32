"""`sonde migrate`: the tables, brought up to this version."""

from __future__ import annotations

import argparse
import contextlib
import sys

from sonde.cli import settings
from sonde.storage.config import StorageConfig

DESCRIPTION = """\
Creates the tables, or brings them up to this version, and applies the declared retention. `sonde serve` does the same when
it starts; run it by itself before starting several processes on one ClickHouse server, or to see the SQL first."""
EXAMPLES = """\
  sonde migrate --dry-run                            the SQL that would run, on standard output
  sonde migrate --store http://default:@clickhouse:8123/
  sonde migrate --store http://clickhouse:8123/ --cluster main
  sonde migrate --retention-traces-days 7            keep spans for a week from now on"""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--dry-run", action="store_true", help="print the SQL that would run, and change nothing")
    settings.add_flags(parser, StorageConfig)


def run(args: argparse.Namespace) -> int:
    config = settings.load(args).build(StorageConfig)
    from sonde.cli import compose  # opens numpy, pandas and the engine: not for --help
    from sonde.storage.migrate import migrate

    with contextlib.closing(compose.open_configured(config)) as store:
        if args.dry_run:
            retention = compose.retention_of(config)
            for statement in migrate(store, retention=retention, cluster=config.cluster or None, dry_run=True):
                print(statement.rstrip().rstrip(";") + ";\n")
            return 0
        done = compose.migrate_configured(store, config, lambda line: print(line, file=sys.stderr))
    print(
        f"{len(done)} changes; the schema is current" if done else "nothing to do: the schema is current",
        file=sys.stderr,
    )
    return 0
