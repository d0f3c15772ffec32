"""From a log record to the processors of its provider, without what the OpenTelemetry SDK does for values that may be anything.

Attributes that `sonde.sdk.plain` has made need no cleaning, which is more than half of what telling a record would cost. The record
is of the SDK's own classes, filled in another way, as `sonde.sdk.recording` fills spans; where the SDK is another one than is known
here, or limits are set that cut values or leave some out, it goes through the SDK's `emit`.
"""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock
from typing import Any

from opentelemetry._logs import Logger, LogRecord
from opentelemetry.attributes import BoundedAttributes
from opentelemetry.metrics import NoOpMeterProvider
from opentelemetry.sdk import _logs as sdk_logs
from opentelemetry.sdk._logs import ReadWriteLogRecord
from opentelemetry.sdk._logs._internal import Logger as SdkLogger
from opentelemetry.sdk.resources import Resource

ATTRIBUTES_FIELDS = {"_dict", "maxlen", "dropped", "max_value_len", "_lock", "_immutable"}
RECORD_FIELDS = {"log_record", "resource", "instrumentation_scope", "limits"}


def emit(logger: Logger, record: LogRecord) -> None:
    """Tells `record`, whose attributes are a dict of values that OTLP has words for, and which nobody else has."""
    if not KNOWN or type(logger) is not SdkLogger:
        logger.emit(record)
        return
    limits, attributes = logger._log_record_limits, record.attributes
    most = limits.max_log_record_attributes
    if limits.max_log_record_attribute_length is not None or (most is not None and len(attributes or ()) > most):
        logger.emit(record)
        return
    if not logger._is_enabled():
        return
    record.attributes = bounded(attributes, most)
    found = ReadWriteLogRecord.__new__(ReadWriteLogRecord)
    found.__dict__ = {
        "log_record": record,
        "resource": logger._resource,
        "instrumentation_scope": logger._instrumentation_scope,
        "limits": limits,
    }
    logger._logger_metrics.emit_log()
    logger._multi_log_record_processor.on_emit(found)


def bounded(attributes: Any, most: int | None) -> BoundedAttributes:
    found = BoundedAttributes.__new__(BoundedAttributes)
    found.__dict__ = {
        "_dict": attributes,
        "maxlen": most,
        "dropped": 0,
        "max_value_len": None,
        "_lock": Lock(),
        "_immutable": False,
    }
    return found


def is_known() -> bool:
    """Whether the installed SDK is as this file takes it to be."""
    told: list[Any] = []
    provider = sdk_logs.LoggerProvider(Resource({}), shutdown_on_exit=False, meter_provider=NoOpMeterProvider())
    logger: Any = provider.get_logger("sonde.sdk")
    try:
        logger._multi_log_record_processor = Telling(told.append)
        logger.emit(LogRecord(attributes={"a": 1}))
        (theirs,) = told
        if vars(theirs).keys() != RECORD_FIELDS or vars(theirs.log_record.attributes).keys() != ATTRIBUTES_FIELDS:
            return False
        return (
            callable(logger._logger_metrics.emit_log) and logger._is_enabled() and logger._log_record_limits is not None
        )
    except Exception:
        return False


class Telling:
    def __init__(self, on_emit: Callable[[Any], None]) -> None:
        self.on_emit = on_emit


KNOWN = is_known()
