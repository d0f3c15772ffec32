"""Floats as Go prints them: the shortest digits that read back as the same number."""

from __future__ import annotations

import math
from decimal import Decimal


def shortest_g(value: float) -> str:
    """Go's %g: with an exponent below 1e-4 and from 1e6 on, else `plain`."""
    if not math.isfinite(value):
        return plain(value)
    digits, before_point = _digits(value)
    exponent = before_point - 1
    if -4 <= exponent < 6:
        return plain(value)
    mantissa = f"{digits[0]}.{digits[1:]}" if len(digits) > 1 else digits
    return f"{_sign(value)}{mantissa}e{'-' if exponent < 0 else '+'}{abs(exponent):02d}"


def plain(value: float) -> str:
    """Go's %f with all digits there are: never an exponent; `NaN`, `+Inf`, `-Inf`."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    digits, before_point = _digits(value)
    if before_point <= 0:
        return f"{_sign(value)}0.{'0' * -before_point}{digits}"
    whole, fraction = digits[:before_point].ljust(before_point, "0"), digits[before_point:]
    return f"{_sign(value)}{whole}.{fraction}" if fraction else f"{_sign(value)}{whole}"


def _digits(value: float) -> tuple[str, int]:
    """The shortest decimal digits, without zeros at either end, and how many of them stand before the point."""
    _, digits, exponent = Decimal(repr(float(value))).as_tuple()
    text = "".join(map(str, digits))
    before_point = len(text) + int(exponent)
    leading = len(text) - len(text.lstrip("0"))
    return (text.strip("0"), before_point - leading) if text.strip("0") else ("0", 1)


def _sign(value: float) -> str:
    return "-" if math.copysign(1, value) < 0 else ""
