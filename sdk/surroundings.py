"""What a process can see of where it runs: variables, files, its own command. All that is found out is found out from this."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

LARGEST_FILE = 256 * 1024
CONTAINER_FILES = ("/.dockerenv", "/run/.containerenv")


def read_text(path: str) -> str | None:
    """The text of a file, or None where it can't be read. Long files are cut off."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read(LARGEST_FILE)
    except (OSError, ValueError):
        return None


def distribution_version(name: str) -> str | None:
    """The version of the installed distribution `name`."""
    from importlib import metadata

    try:
        return metadata.version(name)
    except (metadata.PackageNotFoundError, ValueError):
        return None


@dataclass(frozen=True)
class Surroundings:
    """`command` is the command line as the interpreter got it (`sys.orig_argv`), `folder` where the process was started."""

    environ: Mapping[str, str] = field(default_factory=dict)
    read: Callable[[str], str | None] = read_text
    version_of: Callable[[str], str | None] = distribution_version
    command: Sequence[str] = ()
    folder: str = "/"
    executable: str = ""
    host: str = ""
    machine: str = ""
    system: str = "Linux"
    pid: int = 0
    parent_pid: int = 0


def here() -> Surroundings:
    """Those of this process."""
    system = os.uname() if hasattr(os, "uname") else None
    try:
        folder = os.getcwd()
    except OSError:  # it was deleted meanwhile
        folder = "/"
    return Surroundings(
        environ=os.environ,
        read=cache(read_text),  # several detectors ask for the same files
        command=sys.orig_argv,
        folder=folder,
        executable=sys.executable or "",
        host=system.nodename if system else platform.node(),
        machine=system.machine if system else platform.machine(),
        system=system.sysname if system else platform.system(),
        pid=os.getpid(),
        parent_pid=os.getppid(),
    )


def in_container(attributes: Mapping[str, Any]) -> bool:
    """By the resource's attributes, and by the files that container engines leave."""
    known = any(name in attributes for name in ("container.id", "k8s.pod.name"))
    return known or any(os.path.exists(path) for path in CONTAINER_FILES)


def measures_host(wanted: str | bool, attributes: Mapping[str, Any]) -> bool:
    """What the setting `host_metrics`, which is `wanted`, comes to here. As an argument it may be a bool."""
    said = str(wanted).lower()
    return sys.platform == "linux" and (said == "true" or (said == "auto" and not in_container(attributes)))
