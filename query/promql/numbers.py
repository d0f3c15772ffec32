"""Numbers in PromQL text. How numbers are printed stands in `float_text`."""

from __future__ import annotations

import math
import re

DECIMAL = re.compile(r"(\d(_?\d)*)?(\.(\d(_?\d)*)?)?([eE][+-]?\d(_?\d)*)?")
OCTAL = re.compile(r"0_?[0-7](_?[0-7])*")
HEXADECIMAL = re.compile(r"0[xX](_?[0-9a-fA-F])+")
INT64_MAX = 2**63 - 1


def parse_number(text: str) -> float:
    """The value of a number token: decimal, 0x hexadecimal, 0 octal, with underscores, or inf and nan in any case.

    Raises ValueError with Prometheus' sentence.
    """
    lowered = text.lower()
    if lowered in ("inf", "nan"):
        return float(lowered)
    if HEXADECIMAL.fullmatch(text) and (value := int(text, 16)) <= INT64_MAX:
        return float(value)
    if OCTAL.fullmatch(text) and (value := int(text.replace("_", ""), 8)) <= INT64_MAX:
        return float(value)
    if DECIMAL.fullmatch(text) and any(character.isdigit() for character in text):
        number = float(text)
        if math.isinf(number):
            raise ValueError(f'error parsing number: strconv.ParseFloat: parsing "{text}": value out of range')
        return number
    raise ValueError(f'error parsing number: strconv.ParseFloat: parsing "{text}": invalid syntax')
