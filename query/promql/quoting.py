"""Quoted strings as PromQL has them: the literals of Go, with single quotes around more than one character besides.

A string of PromQL is bytes that need not be UTF-8 (`"\\xff"`). Here it is a str in which a byte that is no UTF-8 stands as the
lone surrogate of `surrogateescape`; `text.encode("utf-8", "surrogateescape")` gives the bytes back.
"""

from __future__ import annotations

import re

SIMPLE_ESCAPES = {
    "a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", "\\": "\\", "'": "'", '"': '"',
}  # fmt: skip
NAMED = {text: name for name, text in SIMPLE_ESCAPES.items() if name not in "'"}
DIGITS = {"x": (2, 16), "u": (4, 16), "U": (8, 16)}
"""How many digits follow, and to which base; without a letter there are three octal ones."""
MAX_RUNE = 0x10FFFF


class BadEscape(ValueError):
    """An escape sequence that is none; `str()` is Prometheus' sentence."""


def quote(text: str) -> str:
    """The double-quoted literal of a string, in ASCII and printable characters, as Go's strconv.Quote writes it."""
    return '"' + "".join(map(escaped, text)) + '"'


def escaped(character: str) -> str:
    if character in NAMED:
        return f"\\{NAMED[character]}"
    if character.isprintable():
        return character
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:
        return f"\\x{code - 0xDC00:02x}"
    if code < 0x80:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def unquote(literal: str) -> str:
    """What a whole literal stands for, quotes included. Raises `BadEscape`."""
    inner = literal[1:-1]
    if literal[0] == "`" or "\\" not in inner:
        return inner
    found = bytearray()
    at = 0
    while at < len(inner):
        if inner[at] != "\\":
            plain = inner.find("\\", at)
            plain = len(inner) if plain < 0 else plain
            found += inner[at:plain].encode()
            at = plain
            continue
        part, at = unescaped(inner, at + 1, literal[0])
        found += part
    return found.decode("utf-8", "surrogateescape")


def unescaped(text: str, at: int, quote_mark: str) -> tuple[bytes, int]:
    """The bytes of the escape sequence whose backslash is before `at`, and where it ends."""
    kind = text[at : at + 1]
    if kind in SIMPLE_ESCAPES and (kind not in "'\"" or kind == quote_mark):
        return SIMPLE_ESCAPES[kind].encode(), at + 1
    if kind in DIGITS:
        count, base = DIGITS[kind]
        at += 1
    elif kind and kind in "01234567":
        count, base = 3, 8
    else:
        raise BadEscape(f"unknown escape sequence {named(kind)}" if kind else "escape sequence not terminated")
    code = code_of(text[at : at + count], count, base)
    if kind in "uU":
        if code > MAX_RUNE or 0xD800 <= code < 0xE000:
            raise BadEscape("escape sequence is an invalid Unicode code point")
        return chr(code).encode(), at + count
    if code > 0xFF:
        raise BadEscape("escape sequence is an invalid Unicode code point")
    return bytes([code]), at + count


def code_of(digits: str, count: int, base: int) -> int:
    allowed = "01234567" if base == 8 else "0123456789abcdefABCDEF"
    for digit in digits:
        if digit not in allowed:
            raise BadEscape(f"illegal character {named(digit)} in escape sequence")
    if len(digits) < count:
        raise BadEscape("escape sequence not terminated")
    return int(digits, base)


def named(character: str) -> str:
    """U+0064 'd', as Go's %#U prints a character."""
    shown = f" '{character}'" if character.isprintable() else ""
    return f"U+{ord(character):04X}{shown}"


def rune(character: str) -> str:
    """A character in single quotes, as Go's %q prints it."""
    return "'" + ("\\'" if character == "'" else '"' if character == '"' else escaped(character)) + "'"


def is_utf8(text: str) -> bool:
    """Whether all of its bytes are: no lone surrogate stands for one that is not."""
    return not any("\ud800" <= character <= "\udfff" for character in text)


LEGACY_LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
LEGACY_METRIC = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")


def label_name(name: str) -> str:
    """A label's name as it may stand in a query: bare where that is allowed, else quoted."""
    return name if LEGACY_LABEL.fullmatch(name) else quote(name)
