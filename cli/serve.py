"""`sonde serve`: the whole backend in one process."""

from __future__ import annotations

import argparse

from sonde.cli import settings
from sonde.ingest.config import IngestConfig
from sonde.query.config import QueryConfig
from sonde.storage.config import StorageConfig

DESCRIPTION = """\
Receives OTLP, stores it and answers queries, all in one process. It needs no settings: telemetry goes to
127.0.0.1:4317 (gRPC) or :4318 (HTTP), is kept under ./data, and is asked for on 127.0.0.1:8318.

Every flag below is also an environment variable (--otlp-grpc is SONDE_OTLP_GRPC) and a key of a TOML file (otlp_grpc).
A flag wins over a variable, a variable over the file, the file over the default. Times and sizes may carry units:
200ms, 14d, 64MiB."""
EXAMPLES = """\
  sonde serve
  sonde serve --store chdb:///var/lib/sonde/store --spool /var/lib/sonde/spool
  sonde serve --store http://default:secret@clickhouse:8123/ --receivers 4
  sonde serve --otlp-http 0.0.0.0:4318 --tokens shop=correct-horse      others may send, with a token
  SONDE_RETENTION_LOGS_DAYS=7 sonde serve
  sonde serve --config /etc/sonde.toml"""


def configure(parser: argparse.ArgumentParser) -> None:
    settings.add_flags(parser, StorageConfig, IngestConfig, QueryConfig)


def run(args: argparse.Namespace) -> int:
    chosen = settings.load(args)
    storage, ingest, query = (chosen.build(config) for config in settings.CONFIGS)
    from sonde.cli.server import ServerConfig, run_server  # the engine and the frameworks: not for --help

    return run_server(ServerConfig(storage, ingest, query), chosen.file)
