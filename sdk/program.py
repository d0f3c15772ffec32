"""Which program a process runs: its script, module or application, the project that it belongs to, and its name by those.

python shop/app.py           script shop/app.py
python -m shop.web           module shop.web
gunicorn -w 4 shop.wsgi:app  application shop.wsgi
"""

from __future__ import annotations

import os.path
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from sonde.sdk.surroundings import Surroundings

VALUED_FLAGS = frozenset({"-W", "-X", "--check-hash-based-pycs"})
"""Flags of the interpreter that take the next word."""
SERVERS = frozenset({"gunicorn", "uvicorn", "hypercorn", "daphne", "granian", "waitress-serve"})
"""Programs whose argument `module:name` is the application that they serve."""
APPLICATION = re.compile(r"(?P<module>[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*):[A-Za-z_][\w.()]*")
MODULE = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*")
TELLS_NOTHING = frozenset(
    {
        "__main__",
        "api",
        "app",
        "application",
        "asgi",
        "bin",
        "cli",
        "config",
        "core",
        "dist",
        "home",
        "main",
        "manage",
        "root",
        "run",
        "script",
        "scripts",
        "serve",
        "server",
        "service",
        "site",
        "src",
        "start",
        "test",
        "tests",
        "tmp",
        "usr",
        "var",
        "web",
        "work",
        "worker",
        "workspace",
        "wsgi",
    }
)
"""Names that half of all programs and folders have."""
PARENTS_LOOKED_AT = 12
ORIGIN_URL = re.compile(r"""\[remote "origin"\][^\[]*?^\s*url\s*=\s*(\S+)""", re.MULTILINE | re.DOTALL)
CREDENTIALS = re.compile(r"(?<=://)[^/@]+@")
REVISION = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")


@dataclass(frozen=True)
class Program:
    """Of `script` (a path) and `module` (dotted) one is said, or none: an interactive interpreter, or code given with -c."""

    script: str = ""
    module: str = ""

    def name(self, folder: str) -> str:
        """The best name there is: of the module or the script, else of the folder it lies in."""
        stem = os.path.splitext(os.path.basename(self.script))[0]
        for name in (*reversed(self.module.split(".")[:1]), stem):
            if name and name.lower() not in TELLS_NOTHING:
                return name
        place = os.path.basename(os.path.dirname(os.path.join(folder, self.script)) if self.script else folder)
        if place and place.lower() not in TELLS_NOTHING:
            return place
        return self.module.partition(".")[0] or stem or "python"


def program_of(command: Sequence[str]) -> Program:
    """By a command line of the interpreter's. What a server or Celery serves counts for more than those themselves."""
    started, rest = started_by(command)
    tool = started.module.partition(".")[0] or os.path.basename(started.script)
    return served_by(tool, rest) or started


def started_by(command: Sequence[str]) -> tuple[Program, Sequence[str]]:
    """The script or module of a command line of the interpreter's, and the arguments of it."""
    arguments = list(command[1:])
    while arguments and arguments[0].startswith("-") and arguments[0] not in ("-m", "-c", "-"):
        del arguments[: 2 if arguments[0] in VALUED_FLAGS else 1]
    if not arguments or arguments[0] in ("-c", "-"):
        return Program(), ()
    if arguments[0] == "-m":
        return Program(module=arguments[1] if len(arguments) > 1 else ""), arguments[2:]
    return Program(script=arguments[0]), arguments[1:]


def served_by(tool: str, rest: Sequence[str]) -> Program | None:
    """The application among the arguments of a program that runs others'."""
    if tool in SERVERS:
        for word in rest:
            if found := APPLICATION.fullmatch(word):
                return Program(module=found["module"])
    flags = {"celery": ("-A", "--app"), "flask": ("-A", "--app"), "django-admin": ("--settings",)}.get(tool, ())
    words = [part for word in rest for part in (word.split("=", 1) if word.startswith("--") else [word])]
    for before, word in pairwise(words):
        if before in flags:
            name = word.partition(":")[0]
            if name.endswith(".py") or "/" in name:
                return Program(script=name)
            if MODULE.fullmatch(name):
                return Program(module=name)
    return None


