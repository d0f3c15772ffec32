"""`sonde ingest`: the receiving half alone."""

from __future__ import annotations

import argparse

from sonde.cli import settings
from sonde.ingest.config import IngestConfig
from sonde.storage.config import StorageConfig

DESCRIPTION = """\
Receives OTLP and stores it, and answers no queries: run `sonde query` beside it, on this or another machine. Both must
name the same ClickHouse server; an embedded store can be open in one process only."""
EXAMPLES = """\
  sonde ingest --store http://default:secret@clickhouse:8123/
  sonde ingest --store http://clickhouse:8123/ --receivers 8 --otlp-grpc 0.0.0.0:4317 --tokens-file /etc/sonde/tokens"""


def configure(parser: argparse.ArgumentParser) -> None:
    settings.add_flags(parser, StorageConfig, IngestConfig)


def run(args: argparse.Namespace) -> int:
    chosen = settings.load(args)
    storage, ingest = chosen.build(StorageConfig), chosen.build(IngestConfig)
    from sonde.cli.server import ServerConfig, run_server  # the engine and the frameworks: not for --help

    return run_server(ServerConfig(storage, ingest, None), chosen.file)
