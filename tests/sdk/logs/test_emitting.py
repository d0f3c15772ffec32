"""The short way from a record to its processors means what the SDK's own does."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.sdk._logs import LoggerProvider, LogRecordLimits
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor
from opentelemetry.sdk.resources import Resource
from sdk_shapes import plain_attributes
from sonde.sdk.logs import emitting
from sonde.sdk.otlp.logs import encode_logs
from sonde.sdk.plain import plain


def told(way: Any, attributes: dict[str, Any], **limits: int) -> Any:
    exporter = InMemoryLogRecordExporter()
    provider = LoggerProvider(
        Resource({"a": 1}), shutdown_on_exit=False, log_record_limits=LogRecordLimits(**limits) if limits else None
    )
    provider.add_log_record_processor(SimpleLogRecordProcessor(exporter))
    record = LogRecord(timestamp=1, observed_timestamp=2, body="it", severity_number=SeverityNumber.INFO)
    record.attributes = attributes
    way(provider.get_logger("tested", "1.0"), record)
    return exporter.get_finished_logs()


def by_the_sdk(logger: Any, record: LogRecord) -> None:
    logger.emit(record)


def test_the_installed_sdk_is_known() -> None:
    assert emitting.KNOWN


@given(plain_attributes)
def test_both_ways_send_the_same(attributes: dict[str, Any]) -> None:
    found = {key: plain(value) for key, value in attributes.items()}
    ours, theirs = told(emitting.emit, dict(found)), told(by_the_sdk, dict(found))
    assert encode_logs(ours) == encode_logs(theirs)
    assert dict(ours[0].log_record.attributes) == dict(theirs[0].log_record.attributes)


@pytest.mark.filterwarnings("ignore::opentelemetry.sdk._logs.LogRecordDroppedAttributesWarning")
@pytest.mark.parametrize("limits", [{"max_attributes": 2}, {"max_attributes": 0}, {"max_attribute_length": 3}])
def test_limits_are_the_sdks(limits: dict[str, int]) -> None:
    attributes = {"a": 1, "b": "long text", "c": (1, "long text")}
    ours, theirs = (told(way, dict(attributes), **limits) for way in (emitting.emit, by_the_sdk))
    assert encode_logs(ours) == encode_logs(theirs)
    assert ours[0].dropped_attributes == theirs[0].dropped_attributes


def test_processors_may_change_a_record() -> None:
    (found,) = told(emitting.emit, {"a": 1})
    found.log_record.attributes["b"] = [1]
    assert dict(found.log_record.attributes) == {"a": 1, "b": (1,)}


def test_another_sdk_is_asked_for_what_it_does_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(emitting, "RECORD_FIELDS", {"another"})
    assert not emitting.is_known()
    monkeypatch.setattr(emitting, "KNOWN", False)
    assert encode_logs(told(emitting.emit, {"a": 1})) == encode_logs(told(by_the_sdk, {"a": 1}))
