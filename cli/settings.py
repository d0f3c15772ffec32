"""Settings of every room, from one declaration: flags, `SONDE_*` variables, one TOML file, and the docs.

A room declares a frozen dataclass of `setting(...)` fields (see `storage/setting.py`). Here each field becomes a flag, a
variable and a TOML key of the same name; a flag wins over a variable, a variable over the file, the file over the default.
Whatever is unknown or malformed stops the start with a sentence that says what to write instead.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import tomllib
import types
import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from sonde.cli.errors import UsageError, did_you_mean
from sonde.cli.units import format_quantity, parse_quantity, unit_of
from sonde.ingest.config import IngestConfig
from sonde.query.config import QueryConfig
from sonde.storage.config import StorageConfig

CONFIGS: tuple[type[Any], ...] = (StorageConfig, IngestConfig, QueryConfig)
CONFIG_VARIABLE = "SONDE_CONFIG"
CONFIG_FILE = "sonde.toml"
TEST_PREFIX = "SONDE_TEST_"
"""Variables that the test suite reads; not settings."""
SDK_PREFIX = "SONDE_SDK_"
"""Settings of an app that is instrumented: a sonde may run beside it, in the same environment."""
WORDS = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}
Config = TypeVar("Config")


@dataclass(frozen=True, slots=True)
class Setting:
    """One declared field. `kind`: bool, int, float, str, Path or tuple (of str); `optional` where None is allowed."""

    name: str
    kind: type[Any]
    optional: bool
    default: Any
    help: str
    secret: bool
    choices: tuple[str, ...]

    @property
    def flag(self) -> str:
        return "--" + self.name.replace("_", "-")

    @property
    def variable(self) -> str:
        return "SONDE_" + self.name.upper()

    @property
    def unit(self) -> str:
        return unit_of(self.name) if self.kind in (int, float) else ""

    @property
    def metavar(self) -> str:
        """What stands for the value in `--help`."""
        if self.choices:
            return "|".join(self.choices)
        if self.kind is str and isinstance(self.default, str) and self.default.rpartition(":")[2].isdigit():
            return "HOST:PORT"
        units = {"bytes": "SIZE", "seconds": "TIME", "days": "DAYS", "ratio": "SHARE"}
        kinds = {int: "N", float: "N", Path: "PATH", tuple: "A,B,..."}
        return units.get(self.unit) or kinds.get(self.kind, "TEXT")

    def show(self, value: Any) -> str:
        """`value` as text that `read` takes back; a secret stays one."""
        if self.secret:
            return "(secret)" if value else ""
        if value is None:
            return ""
        if self.kind is bool:
            return "true" if value else "false"
        if self.kind is tuple:
            return ",".join(value)
        return format_quantity(value, self.unit) if self.kind in (int, float) else str(value)

    def read(self, text: str) -> Any:
        """The value that `text` says. ValueError says what to write instead."""
        if self.optional and not text:
            return None
        if self.kind is bool:
            if text.strip().lower() not in WORDS:
                raise ValueError("write true or false")
            return WORDS[text.strip().lower()]
        if self.kind is tuple:
            return tuple(part.strip() for part in text.split(",") if part.strip())
        if self.kind in (int, float):
            return self.whole(parse_quantity(text, self.unit))
        if self.choices and text not in self.choices:
            raise ValueError(f"write one of {', '.join(self.choices)}")
        return self.kind(text)

    def read_toml(self, value: Any) -> Any:
        """The value of a TOML key: its own type, or text as in a variable."""
        if isinstance(value, str):
            return self.read(value)
        if self.kind is tuple and isinstance(value, list) and all(isinstance(item, str) for item in value):
            return tuple(value)
        if self.kind is bool and isinstance(value, bool):
            return value
        if self.kind in (int, float) and isinstance(value, int | float) and not isinstance(value, bool):
            return self.whole(value)
        wanted = {bool: "true or false", int: "a number", float: "a number", tuple: 'a list such as ["a", "b"]'}
        raise ValueError(f"write {wanted.get(self.kind, 'text in quotes')}")

    def whole(self, number: float) -> int | float:
        if self.kind is float:
            return float(number)
        if number != int(number):
            raise ValueError(f"write a whole number{f' of {self.unit}' if self.unit else ''}")
        return int(number)


def declared(config: type[Any]) -> tuple[Setting, ...]:
    """The settings of one dataclass, in its order."""
    hints = typing.get_type_hints(config)
    return tuple(describe(item, hints[item.name]) for item in dataclasses.fields(config) if "help" in item.metadata)


def describe(item: dataclasses.Field[Any], hint: Any) -> Setting:
    optional = typing.get_origin(hint) in (types.UnionType, typing.Union)
    if optional:
        hint = next(part for part in typing.get_args(hint) if part is not type(None))
    kind = typing.get_origin(hint) or hint
    if kind not in (bool, int, float, str, Path, tuple):
        raise TypeError(f"setting {item.name}: no way to read {hint} from text")
    metadata = item.metadata
    secret, choices = metadata.get("secret", False), metadata.get("choices", ())
    return Setting(item.name, kind, optional, item.default, metadata["help"], secret, choices)


def all_settings() -> Iterator[Setting]:
    for config in CONFIGS:
        yield from declared(config)


def add_flags(parser: argparse.ArgumentParser, *configs: type[Any]) -> None:
    """One group of flags for each of `configs`, and `--config`. A flag not given leaves no attribute behind."""
    parser.add_argument(
        "--config",
        metavar="FILE",
        help=f"TOML file of settings (default: ${CONFIG_VARIABLE}, else ./{CONFIG_FILE} if there)",
    )
    for config in configs:
        group = parser.add_argument_group(title_of(config), " ".join((config.__doc__ or "").split()))
        for item in declared(config):
            add_flag(group, item)


def title_of(config: type[Any]) -> str:
    """`StorageConfig` is the group `storage`."""
    return config.__name__.removesuffix("Config").lower()


def add_flag(group: argparse._ArgumentGroup, item: Setting) -> None:
    default = item.show(item.default)
    text = f"{item.help} (default: {default})" if default else item.help
    text = text.replace("%", "%%")
    if item.kind is bool:
        group.add_argument(item.flag, action=argparse.BooleanOptionalAction, default=argparse.SUPPRESS, help=text)
    elif item.kind is tuple:
        group.add_argument(item.flag, action="append", default=argparse.SUPPRESS, help=text, metavar=item.metavar)
    else:
        group.add_argument(item.flag, default=argparse.SUPPRESS, help=text, metavar=item.metavar)


@dataclass(frozen=True, slots=True)
class Settings:
    """Values that were set, by name, each with where it came from; what is not here has its default."""

    values: Mapping[str, Any]
    origins: Mapping[str, str] = field(default_factory=dict)
    file: Path | None = None

    def build(self, config: type[Config]) -> Config:
        """The frozen dataclass with these values. What it refuses is a UsageError that names the source too."""
        names = {item.name for item in declared(config)}
        try:
            return config(**{name: value for name, value in self.values.items() if name in names})
        except ValueError as error:
            sources = [origin for name, origin in self.origins.items() if name in names and name in str(error)]
            raise UsageError(f"{error}{f' (set by {chr(32).join(sources)})' if sources else ''}") from error


def load(args: argparse.Namespace, environ: Mapping[str, str] | None = None) -> Settings:
    """All settings from the flags in `args`, the environment and the file. UsageError for anything unknown or malformed."""
    environ = os.environ if environ is None else environ
    known = {item.name: item for item in all_settings()}
    values: dict[str, Any] = {}
    origins: dict[str, str] = {}
    path = config_path(getattr(args, "config", None), environ)
    for source in (from_file(path, known), from_environment(environ, known), from_flags(args, known)):
        for name, value, origin in source:
            values[name], origins[name] = value, origin
    return Settings(values, origins, path)


def config_path(flag: str | None, environ: Mapping[str, str]) -> Path | None:
    """The file to read; None where none was named and ./sonde.toml does not exist."""
    named = flag or environ.get(CONFIG_VARIABLE)
    path = Path(named or CONFIG_FILE)
    if path.is_file():
        return path
    if named:
        source = "--config" if flag else CONFIG_VARIABLE
        raise UsageError(f"{source} names {path}, which is not a file; create it or leave {source} out")
    return None


def from_file(path: Path | None, known: Mapping[str, Setting]) -> Iterator[tuple[str, Any, str]]:
    if path is None:
        return
    try:
        keys = tomllib.loads(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageError(f"{path} can't be read as TOML: {error}") from error
    for key, value in keys.items():
        if isinstance(value, dict):
            raise UsageError(
                f"{path}: [{key}] is a table, but settings stand at the top, such as store = {StorageConfig().store!r}"
            )
        if key not in known:
            raise UsageError(f"{path}: no setting is called {key}{did_you_mean(key, list(known))}")
        yield key, checked(known[key], known[key].read_toml, value, f"{path}: {key}"), f"{path}"


def from_environment(environ: Mapping[str, str], known: Mapping[str, Setting]) -> Iterator[tuple[str, Any, str]]:
    by_variable = {item.variable: item for item in known.values()}
    for variable, text in environ.items():
        if not variable.startswith("SONDE_") or variable.startswith((TEST_PREFIX, SDK_PREFIX)):
            continue
        if variable == CONFIG_VARIABLE:
            continue
        if variable not in by_variable:
            raise UsageError(
                f"the environment has {variable}, which is no setting{did_you_mean(variable, list(by_variable))}"
            )
        item = by_variable[variable]
        yield item.name, checked(item, item.read, text, variable), variable


def from_flags(args: argparse.Namespace, known: Mapping[str, Setting]) -> Iterator[tuple[str, Any, str]]:
    for name, value in vars(args).items():
        if name not in known or value is None:
            continue
        item = known[name]
        text = ",".join(value) if isinstance(value, list) else value
        yield name, text if isinstance(text, bool) else checked(item, item.read, text, item.flag), item.flag


def checked(item: Setting, read: Any, value: Any, source: str) -> Any:
    try:
        return read(value)
    except ValueError as error:
        shown = "its value" if item.secret else repr(value)
        raise UsageError(f"{source}: {shown} is not understood: {error}") from error
