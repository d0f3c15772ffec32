"""The messages of remote write 1.0 and 2.0 for the tests, as protobuf classes made from descriptors, and requests of them."""

from __future__ import annotations

import re
import time
from typing import Any

import cramjam
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

V1 = """
WriteRequest: repeated TimeSeries timeseries 1, repeated MetricMetadata metadata 3
TimeSeries: repeated Label labels 1, repeated Sample samples 2, repeated Exemplar exemplars 3, repeated Histogram histograms 4
Label: string name 1, string value 2
Sample: double value 1, int64 timestamp 2
Exemplar: repeated Label labels 1, double value 2, int64 timestamp 3
MetricMetadata: int32 type 1, string metric_family_name 2, string help 4, string unit 5
"""
V2 = """
Request: repeated string symbols 4, repeated TimeSeries timeseries 5
TimeSeries: repeated uint32 labels_refs 1, repeated Sample samples 2, repeated Histogram histograms 3, \
repeated Exemplar exemplars 4, Metadata metadata 5, int64 created_timestamp 6
Sample: double value 1, int64 timestamp 2, int64 start_timestamp 3
Exemplar: repeated uint32 labels_refs 1, double value 2, int64 timestamp 3
Metadata: int32 type 1, uint32 help_ref 3, uint32 unit_ref 4
"""
HISTOGRAM = """
Histogram: uint64 count_int 1 @count, double count_float 2 @count, double sum 3, sint32 schema 4, double zero_threshold 5, \
uint64 zero_count_int 6 @zero_count, double zero_count_float 7 @zero_count, \
repeated BucketSpan negative_spans 8, repeated sint64 negative_deltas 9, repeated double negative_counts 10, \
repeated BucketSpan positive_spans 11, repeated sint64 positive_deltas 12, repeated double positive_counts 13, \
int32 reset_hint 14, int64 timestamp 15, repeated double custom_values 16, int64 start_timestamp 17
BucketSpan: sint32 offset 1, uint32 length 2
"""
FIELD = re.compile(r"(repeated )?(\w+) (\w+) (\d+)(?: @(\w+))?")
Proto = descriptor_pb2.FieldDescriptorProto


def classes(package: str, text: str) -> dict[str, Any]:
    """The message classes that `text` declares, a line each."""
    file = descriptor_pb2.FileDescriptorProto(name=f"{package}.proto", package=package, syntax="proto3")
    for line in filter(None, text.splitlines()):
        name, _, fields = line.partition(": ")
        message = file.message_type.add(name=name)
        for repeated, kind, field_name, number, oneof in FIELD.findall(fields):
            field = message.field.add(name=field_name, number=int(number))
            field.label = Proto.LABEL_REPEATED if repeated else Proto.LABEL_OPTIONAL
            if kind[0].isupper():
                field.type, field.type_name = Proto.TYPE_MESSAGE, f".{package}.{kind}"
            else:
                field.type = getattr(Proto, f"TYPE_{kind.upper()}")
            if oneof:
                names = [each.name for each in message.oneof_decl]
                if oneof not in names:
                    message.oneof_decl.add(name=oneof)
                field.oneof_index = [each.name for each in message.oneof_decl].index(oneof)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {
        message.name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{package}.{message.name}"))
        for message in file.message_type
    }


ONE = classes("prometheus", V1 + HISTOGRAM)
TWO = classes("io.prometheus.write.v2", V2 + HISTOGRAM)
NOW_MS = time.time_ns() // 1_000_000
SNAPPY = {"Content-Encoding": "snappy", "Content-Type": "application/x-protobuf"}
HEADERS_1 = {**SNAPPY, "X-Prometheus-Remote-Write-Version": "0.1.0"}
HEADERS_2 = {
    **SNAPPY,
    "Content-Type": "application/x-protobuf;proto=io.prometheus.write.v2.Request",
    "X-Prometheus-Remote-Write-Version": "2.0.0",
}
WRITE = "/prometheus/api/v1/write"


def compressed(body: bytes) -> bytes:
    return bytes(cramjam.snappy.compress_raw(body))


def series_1(labels: dict[str, str], samples: Any = (), **fields: Any) -> Any:
    """A TimeSeries of 1.0; `samples`: (value, ms)."""
    made = ONE["TimeSeries"](**fields)
    for name, value in labels.items():
        made.labels.add(name=name, value=value)
    for value, timestamp in samples:
        made.samples.add(value=value, timestamp=timestamp)
    return made


def request_1(*series: Any, metadata: Any = ()) -> bytes:
    return bytes(ONE["WriteRequest"](timeseries=series, metadata=metadata).SerializeToString())


class Symbols:
    """The symbols of a 2.0 request, as they are asked for."""

    def __init__(self) -> None:
        self.texts = [""]

    def ref(self, text: str) -> int:
        if text not in self.texts:
            self.texts.append(text)
        return self.texts.index(text)

    def refs(self, labels: dict[str, str]) -> list[int]:
        return [self.ref(text) for pair in labels.items() for text in pair]

    def series(self, labels: dict[str, str], samples: Any = (), family: Any = (), **fields: Any) -> Any:
        """A TimeSeries; `samples`: (value, ms) or (value, ms, start ms); `family`: (type, help, unit)."""
        made = TWO["TimeSeries"](labels_refs=self.refs(labels), **fields)
        for sample in samples:
            made.samples.add(**dict(zip(("value", "timestamp", "start_timestamp"), sample, strict=False)))
        if family:
            kind, text, unit = family
            made.metadata.CopyFrom(TWO["Metadata"](type=kind, help_ref=self.ref(text), unit_ref=self.ref(unit)))
        return made

    def request(self, *series: Any) -> bytes:
        return bytes(TWO["Request"](symbols=self.texts, timeseries=series).SerializeToString())
