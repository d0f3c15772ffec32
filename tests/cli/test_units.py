from __future__ import annotations

import pytest
from sonde.cli.units import format_quantity, human_bytes, parse_quantity, unit_of


@pytest.mark.parametrize(
    ("text", "unit", "value"),
    [
        ("64MiB", "bytes", 64 << 20),
        ("64 mib", "bytes", 64 << 20),
        ("10MB", "bytes", 10_000_000),
        ("1.5GiB", "bytes", 3 << 29),
        ("4096", "bytes", 4096),
        ("0", "bytes", 0),
        ("200ms", "seconds", 0.2),
        ("5s", "seconds", 5),
        ("10m", "seconds", 600),
        ("1h30m", "seconds", 5_400),
        ("14d", "seconds", 14 * 86_400),
        ("0.25", "seconds", 0.25),
        ("14d", "days", 14),
        ("2w", "days", 14),
        ("48h", "days", 2),
        ("14", "days", 14),
        ("85%", "ratio", 0.85),
        ("0.85", "ratio", 0.85),
        ("1_000", "", 1_000),
        ("-1", "", -1),
    ],
)
def test_quantities_are_read_in_their_unit(text: str, unit: str, value: float) -> None:
    assert parse_quantity(text, unit) == pytest.approx(value, rel=1e-12)


@pytest.mark.parametrize(
    ("text", "unit", "advice"),
    [
        ("64M", "bytes", "64MiB"),
        ("64Mi", "bytes", "64MiB"),
        ("5 s", "bytes", "64MiB"),
        ("ten seconds", "seconds", "200ms"),
        ("5 parsecs", "seconds", "200ms"),
        ("1h30", "seconds", "200ms"),
        ("", "seconds", "200ms"),
        ("14MiB", "days", "14d"),
        ("many", "", "plain number"),
        ("half", "ratio", "85%"),
    ],
)
def test_what_is_no_quantity_is_answered_with_what_to_write(text: str, unit: str, advice: str) -> None:
    with pytest.raises(ValueError, match="write .*" + advice):
        parse_quantity(text, unit)


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (64 << 20, "bytes", "64MiB"),
        (1_000_000, "bytes", "1000000"),
        (0, "bytes", "0"),
        (0.2, "seconds", "200ms"),
        (600.0, "seconds", "10m"),
        (90.0, "seconds", "90s"),
        (7_200, "seconds", "2h"),
        (14, "days", "14d"),
        (0.85, "ratio", "85%"),
        (12, "", "12"),
    ],
)
def test_quantities_are_shown_in_the_largest_whole_unit_and_read_back(value: float, unit: str, text: str) -> None:
    assert format_quantity(value, unit) == text
    assert parse_quantity(text, unit) == pytest.approx(value)


def test_the_unit_is_the_end_of_the_name() -> None:
    names = ("max_request_bytes", "segment_age_seconds", "retention_logs_days", "keep_ratio", "max_depth", "bytes_of")
    assert [unit_of(name) for name in names] == ["bytes", "seconds", "days", "ratio", "", ""]


@pytest.mark.parametrize(("count", "text"), [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (1 << 30, "1.0 GiB")])
def test_byte_counts_are_readable(count: int, text: str) -> None:
    assert human_bytes(count) == text
