"""The grammar of attribute predicates, as tables. What they match is tested against the engine in test_spans."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sonde.query.errors import InvalidParameter
from sonde.query.predicates import Predicate, condition, parse


@pytest.mark.parametrize(
    ("text", "predicate"),
    [
        ("http.route", Predicate("record", "http.route", "exists")),
        ("!http.route", Predicate("record", "http.route", "absent")),
        ("! resource.host.name", Predicate("resource", "host.name", "absent")),
        ("http.status_code>=500", Predicate("record", "http.status_code", ">=", 500)),
        ("http.status_code >= 500", Predicate("record", "http.status_code", ">=", 500)),
        ("a=-1", Predicate("record", "a", "=", -1)),
        ("a=0.5", Predicate("record", "a", "=", 0.5)),
        ("a=1e3", Predicate("record", "a", "=", 1000.0)),
        ("a=9223372036854775807", Predicate("record", "a", "=", 2**63 - 1)),
        ("a=9223372036854775808", Predicate("record", "a", "=", 2.0**63)),
        ('a="500"', Predicate("record", "a", "=", "500")),
        ("a=true", Predicate("record", "a", "=", True)),
        ('a="true"', Predicate("record", "a", "=", "true")),
        ("http.route=/cart", Predicate("record", "http.route", "=", "/cart")),
        ("http.route=/a=b", Predicate("record", "http.route", "=", "/a=b")),
        ("a=", Predicate("record", "a", "=", "")),
        ("a!=b", Predicate("record", "a", "!=", "b")),
        ("a<5", Predicate("record", "a", "<", 5)),
        ("resource.k8s.pod.name~^cart-.*", Predicate("resource", "k8s.pod.name", "~", "^cart-.*")),
        ('resource.k8s.pod.name!~"a b"', Predicate("resource", "k8s.pod.name", "!~", "a b")),
        ("scope.library=x", Predicate("scope", "library", "=", "x")),
        ("event.exception.type=KeyError", Predicate("event", "exception.type", "=", "KeyError")),
        ("span.resource.name=x", Predicate("record", "resource.name", "=", "x")),
        ('"resource.name"=x', Predicate("record", "resource.name", "=", "x")),
        ('resource."odd=\\"key"=x', Predicate("resource", 'odd="key', "=", "x")),
        ("key with spaces = x", Predicate("record", "key with spaces", "=", "x")),
        ("a='; DROP TABLE spans --", Predicate("record", "a", "=", "'; DROP TABLE spans --")),
        ("{x:String}=1", Predicate("record", "{x:String}", "=", 1)),
    ],
)
def test_the_spelling_gives_the_predicate(text: str, predicate: Predicate) -> None:
    found = parse(text)
    assert found == predicate
    assert type(found.value) is type(predicate.value)


UNREADABLE = """
!
=1
>=5
resource.
resource.=x
"open=1
""=1
a>b
a>=true
a<"5"
!a=1
a~
a!
"""


@pytest.mark.parametrize("text", [*UNREADABLE.split("\n"), "\x00=1", "a" * 3001, "a=" + "b" * 1001])
def test_what_can_not_be_read_is_refused_with_the_grammar(text: str) -> None:
    with pytest.raises(InvalidParameter) as caught:
        parse(text)
    assert caught.value.parameter == "attr"


@given(st.text(max_size=60))
def test_no_text_does_worse_than_being_refused(text: str) -> None:
    try:
        found = parse(text)
    except InvalidParameter:
        return
    clause = condition(found, 0).clause
    assert set(re.findall(r"\{(\w+:\w+)\}", clause)) <= {
        "attr0_key:String",
        "attr0_value:String",
        "attr0_value:Int64",
        "attr0_value:Float64",
        "attr0_value:Bool",
        "tenant:String",
    }
    alphabet = clause.replace(found.key, "") if len(found.key) > 20 else clause
    assert re.fullmatch(r"[\w(){}:\[\] .,=!<>'-]+", alphabet), "the clause is fixed text"


KEY, TEXT, INT = "{attr0_key:String}", "{attr0_value:String}", "{attr0_value:Int64}"


@pytest.mark.parametrize(
    ("text", "clause"),
    [
        ("a=5", f"attributes_int[{KEY}] = {INT} OR attributes_double[{KEY}] = {INT}"),
        (
            "a=0",
            f"mapContains(attributes_int, {KEY}) AND attributes_int[{KEY}] = {INT}"
            f" OR mapContains(attributes_double, {KEY}) AND attributes_double[{KEY}] = {INT}",
        ),
        ("a=x", f"attributes_string[{KEY}] = {TEXT}"),
        ("a=true", f"attributes_bool[{KEY}] = {{attr0_value:Bool}}"),
        ("a~x", f"mapContains(attributes_string, {KEY}) AND match(attributes_string[{KEY}], {TEXT})"),
        (
            "resource.a=x",
            "resource_id IN (SELECT resource_id FROM resources WHERE tenant = {tenant:String} AND"
            f" (attributes_string[{KEY}] = {TEXT}))",
        ),
    ],
)
def test_the_clause_asks_the_maps_that_can_hold_the_value(text: str, clause: str) -> None:
    assert condition(parse(text), 0).clause == clause
