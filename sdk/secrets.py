"""What looks like a secret, in command lines, in messages and in source code, is blotted out.

By names (`password = "..."`), by URLs with credentials, and by the shapes that well-known tokens have. More is blotted out than
would have to be: what is missing from a line can be looked up in the source, what was sent can't be taken back.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

BLOTTED_OUT = "***"
SECRET_WORD = re.compile(r"(?i)pass|secret|token|key|credential|auth|dsn|cookie|session")
"""In names of flags."""
URL_CREDENTIALS = re.compile(r"(?<=://)[^/@\s'\"]*@")
NAME = (
    r"pass(?:word|wd|phrase|code)|pwd|secret|token|credential|cookie|dsn|bearer|auth(?!ors?\b|ored)|session_?(?:id|key)|signature"
    r"|(?:api|access|private|account|service|sign\w{0,9}|encrypt\w{0,9}|hmac)[ _-]?key|_key\b|\bkey\b(?=['\"]?\s*[=:])"
)
"""No part of it is of any length: a hostile text would be gone through from each of its characters."""
SECRET_NAME = re.compile(rf"(?i){NAME}")
"""In messages and in source."""
NAMED_VALUE = re.compile(
    rf"""(?i)((?:{NAME})\w{{0,40}}['"]?\s{{0,9}}[=:]\s{{0,9}}(?:bearer\s+|basic\s+)?)("[^"]*"|'[^']*'|[^\s,;)}}\]]{{3,}})"""
)
KNOWN_TOKEN = re.compile(
    r"\b(?:[spr]k_(?:live|test)_\w+|gh[pousr]_\w{20,}|github_pat_\w+|glpat-[\w-]{20,}|xox[a-z]-[\w-]{10,}|AKIA[0-9A-Z]{12,}"
    r"|AIza[\w-]{30,}|eyJ[\w-]{10,}\.[\w-]+\.?[\w-]*|sk-[\w-]{20,})"
)
BLOB = re.compile(
    r"(?<![\w/.-])(?=[A-Za-z0-9][A-Za-z0-9+/-]*)(?=[0-9+/-]*[A-Za-z])(?=(?:[A-Za-z+/-]*\d){3})[A-Za-z0-9+/-]{24,}={0,2}"
)
"""Letters and digits that are no words: keys in base64 or hexadecimal digits."""
LITERAL = re.compile(r'''("""|\'\'\'|"|\')(?:\\.|(?!\1).)*(?:\1|$)|\b\d[\d_.]{2,}\b''')
"""A string, or what of it stands on its line, or a number."""
LONGEST_LINE = 500
"""Characters of a line that are looked at, and kept."""
OPEN = ("(", "[", "{", "=", "\\", ",")
"""How a line ends that goes on."""
TRIPLE = re.compile(r'"""|\'\'\'')
PEM_BEGINS, PEM_ENDS = "-----BEGIN ", "-----END "


def in_text(text: str) -> str:
    """A message without what looks like a secret."""
    text = URL_CREDENTIALS.sub(f"{BLOTTED_OUT}@", text)
    return KNOWN_TOKEN.sub(BLOTTED_OUT, NAMED_VALUE.sub(rf"\1{BLOTTED_OUT}", text))


def in_source(lines: Iterable[str]) -> Iterator[str]:
    """Consecutive lines of Python without what looks like a secret, such as all literals of a statement that names one."""
    goes_on = in_string = in_pem = False
    for line in lines:
        begins = PEM_BEGINS in line
        if in_pem or begins:
            in_pem = PEM_ENDS not in line
            yield line[: line.index(PEM_BEGINS)] + BLOTTED_OUT if begins else BLOTTED_OUT
            continue
        if in_string:
            in_string = not TRIPLE.search(line)
            yield BLOTTED_OUT
            continue
        named = goes_on or SECRET_NAME.search(line) is not None
        in_string = named and len(TRIPLE.findall(line)) % 2 == 1
        goes_on = named and line.partition("#")[0].rstrip().endswith(OPEN)
        yield blotted(line, named)


def blotted(line: str, named: bool) -> str:
    line = URL_CREDENTIALS.sub(f"{BLOTTED_OUT}@", line[:LONGEST_LINE])
    if named:
        code, comment, _ = LITERAL.sub(without_value, line).partition("#")
        line = f"{code}# {BLOTTED_OUT}" if comment else code
    return BLOB.sub(BLOTTED_OUT, KNOWN_TOKEN.sub(BLOTTED_OUT, line))


def without_value(literal: re.Match[str]) -> str:
    """Keys of dicts and subscripts are names: they are kept."""
    if literal[1] is None:
        return BLOTTED_OUT
    before, after = literal.string[: literal.start()].rstrip(), literal.string[literal.end() :].lstrip()
    is_key = after.startswith(":") and (not before or before.endswith(("{", ",")))
    is_subscript = after.startswith("]") and re.search(r"[\w)\]]\[$", before) is not None
    return literal[0] if is_key or is_subscript else f'"{BLOTTED_OUT}"'
