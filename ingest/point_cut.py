"""Cuts data points out of a scanned request, and leaves every other byte as it is.

A message that a point is cut from gets its length written anew in as many bytes as before: a varint may be longer than it need be,
and every protobuf parser takes it. So what is written never moves, and one pass does. A message in which points stood and none is
left goes as a whole, up to its ResourceMetrics: refused series leave no empty shells behind.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from sonde.ingest import metrics_fields as f
from sonde.ingest.kernel import inline, kernel, part, pointer
from sonde.ingest.scan_metrics import is_data
from sonde.ingest.wire import pass_field, take_len, take_tag
from sonde.storage.columns import U8


def without_points(buffer: U8, cut: U8) -> memoryview:
    """The scanned request in `buffer` (read-only) without the data points at which `cut` (one a point, in wire order) is not 0.

    No singular message may stand in it twice (`scan.merged`).
    """
    out = np.empty(len(buffer), np.uint8)
    length = copy_request(buffer, cut, out)
    return out.data[:length]


@kernel
def copy_request(buf: Any, cut: Any, out: Any) -> Any:
    """Write the request without the points that are cut; its length then."""
    data, judged, written = pointer(buf), pointer(cut), pointer(out)
    pos, end, to, seen, kept = 0, len(buf), 0, 0, 0
    while pos < end:
        before = pos
        field, pos = take_tag(data, pos)
        if field == f.REQUEST_RESOURCE_METRICS:
            _start, pos = take_len(data, pos)
            to, seen, kept = copy_resource_metrics(data, before, judged, seen, kept, written, to)
        else:
            pos = pass_field(data, pos, field)
            to = copy(data, before, pos, written, to)
    return to


@part
def copy_resource_metrics(buf: Any, before: int, cut: Any, seen: int, kept: int, out: Any, to: int) -> Any:
    """Copy the ResourceMetrics whose tag stands at `before` to `to`: (next `to`, points seen so far, points kept so far)."""
    head, first, kept_before = to, seen, kept
    pos, end, to = copy_head(buf, before, out, to)
    content, length = to, end - pos
    while pos < end:
        inner = pos
        field, pos = take_tag(buf, pos)
        if field == f.RESOURCE_METRICS_SCOPE_METRICS:
            _start, pos = take_len(buf, pos)
            to, seen, kept = copy_scope_metrics(buf, inner, cut, seen, kept, out, to)
        else:
            pos = pass_field(buf, pos, field)
            to = copy(buf, inner, pos, out, to)
    return end_message(head, content, length, seen > first and kept == kept_before, out, to), seen, kept


@part
def copy_scope_metrics(buf: Any, before: int, cut: Any, seen: int, kept: int, out: Any, to: int) -> Any:
    """The same of a ScopeMetrics."""
    head, first, kept_before = to, seen, kept
    pos, end, to = copy_head(buf, before, out, to)
    content, length = to, end - pos
    while pos < end:
        inner = pos
        field, pos = take_tag(buf, pos)
        if field == f.SCOPE_METRICS_METRICS:
            _start, pos = take_len(buf, pos)
            to, seen, kept = copy_metric(buf, inner, cut, seen, kept, out, to)
        else:
            pos = pass_field(buf, pos, field)
            to = copy(buf, inner, pos, out, to)
    return end_message(head, content, length, seen > first and kept == kept_before, out, to), seen, kept


@part
def copy_metric(buf: Any, before: int, cut: Any, seen: int, kept: int, out: Any, to: int) -> Any:
    """The same of a Metric."""
    head, first, kept_before = to, seen, kept
    pos, end, to = copy_head(buf, before, out, to)
    content, length = to, end - pos
    while pos < end:
        inner = pos
        field, pos = take_tag(buf, pos)
        if is_data(field):
            _start, pos = take_len(buf, pos)
            to, seen, kept = copy_data(buf, inner, cut, seen, kept, out, to)
        else:
            pos = pass_field(buf, pos, field)
            to = copy(buf, inner, pos, out, to)
    return end_message(head, content, length, seen > first and kept == kept_before, out, to), seen, kept


@part
def copy_data(buf: Any, before: int, cut: Any, seen: int, kept: int, out: Any, to: int) -> Any:
    """The same of a Gauge, Sum, Histogram, ExponentialHistogram or Summary, which goes with its Metric or not at all."""
    pos, end, to = copy_head(buf, before, out, to)
    content, length = to, end - pos
    while pos < end:
        inner = pos
        field, pos = take_tag(buf, pos)
        pos = pass_field(buf, pos, field)
        if field == f.DATA_POINTS:
            seen += 1
            if cut[seen - 1] != 0:
                continue
            kept += 1
        to = copy(buf, inner, pos, out, to)
    return end_message(content, content, length, False, out, to), seen, kept


@inline
def copy_head(buf: Any, before: int, out: Any, to: int) -> Any:
    """Copy the tag at `before` and the length behind it: (start, stop) of the content, and where its copy begins."""
    _field, at = take_tag(buf, before)
    start, stop = take_len(buf, at)
    return start, stop, copy(buf, before, start, out, to)


@inline
def end_message(head: int, content: int, length: int, emptied: bool, out: Any, to: int) -> Any:
    """The copy that began at `head`, its content at `content`, ends before `to`: take it back where `emptied`, else correct its
    length, which was `length`. Where the next one goes."""
    if emptied:
        return head
    if to - content != length:
        put_length(out, content, to - content)
    return to


@inline
def put_length(out: Any, stop: int, length: int) -> Any:
    """Write `length` over the varint that ends before `stop`, in as many bytes as that has: all but its last are above 127, and
    before it stands a tag, whose last one is not."""
    start = stop - 1
    while out[start - 1] >= 0x80:
        start -= 1
    for at in range(start, stop - 1):
        out[at] = np.uint8(length & 0x7F | 0x80)
        length >>= 7
    out[stop - 1] = np.uint8(length)


@inline
def copy(buf: Any, start: int, stop: int, out: Any, to: int) -> Any:
    """Copy the bytes in [start, stop) to `to`; where they end there."""
    for at in range(stop - start):
        out[to + at] = buf[start + at]
    return to + stop - start
