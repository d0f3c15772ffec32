"""Fingerprints: the kernels agree with the plain integers, and say equal only of what is equal in meaning."""

import math

import numpy as np
import pytest
from corpus import any_values, key_values, resources, schema_urls, scopes
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, InstrumentationScope, KeyValue
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from sonde.ingest import fingerprint


def array(data: bytes):
    return np.frombuffer(data, np.uint8)


@given(st.binary(max_size=70), st.integers(0, 9))
def test_text_hash_agrees_with_its_twin(data, seed):
    padded = array(b"##" + data + b"####")
    assert fingerprint.text_hash(padded, 2, 2 + len(data), seed) == fingerprint.text_hash_slowly(data, seed)


@given(key_values)
def test_attribute_hash_agrees_with_its_twin(attribute):
    data = attribute.SerializeToString()
    assert fingerprint.attribute_hash(array(data + b"#"), 0, len(data)) == fingerprint.attribute_hash_slowly(attribute)


@given(resources, schema_urls)
def test_resource_id_agrees_with_its_twin(resource, schema_url):
    data, url = resource.SerializeToString(), schema_url.encode()
    got = fingerprint.resource_id(array(data + url + b"#"), 0, len(data), len(data), len(data) + len(url))
    assert got == fingerprint.resource_id_slowly(resource, schema_url)


@given(scopes, schema_urls)
def test_scope_id_agrees_with_its_twin(scope, schema_url):
    data, url = scope.SerializeToString(), schema_url.encode()
    got = fingerprint.scope_id(array(data + url + b"#"), 0, len(data), len(data), len(data) + len(url))
    assert got == fingerprint.scope_id_slowly(scope, schema_url)


@given(st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1), st.text(), st.integers(-(2**31), 2**31 - 1), st.booleans())
def test_metric_and_series_id_agree_with_their_twins(resource, scope, name, temporality, is_monotonic):
    metric = Metric(name=name, unit="s", metadata=[KeyValue(key="a")])
    texts = (np.uint64(fingerprint.text_hash_slowly(text)) for text in (metric.name, metric.description, metric.unit))
    metadata = np.uint64(fingerprint.attributes_hash_slowly(metric.metadata))
    got = fingerprint.metric_id(
        np.uint64(resource), np.uint64(scope), *texts, 7, temporality, int(is_monotonic), metadata
    )
    assert got == fingerprint.metric_id_slowly(resource, scope, metric, 7, temporality, is_monotonic)
    assert fingerprint.series_id(np.uint64(got), metadata) == fingerprint.series_id_slowly(got, metric.metadata)


@given(st.lists(key_values, max_size=5), st.randoms(use_true_random=False))
def test_the_order_of_attributes_does_not_matter(attributes, rng):
    shuffled = list(attributes)
    rng.shuffle(shuffled)
    assert fingerprint.attributes_hash_slowly(attributes) == fingerprint.attributes_hash_slowly(shuffled)


@given(any_values, any_values)
def test_values_that_differ_have_different_hashes(one, other):
    same = one.SerializeToString(deterministic=True) == other.SerializeToString(deterministic=True)
    if not same and without_presence(one) != without_presence(other):
        assert fingerprint.value_hash_slowly(one) != fingerprint.value_hash_slowly(other)


def without_presence(value):
    """`value` as plain Python, where a KeyValue without a value and one with an empty value are the same."""
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [without_presence(item) for item in value.array_value.values]
    if kind == "kvlist_value":
        return [(item.key, item.key_strindex, without_presence(item.value)) for item in value.kvlist_value.values]
    return kind, repr(getattr(value, kind)) if kind else None


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (AnyValue(int_value=1), AnyValue(double_value=1)),
        (AnyValue(int_value=1), AnyValue(bool_value=True)),
        (AnyValue(int_value=1), AnyValue(string_value_strindex=1)),
        (AnyValue(string_value="a"), AnyValue(bytes_value=b"a")),
        (AnyValue(), AnyValue(string_value="")),
        (AnyValue(string_value=""), AnyValue(bytes_value=b"")),
        (AnyValue(double_value=0.0), AnyValue(double_value=-0.0)),
        (AnyValue(array_value=ArrayValue()), AnyValue(array_value=ArrayValue(values=[AnyValue()]))),
        (AnyValue(array_value=ArrayValue()), AnyValue()),
        (AnyValue(double_value=math.nan), AnyValue(double_value=math.inf)),
    ],
)
def test_types_keep_apart_what_looks_alike(one, other):
    assert fingerprint.value_hash_slowly(one) != fingerprint.value_hash_slowly(other)


def test_what_stands_in_another_place_is_another_thing():
    ids = {
        fingerprint.scope_id_slowly(InstrumentationScope(name="a"), ""),
        fingerprint.scope_id_slowly(InstrumentationScope(version="a"), ""),
        fingerprint.scope_id_slowly(InstrumentationScope(), "a"),
        fingerprint.scope_id_slowly(InstrumentationScope(dropped_attributes_count=1), ""),
        fingerprint.resource_id_slowly(Resource(), "a"),
        fingerprint.resource_id_slowly(Resource(dropped_attributes_count=1), ""),
        fingerprint.resource_id_slowly(Resource(), ""),
        fingerprint.scope_id_slowly(InstrumentationScope(), ""),
    }
    assert len(ids) == 8


def test_hashes_of_similar_texts_are_all_different():
    texts = (f"service-{i % 1000}/instance-{i // 1000}" for i in range(20_000))
    hashes = [fingerprint.text_hash_slowly(text) for text in texts]
    assert len(set(hashes)) == len(hashes)
    ones = np.unpackbits(np.array(hashes, np.uint64).view(np.uint8)).reshape(-1, 64).mean(axis=0)
    assert np.all(np.abs(ones - 0.5) < 0.02), "some bit is not mixed"


def test_fingerprints_are_what_they_were():
    """They are kept in the store: a change here makes every resource, scope and series a new one."""
    resource = Resource(attributes=[KeyValue(key="service.name", value=AnyValue(string_value="cart"))])
    assert fingerprint.resource_id_slowly(resource, "") == 15140927145277660232
    assert fingerprint.scope_id_slowly(InstrumentationScope(name="lib", version="1"), "") == 10368623823086793423