@dataclass(frozen=True)
class Project:
    """What the files around a program say: the name in pyproject.toml, the version there, and git's state."""

    name: str = ""
    version: str = ""
    revision: str = ""
    branch: str = ""
    repository: str = ""
    """The URL of `origin`, without credentials."""


def project_of(around: Surroundings, program: Program) -> Project:
    """Of the folder of the script, or else of the one the program was started in, and of those above."""
    start = os.path.dirname(os.path.join(around.folder, program.script)) if program.script else around.folder
    if any(part in start for part in ("/site-packages", "/dist-packages", "/bin")):
        start = around.folder
    name = version = ""
    for folder in upwards(start):
        if not name and (text := around.read(os.path.join(folder, "pyproject.toml"))):
            name, version = named_in(text)
        if git := git_folder(around, folder):
            revision, branch = head_of(around, git)
            url = origin_of(around, git)
            name = name or url.rstrip("/").rpartition("/")[2].removesuffix(".git") or os.path.basename(folder)
            return Project(name, version, revision, branch, url)
    return Project(name, version)


def upwards(folder: str) -> Iterator[str]:
    folder = os.path.normpath(folder)
    for _ in range(PARENTS_LOOKED_AT):
        yield folder
        if folder == os.path.dirname(folder):
            return
        folder = os.path.dirname(folder)


def named_in(pyproject: str) -> tuple[str, str]:
    """Name and version of [project], or of [tool.poetry]."""
    import tomllib

    try:
        found = tomllib.loads(pyproject)
    except tomllib.TOMLDecodeError:
        return "", ""
    for table in (found.get("project"), (found.get("tool") or {}).get("poetry")):
        if isinstance(table, dict) and table.get("name"):
            version = table.get("version")
            return str(table["name"]), version if isinstance(version, str) else ""
    return "", ""


def git_folder(around: Surroundings, folder: str) -> str:
    """Where git keeps the state of the work tree `folder`: .git itself, or where that file points in a linked work tree."""
    dot_git = os.path.join(folder, ".git")
    if around.read(os.path.join(dot_git, "HEAD")) is not None:
        return dot_git
    pointer = around.read(dot_git)
    if pointer is None or not pointer.startswith("gitdir:"):
        return ""
    return os.path.normpath(os.path.join(folder, pointer.removeprefix("gitdir:").strip()))


def common_folder(around: Surroundings, git: str) -> str:
    """The folder that linked work trees share, which holds branches and the configuration."""
    shared = around.read(os.path.join(git, "commondir"))
    return os.path.normpath(os.path.join(git, shared.strip())) if shared else git


def head_of(around: Surroundings, git: str) -> tuple[str, str]:
    """Revision and branch that are checked out; each empty where it can't be told."""
    head = (around.read(os.path.join(git, "HEAD")) or "").strip()
    if not head.startswith("ref:"):
        return (head, "") if REVISION.fullmatch(head) else ("", "")
    reference = head.removeprefix("ref:").strip()
    branch = reference.removeprefix("refs/heads/")
    common = common_folder(around, git)
    loose = (around.read(os.path.join(git, reference)) or around.read(os.path.join(common, reference)) or "").strip()
    if REVISION.fullmatch(loose):
        return loose, branch
    for line in (around.read(os.path.join(common, "packed-refs")) or "").splitlines():
        revision, _, name = line.partition(" ")
        if name == reference and REVISION.fullmatch(revision):
            return revision, branch
    return "", branch


def origin_of(around: Surroundings, git: str) -> str:
    config = around.read(os.path.join(common_folder(around, git), "config")) or ""
    found = ORIGIN_URL.search(config)
    return CREDENTIALS.sub("", found[1]) if found else ""
