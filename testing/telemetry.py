"""What a test gets as `telemetry`: questions about what the app told while it ran, and assertions on the answers."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from sonde.testing import budgets, golden, shapes, statements
from sonde.testing.choosing import chosen, described
from sonde.testing.environment import subprocess_environ
from sonde.testing.records import Log, Point, Span
from sonde.testing.report import report
from sonde.testing.series import Answer
from sonde.testing.session import Session
from sonde.testing.slices import Slice
from sonde.testing.trees import Trace, bounded, traces_of

Test = Callable[[Any], Any]
LEAST_REPEATED = 3
"""Queries of one shape beside each other that are taken for N+1."""


class Telemetry:
    """The telemetry of one test.

    Questions wait for nothing: spans of this process are there when they have ended, what others send when they have sent it
    (`wait_until`). Wanted values in filters may be plain values, compiled regular expressions, functions, or `...` for any.
    """

    def __init__(self, session: Session, own: Slice, test_file: Path, *, update_golden: bool = False) -> None:
        self._session = session
        self._slice = own
        self._test_file = test_file
        self._update_golden = update_golden

    # ---- questions ----

    def spans(
        self,
        where: Test | None = None,
        *,
        name: Any = None,
        kind: Any = None,
        status: Any = None,
        service: Any = None,
        scope: Any = None,
        trace_id: Any = None,
        attributes: Mapping[str, Any] | None = None,
    ) -> list[Span]:
        """The spans that have ended, by start: those that have all that is named, and for which `where(span)` is true."""
        wanted = {
            "name": name,
            "kind": kind,
            "status": status,
            "service": service,
            "scope": scope,
            "trace_id": trace_id,
        }
        return chosen(self._slice.spans(), where, wanted, attributes or {})

    def span(self, where: Test | None = None, **wanted: Any) -> Span:
        """The one span of these; takes what `spans` takes. AssertionError, with all traces, where there is none or several."""
        __tracebackhide__ = True
        found = self.spans(where, **wanted)
        if len(found) != 1:
            asked = described(
                {key: value for key, value in wanted.items() if key != "attributes"}, wanted.get("attributes") or {}
            )
            raise AssertionError(f"{len(found)} spans are {asked or 'there'}, not 1:\n{self.draw()}")
        return found[0]

    def logs(
        self,
        where: Test | None = None,
        *,
        body: Any = None,
        severity: Any = None,
        event_name: Any = None,
        service: Any = None,
        scope: Any = None,
        trace_id: Any = None,
        attributes: Mapping[str, Any] | None = None,
    ) -> list[Log]:
        """The log records by time, chosen as `spans` are. `severity` is the word: "ERROR"; `scope` the logger's name."""
        wanted = {"body": body, "severity": severity, "event_name": event_name, "service": service, "scope": scope}
        return chosen(self._slice.logs(), where, {**wanted, "trace_id": trace_id}, attributes or {})

    def points(
        self,
        where: Test | None = None,
        *,
        name: Any = None,
        kind: Any = None,
        service: Any = None,
        attributes: Mapping[str, Any] | None = None,
    ) -> list[Point]:
        """The data points of metrics: of a series that is told in full each time the last one, of one told in deltas all."""
        return chosen(
            budgets.latest(self._slice.points()),
            where,
            {"name": name, "kind": kind, "service": service},
            attributes or {},
        )

    def traces(self) -> list[Trace]:
        """All traces by start."""
        return traces_of(self._slice.spans(), self._slice.logs())

    def trace(self, which: str | Span | None = None) -> Trace:
        """The one trace of this test; or the one with this id, with this root's name, or with this span in it.

        AssertionError where there is none, or several fit.
        """
        __tracebackhide__ = True
        traces = self.traces()
        found = [trace for trace in traces if which is None or is_meant(trace, which)]
        if len(found) != 1:
            asked = "" if which is None else f" {which!r}"
            raise AssertionError(f"this test has {len(found)} traces{asked}, not 1:\n{self.draw()}")
        return found[0]

    def sql(self, sql: str, /, **parameters: Any) -> list[dict[str, Any]]:
        """The rows of a SELECT over this test's telemetry in the tables of docs/schema.md; values are `{name:Type}` in the text.

        Read-only. Raises `sonde.storage.errors.StoreRefused` with the engine's words.
        """
        return self._session.engine.sql(self._slice, sql, parameters)

    def metrics(self, query: str, *, at: float | None = None) -> Answer:
        """The answer to a PromQL query over this test's metrics: `.value` of the only series, or one after the other.

        `at`: Unix seconds; by default the time of the latest point. A counter that began in the test was 0 when the test did.
        """
        from sonde.testing import promql

        at_ms = None if at is None else round(at * 1000)
        return promql.ask(self._session.engine, self._slice, query, at_ms)

    def wait_until(self, condition: Callable[[], Any], timeout: float = 5.0) -> Any:
        """What `condition()` gives once that is true; it is asked whenever something has come. AssertionError after `timeout` s."""
        __tracebackhide__ = True
        until = time.monotonic() + timeout
        changed = self._slice.changed
        while not (found := condition()):
            left = until - time.monotonic()
            if left <= 0:
                raise AssertionError(f"not within {timeout:g} s. What there is:\n{self.draw()}")
            with changed:
                changed.wait(min(left, 0.05))
        return found

    def percentile(self, q: float, name: Any = None, where: Test | None = None, **wanted: Any) -> float:
        """The `q`-quantile (0 to 1) of the spans' durations, seconds; takes what `spans` takes. AssertionError: there are none."""
        __tracebackhide__ = True
        found = self.spans(where, name=name, **wanted)
        if not found:
            raise AssertionError(f"no span is {described({'name': name, **wanted}, {})}:\n{self.draw()}")
        return budgets.quantile((span.duration for span in found), q)

    def p50(self, name: Any = None, where: Test | None = None, **wanted: Any) -> float:
        __tracebackhide__ = True
        return self.percentile(0.5, name, where, **wanted)

    def p95(self, name: Any = None, where: Test | None = None, **wanted: Any) -> float:
        __tracebackhide__ = True
        return self.percentile(0.95, name, where, **wanted)

    def p99(self, name: Any = None, where: Test | None = None, **wanted: Any) -> float:
        __tracebackhide__ = True
        return self.percentile(0.99, name, where, **wanted)

    # ---- from outside ----

    @property
    def endpoint(self) -> str:
        """An OTLP/HTTP address, for OTEL_EXPORTER_OTLP_ENDPOINT, whose telemetry is this test's. Listens from now on."""
        self._session.receiver.present(self._slice)
        return self._session.receiver.endpoint(self._slice)

    @property
    def grpc_endpoint(self) -> str:
        """The same for OTLP/gRPC. Without the header that `grpc_environ` names, what comes is of the test that runs then."""
        self._session.receiver.present(self._slice)
        return self._session.receiver.grpc_endpoint

    @property
    def environ(self) -> dict[str, str]:
        """This process's environment with the exporters of a subprocess pointed here, by OTLP/HTTP."""
        return subprocess_environ(self.endpoint, "http/protobuf")

    @property
    def grpc_environ(self) -> dict[str, str]:
        """The same by OTLP/gRPC."""
        return subprocess_environ(self.grpc_endpoint, "grpc", self._session.receiver.header(self._slice))

    # ---- assertions ----

    def assert_no_errors(self, *, allow: Sequence[budgets.Allowed] | budgets.Allowed = ()) -> None:
        """No span with an error or a recorded exception, no log record of severity ERROR or above.

        `allow`: texts, or compiled regular expressions, one of which is in the span's name, the exception or the record.
        """
        __tracebackhide__ = True
        if lines := budgets.errors_in(self._slice.spans(), self._slice.logs(), as_tuple(allow)):
            raise AssertionError(
                f"{len(lines)} errors in this test's telemetry:\n" + bounded([f"  {line}" for line in lines], 30)
            )

    def max_spans(self, name: Any, most: int, where: Test | None = None, **wanted: Any) -> None:
        """At most so many spans; takes what `spans` takes."""
        __tracebackhide__ = True
        found = self.spans(where, name=name, **wanted)
        if len(found) > most:
            raise AssertionError(
                f"{len(found)} spans are {described({'name': name, **wanted}, {})}, more than {most}:\n{self.draw()}"
            )

    def no_n_plus_one(
        self, *, least: int = LEAST_REPEATED, allow: Sequence[budgets.Allowed] | budgets.Allowed = ()
    ) -> None:
        """No `least` or more queries beside each other that differ in nothing but their values.

        `allow`: texts or compiled regular expressions, one of which is in the statement.
        """
        __tracebackhide__ = True
        found = statements.repeated(self.traces(), least)
        if told := [str(each) for each in found if not budgets.allowed((each.shape,), as_tuple(allow))]:
            raise AssertionError("the same query again and again:\n" + bounded([f"  {each}" for each in told], 20))

    def max_new_series(self, most: int, *, name: Any = None) -> None:
        """At most so many series of metrics; where there are more, it is told which metrics and labels make them."""
        __tracebackhide__ = True
        series = budgets.series_of(self.points(name=name))
        total = sum(map(len, series.values()))
        if total > most:
            raise AssertionError(f"{total} series, more than {most}:\n{budgets.series_report(series)}")

    def assert_trace(self, shape: str, which: str | Span | None = None) -> Trace:
        """A trace of this test has this shape: indented span names, `*` for any characters, children in any order. Returns it.

        `which`: as for `trace`; by default any.
        """
        __tracebackhide__ = True
        nodes = shapes.parsed(shape)
        traces = self.traces() if which is None else [self.trace(which)]
        for trace in traces:
            if shapes.has_shape(trace, nodes):
                return trace
        raise AssertionError(f"no trace has the shape\n{shapes.drawn(nodes)}\nwhat there is:\n{self.draw()}")

    def matches_golden(
        self, name: str, which: str | Span | Trace | None = None, *, ignore: Collection[str] = ()
    ) -> bool:
        """The traces of this test, or the one meant, are as in the file `golden/<test file>/<name>.txt` beside the test's.

        AssertionError with a diff where they are not. `pytest --sonde-update-golden` writes the file. What differs from run to run
        is not in it; `ignore`: keys of further attributes that are not, a `*` at the end for any. Always True.
        """
        __tracebackhide__ = True
        traces = self.traces() if which is None else [which if isinstance(which, Trace) else self.trace(which)]
        found = golden.text_of(traces, ignore)
        path = golden.path_of(self._test_file, name)
        if self._update_golden:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(found, encoding="utf-8")
            return True
        if not path.exists():
            raise AssertionError(
                f"there is no golden trace {path}: write it with pytest --sonde-update-golden\n{found}"
            )
        if difference := golden.differences(path.read_text(encoding="utf-8"), found, path):
            hint = "If the new one is right: pytest --sonde-update-golden"
            raise AssertionError(f"the trace is not the golden one any more. {hint}\n{difference}")
        return True

    # ---- what there is, in words ----

    def draw(self) -> str:
        """All traces as trees with their logs, in plain text of bounded size."""
        return report(self._slice) or "no telemetry at all"

    def __str__(self) -> str:
        return self.draw()

    def __repr__(self) -> str:
        return f"<Telemetry of {self._test_file.name}>"


def is_meant(trace: Trace, which: str | Span) -> bool:
    if isinstance(which, Span):
        return trace.trace_id == which.trace_id
    return trace.trace_id == which.lower() or any(root.name == which for root in trace.roots)


def as_tuple(allow: Sequence[budgets.Allowed] | budgets.Allowed) -> tuple[budgets.Allowed, ...]:
    return (allow,) if isinstance(allow, str | re.Pattern) else tuple(allow)
