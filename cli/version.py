"""`sonde version`."""

from __future__ import annotations

import argparse
import json
import platform
import sys
from importlib import metadata

DESCRIPTION = "Prints the versions of sonde and of what it stands on."
EXAMPLES = "  sonde version\n  sonde version --json"
PARTS = ("chdb", "chdb-core", "clickhouse-connect", "numba", "numpy", "grpcio", "fastapi", "opentelemetry-proto")


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="one JSON object")


def installed(name: str) -> str:
    """The installed version of distribution `name`, or "missing"."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "missing"


def versions() -> dict[str, str]:
    system = f"{platform.system()} {platform.release()} {platform.machine()}"
    return {"sonde": installed("sonde"), "python": platform.python_version(), "system": system} | {
        name: installed(name) for name in PARTS
    }


def run(args: argparse.Namespace) -> int:
    found = versions()
    if args.json:
        json.dump(found, sys.stdout)
        print()
    else:
        print("\n".join(f"{name:<20} {version}" for name, version in found.items()))
    return 0
