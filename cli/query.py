"""`sonde query`: the answering half alone."""

from __future__ import annotations

import argparse

from sonde.cli import settings
from sonde.query.config import QueryConfig
from sonde.storage.config import StorageConfig

DESCRIPTION = """\
Answers queries, and receives nothing: run `sonde ingest` beside it, on this or another machine. Both must name the same
ClickHouse server; an embedded store can be open in one process only."""
EXAMPLES = """\
  sonde query --store http://default:secret@clickhouse:8123/
  sonde query --store http://clickhouse:8123/ --query 0.0.0.0:8318 --query-allowed-hosts sonde.example.org
  sonde query --store chdb:///backup/store                       a copy of an embedded store"""


def configure(parser: argparse.ArgumentParser) -> None:
    settings.add_flags(parser, StorageConfig, QueryConfig)


def run(args: argparse.Namespace) -> int:
    chosen = settings.load(args)
    storage, query = chosen.build(StorageConfig), chosen.build(QueryConfig)
    from sonde.cli.server import ServerConfig, run_server  # the engine and the frameworks: not for --help

    return run_server(ServerConfig(storage, None, query), chosen.file)
