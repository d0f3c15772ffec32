"""Interning in the fill kernels: every text keeps its bytes, whatever the table remembers."""

from __future__ import annotations

import random

import pytest
from columns import tables_of
from corpus import RECEIVED_UNIX_NANO
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from sonde.ingest import regions
from sonde.ingest.decode import decode
from sonde.ingest.limits import Limits
from sonde.ingest.signals import Signal
from sonde.ingest.twin import decode_slowly
from sonde.storage.columns import Interned, Maps


def request(keys: list[list[str]]) -> bytes:
    """One span for each list of keys, named for its first, with a string and an int under each key."""
    message = ExportTraceServiceRequest()
    scope = message.resource_spans.add().scope_spans.add()
    for of_span in keys:
        span = scope.spans.add(trace_id=b"t" * 16, span_id=b"s" * 8, name=of_span[0] if of_span else "")
        for key in of_span:
            span.attributes.add(key=key).value.string_value = key[::-1]
            span.attributes.add(key=key).value.int_value = len(key)
    return message.SerializeToString()


def some_keys(seed: int, spans: int, distinct: int) -> list[list[str]]:
    rng = random.Random(seed)
    keys = ["x" * rng.randrange(40) + str(i) for i in range(distinct)]
    return [rng.choices(keys, k=rng.randrange(6)) for _ in range(spans)]


KEYS = {
    "the same in every span": [["a", "http.request.method", "url.path.of.sixteen"]] * 20,
    "in any order": some_keys(1, 200, 30),
    "ever others": [[f"key-{i}-{j}" for j in range(4)] for i in range(200)],
    "alike but for one byte": [[f"{'k' * i}{a}{'k' * (20 - i)}" for a in "ab"] for i in range(21)],
    "one the beginning of another": [["k" * i] for i in range(40)] * 2,
    "empty": [[""], ["", "a", ""]],
}


@pytest.mark.parametrize("most_slots", [1, 2, 64, regions.MOST_SLOTS])
@pytest.mark.parametrize("keys", KEYS)
def test_texts_are_those_of_the_twin_however_small_the_table(keys, most_slots, monkeypatch):
    monkeypatch.setattr(regions, "MOST_SLOTS", most_slots)
    bodies, received = [request(KEYS[keys]), request(KEYS[keys])], [RECEIVED_UNIX_NANO] * 2
    found = decode(Signal.TRACES, bodies, received, Limits())
    assert tables_of(found) == tables_of(decode_slowly(Signal.TRACES, bodies, received, Limits()))


def test_a_text_that_repeats_is_one_symbol_where_the_table_has_room():
    found = decode(Signal.TRACES, [request(KEYS["in any order"])], [RECEIVED_UNIX_NANO], Limits())
    column = found.blocks[0].block["attributes_string"]
    assert isinstance(column, Maps)
    assert isinstance(column.keys, Interned)
    texts = tables_of(found)["spans"]["attributes_string"]
    distinct = {key for row in texts for key, _ in row}
    assert len(set(column.keys.ids.tolist())) == len(distinct)
