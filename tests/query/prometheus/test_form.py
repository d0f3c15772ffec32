"""Parameters as Prometheus reads them."""

from __future__ import annotations

import pytest
from sonde.query.config import QueryConfig
from sonde.query.prometheus.api_errors import BadData
from sonde.query.prometheus.catalog_api import unescaped
from sonde.query.prometheus.form import MAX_TIME_MS, MIN_TIME_MS, Form, parse_seconds, parse_time
from sonde.query.prometheus.question import instant_question, range_question


@pytest.mark.parametrize(
    ("text", "ms"),
    [
        ("0", 0),
        ("1700000000", 1_700_000_000_000),
        ("1700000000.123", 1_700_000_000_123),
        ("1.7e9", 1_700_000_000_000),
        ("-1.5", -1500),
        ("2026-01-31T10:00:00Z", 1_769_853_600_000),
        ("2026-01-31T10:00:00.123456789Z", 1_769_853_600_123),
        ("2026-01-31T12:00:00+02:00", 1_769_853_600_000),
        ("1969-12-31T23:59:59.5Z", -500),
        ("-292273086-05-16T16:47:06Z", MIN_TIME_MS),
        ("292277025-08-18T07:12:54.999999999Z", MAX_TIME_MS),
    ],
)
def test_times(text: str, ms: int) -> None:
    assert parse_time(text) == ms


@pytest.mark.parametrize(
    "text", ["", "now", "1e300", "inf", "nan", "2026-01-31", "2026-13-31T10:00:00Z", "１", "0x10", "1_0"]
)
def test_what_is_no_time(text: str) -> None:
    with pytest.raises(ValueError, match="to a valid timestamp"):
        parse_time(text)


@pytest.mark.parametrize(("text", "seconds"), [("15", 15), ("0.5", 0.5), ("1m30s", 90), ("0", 0), ("-5", -5)])
def test_durations(text: str, seconds: float) -> None:
    assert parse_seconds(text) == seconds


@pytest.mark.parametrize("text", ["", "5x", "1e300", "inf", "-5m"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match="to a valid duration"):
        parse_seconds(text)


def form(**fields: str) -> Form:
    return Form({name: [value] for name, value in fields.items()})


TOO_FINE = "exceeded maximum resolution of 11,000 points per timeseries. Try decreasing the query resolution (?step=XX)"
NO_STEP = "zero or negative query resolution step widths are not accepted. Try a positive integer"
NOT_IN_A_RANGE = "for range query, must be Scalar or instant Vector"
RANGE = {"query": "up", "start": "0", "end": "60", "step": "15"}


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"start": "x"}, 'invalid parameter "start": cannot parse "x" to a valid timestamp'),
        ({"end": ""}, 'invalid parameter "end": cannot parse "" to a valid timestamp'),
        ({"end": "-1"}, 'invalid parameter "end": end timestamp must not be before start time'),
        ({"step": "0"}, f'invalid parameter "step": {NO_STEP}'),
        ({"step": "soon"}, 'invalid parameter "step": cannot parse "soon" to a valid duration'),
        ({"step": "1ms"}, TOO_FINE),
        ({"limit": "many"}, 'invalid parameter "limit": strconv.Atoi: parsing "many": invalid syntax'),
        ({"limit": "-1"}, 'invalid parameter "limit": limit must be non-negative'),
        ({"timeout": "x"}, 'invalid parameter "timeout": cannot parse "x" to a valid duration'),
        ({"lookback_delta": "x"}, 'error parsing lookback delta duration: cannot parse "x" to a valid duration'),
        ({"query": ""}, 'invalid parameter "query": unknown position: parse error: no expression found in input'),
        ({"query": "up{"}, 'invalid parameter "query": 1:4: parse error: unexpected end of input inside braces'),
        ({"query": "up[5m]"}, f'invalid parameter "query": invalid expression type "range vector" {NOT_IN_A_RANGE}'),
        ({"query": "'a'"}, f'invalid parameter "query": invalid expression type "string" {NOT_IN_A_RANGE}'),
        ({"query": "rate(up[step()-15])"}, 'invalid parameter "query": 1:9: parse error: duration must be greater than 0'),
    ],
)  # fmt: skip
def test_a_range_that_makes_no_sense_is_told_so(changed: dict[str, str], message: str) -> None:
    with pytest.raises(BadData) as raised:
        range_question(form(**{**RANGE, **changed}), QueryConfig())
    assert str(raised.value) == message


def test_a_range_of_as_many_points_as_allowed_is_answered() -> None:
    config = QueryConfig(promql_max_points=4)
    assert range_question(form(**RANGE), config).end_ms == 60_000
    with pytest.raises(BadData, match="maximum resolution of 4 points"):
        range_question(form(**{**RANGE, "end": "75"}), config)


def test_a_question_s_limits_are_the_service_s_unless_it_asks_for_less() -> None:
    config = QueryConfig(promql_max_seconds=10, promql_lookback_seconds=60)
    plain = instant_question(form(query="up", time="5"), config)
    assert (plain.start_ms, plain.end_ms, plain.step_ms, plain.instant) == (5000, 5000, 0, True)
    assert (plain.seconds, plain.lookback_ms, plain.limit) == (10, 60_000, 0)
    asked = instant_question(form(query="up", timeout="1s", lookback_delta="90s", limit="7"), config)
    assert (asked.seconds, asked.lookback_ms, asked.limit) == (1, 90_000, 7)
    assert instant_question(form(query="up", timeout="1h"), config).seconds == 10


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("up[5m]", '1:3: parse error: unexpected "["'),
        ("{}", "match[] must contain at least one non-empty matcher"),
        ('{a=~".*"}', "match[] must contain at least one non-empty matcher"),
    ],
)
def test_a_match_selects_series_and_not_all_of_them(text: str, message: str) -> None:
    with pytest.raises(BadData) as raised:
        Form({"match[]": ["up", text]}).matcher_sets()
    assert str(raised.value) == message


@pytest.mark.parametrize(
    ("escaped", "name"),
    [
        ("job", "job"),
        ("U__", ""),
        ("U__http_2e_status", "http.status"),
        ("U__a__b", "a_b"),
        ("U___1f600_x", "\U0001f600x"),
        ("U__a_", "U__a_"),
        ("U__a_zz_", "U__a_zz_"),
        ("U__a_d800_", "U__a_d800_"),
        ("U__a_110000_", "U__a_110000_"),
        ("U__a_1234567_", "U__a_1234567_"),
        ("__name__", "__name__"),
    ],
)
def test_label_names_may_be_escaped(escaped: str, name: str) -> None:
    assert unescaped(escaped) == name
