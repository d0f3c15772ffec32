"""The section that a failed test's report gets: its traces as trees, the logs under their spans."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from sonde.testing.records import Log, Span
from sonde.testing.slices import Slice
from sonde.testing.trees import bounded, log_line, milliseconds, traces_of

MOST_LINES = 200
MOST_TRACES = 10


def report(own: Slice) -> str:
    """Plain text of bounded size; empty where the test has told nothing."""
    spans, logs = own.spans(), own.logs()
    lines = [*trace_lines(spans, logs), *loose_lines(spans, logs), *open_lines(own), *refused_lines(own)]
    return bounded(lines, MOST_LINES)


def trace_lines(spans: Sequence[Span], logs: Sequence[Log]) -> list[str]:
    """Traces with errors first, for not all may be shown."""
    traces = traces_of(spans, logs)
    shown = sorted(traces, key=lambda trace: not any(span.status == "error" for span in trace.spans))[:MOST_TRACES]
    lines: list[str] = []
    for trace in shown:
        count = f"{len(trace.spans)} spans" if len(trace.spans) != 1 else "1 span"
        lines += [f"trace {trace.trace_id}: {count}, {milliseconds(trace.duration)}"]
        lines += [f"  {line}" for line in trace.draw(most_lines=MOST_LINES // 2).splitlines()]
    if len(traces) > len(shown):
        lines.append(f"... {len(traces) - len(shown)} more traces")
    return lines


def loose_lines(spans: Sequence[Span], logs: Sequence[Log]) -> list[str]:
    known = {span.trace_id for span in spans}
    loose = [log for log in logs if log.trace_id not in known]
    return ["logs outside of any trace:", *(f"  {log_line(log)}" for log in loose)] if loose else []


def open_lines(own: Slice) -> list[str]:
    names = sorted(own.open_spans.values())
    return [f"not ended yet: {', '.join(names)}"] if names else []


def refused_lines(own: Slice) -> list[str]:
    return [f"not stored, for SQL and PromQL: {count} of {word}" for word, count in Counter(own.refused).items()]
