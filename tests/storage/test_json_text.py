"""JSON text of AnyValues: golden pairs, and that nothing is lost on the way there and back."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, EntityRef, KeyValue, KeyValueList
from sonde.storage import json_text


def array(*values: AnyValue) -> AnyValue:
    return AnyValue(array_value=ArrayValue(values=values))


def kvlist(*pairs: tuple[str, AnyValue]) -> AnyValue:
    return AnyValue(kvlist_value=KeyValueList(values=[KeyValue(key=key, value=value) for key, value in pairs]))


GOLDEN = [
    (AnyValue(), "null"),
    (AnyValue(string_value=""), '""'),
    (AnyValue(string_value='a"b\\c\n\x01é\x7f'), '"a\\"b\\\\c\\n\\u0001é\x7f"'),
    (AnyValue(bool_value=True), "true"),
    (AnyValue(bool_value=False), "false"),
    (AnyValue(int_value=0), "0"),
    (AnyValue(int_value=-(2**63)), "-9223372036854775808"),
    (AnyValue(double_value=1), "1.0"),
    (AnyValue(double_value=-0.0), "-0.0"),
    (AnyValue(double_value=1e300), "1e+300"),
    (AnyValue(double_value=5e-324), "5e-324"),
    (AnyValue(double_value=math.inf), '{"$double":"Infinity"}'),
    (AnyValue(double_value=-math.inf), '{"$double":"-Infinity"}'),
    (AnyValue(bytes_value=b""), '{"$bytes":""}'),
    (AnyValue(bytes_value=b"\x00\xffab"), '{"$bytes":"AP9hYg=="}'),
    (AnyValue(string_value_strindex=5), '{"$strindex":5}'),
    (array(), "[]"),
    (array(AnyValue(int_value=1), AnyValue(), array(AnyValue(double_value=1))), "[1,null,[1.0]]"),
    (kvlist(), "{}"),
    (kvlist(("b", AnyValue(int_value=1)), ("a", AnyValue()), ("b", kvlist())), '{"b":1,"a":null,"b":{}}'),
    (kvlist(("$bytes", AnyValue(string_value="x"))), '{"$$bytes":"x"}'),
    (kvlist(("$$", AnyValue()), ("", AnyValue())), '{"$$$":null,"":null}'),
    (
        AnyValue(kvlist_value=KeyValueList(values=[KeyValue(key_strindex=3, value=AnyValue(int_value=7))])),
        '{"":{"$key_strindex":3,"$value":7}}',
    ),
]


@pytest.mark.parametrize(("value", "text"), GOLDEN, ids=[text for _, text in GOLDEN])
def test_each_kind_has_one_spelling_and_reads_back(value, text):
    assert json_text.render(value) == text
    assert normal(AnyValue(**json_text.parse(text))) == normal(value)


def test_nan_reads_back_as_nan():
    text = json_text.render(AnyValue(double_value=math.nan))
    assert text == '{"$double":"NaN"}'
    assert math.isnan(AnyValue(**json_text.parse(text)).double_value)


@pytest.mark.parametrize(
    "text", ['{"$bytes":1}', '{"$x":1}', '{"$bytes":"","b":1}', '{"$key_strindex":1,"$value":2}', "[1", ""]
)
def test_what_no_value_renders_to_is_refused(text):
    with pytest.raises(ValueError, match=r"."):
        json_text.parse(text)


def test_a_key_by_index_reads_back():
    attribute = KeyValue(key_strindex=-2, value=AnyValue(string_value="x"))
    text = json_text.render_key_value(attribute)
    assert KeyValue(**json_text.parse_key_value(text)) == attribute
    assert KeyValue(key="k", **json_text.parse_key_value("1")) == KeyValue(key="k", value=AnyValue(int_value=1))


def test_entity_refs_read_back():
    references = [EntityRef(type="host", schema_url="u", id_keys=["a", "b"], description_keys=["c"]), EntityRef()]
    text = json_text.render_entity_refs(references)
    assert [EntityRef(**found) for found in json_text.parse_entity_refs(text)] == references
    assert json_text.render_entity_refs([]) == ""
    assert json_text.parse_entity_refs("") == []


def normal(value: AnyValue) -> AnyValue:
    """With every KeyValue's value present, since a missing and an empty one mean the same."""
    for member in value.kvlist_value.values if value.HasField("kvlist_value") else ():
        member.value.SetInParent()
        normal(member.value)
    for item in value.array_value.values if value.HasField("array_value") else ():
        normal(item)
    return value


scalars = st.one_of(
    st.just(AnyValue()),
    st.text().map(lambda v: AnyValue(string_value=v)),
    st.booleans().map(lambda v: AnyValue(bool_value=v)),
    st.integers(-(2**63), 2**63 - 1).map(lambda v: AnyValue(int_value=v)),
    st.floats(allow_nan=False).map(lambda v: AnyValue(double_value=v)),
    st.binary().map(lambda v: AnyValue(bytes_value=v)),
    st.integers(-(2**31), 2**31 - 1).map(lambda v: AnyValue(string_value_strindex=v)),
)
keys = st.text(max_size=4) | st.sampled_from(["$", "$$", "$bytes", "$double", "$value"])
values = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4).map(lambda v: array(*v)),
        st.lists(st.tuples(keys, inner), max_size=4).map(lambda v: kvlist(*v)),
    ),
    max_leaves=10,
)


@given(values)
def test_any_value_reads_back_equal(value):
    assert normal(AnyValue(**json_text.parse(json_text.render(value)))) == normal(value)
