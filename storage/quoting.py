"""Names and values inside SQL text. Values of a query never go this way: they are server-side parameters."""

from __future__ import annotations


def identifier(name: str) -> str:
    """A name in backticks."""
    return "`" + name.replace("\\", "\\\\").replace("`", "\\`") + "`"


def literal(value: object) -> str:
    """A string literal: settings, where the engine takes no parameters."""
    return "'" + str(value).replace("\\", "\\\\").replace("'", "\\'") + "'"
