"""How a setting is declared: once, as a field of a frozen dataclass, with the help text its flag and its docs show."""

from __future__ import annotations

import dataclasses
from typing import Any


def setting(default: Any, help: str, *, secret: bool = False, choices: tuple[str, ...] = ()) -> Any:
    """A dataclass field that the command line, `SONDE_*` variables, the TOML file and the docs derive from.

    The field's name gives the flag (`otlp_grpc` is `--otlp-grpc`), the variable (`SONDE_OTLP_GRPC`) and the TOML key
    (`otlp_grpc`); names are unique over all rooms. Its annotation (str, int, float, bool, tuple[str, ...]) says how text is
    read, and the end of its name which units text may carry: `_bytes` (64MiB), `_seconds` (200ms, 14d), `_days` (14d,
    2w), `_ratio` (85%). `default` must be immutable. `choices` lists the only texts a str may be. A `secret` is never
    shown in `--help`, logs or errors.

    The dataclass's docstring introduces its settings in `--help` and in the docs. What a type can't say is checked in
    `__post_init__`: raise ValueError with a sentence that names the setting and says what to write instead.
    """
    metadata = {"help": help, "secret": secret, "choices": choices}
    return dataclasses.field(default=default, metadata=metadata)
