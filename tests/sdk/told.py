"""Log records as OpenTelemetry's own SDK has them when they were told."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor
from opentelemetry.sdk.resources import Resource
from sonde.sdk import logs


class Told:
    def __init__(self) -> None:
        self.exporter = InMemoryLogRecordExporter()
        self.provider = LoggerProvider(Resource({}), shutdown_on_exit=False)
        self.provider.add_log_record_processor(SimpleLogRecordProcessor(self.exporter))

    @property
    def records(self) -> list[Any]:
        return [each.log_record for each in self.exporter.get_finished_logs()]

    @property
    def bodies(self) -> list[str]:
        return [record.body for record in self.records]

    @property
    def one(self) -> Any:
        (record,) = self.records
        return record

    @property
    def scopes(self) -> list[str]:
        return [each.instrumentation_scope.name for each in self.exporter.get_finished_logs()]

    def attributes(self) -> dict[str, Any]:
        """Of the only record."""
        return dict(self.one.attributes)


@contextlib.contextmanager
def bridged(level: str = "info") -> Iterator[Told]:
    told = Told()
    logs.bridge(told.provider, level)
    try:
        yield told
    finally:
        logs.unbridge()
