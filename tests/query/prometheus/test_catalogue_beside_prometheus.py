"""What there is to ask for, and what promtool prints of it: a real Prometheus and sonde with the same samples say the same.

Prometheus 2.42 keeps no metadata of what is written to it; that of what it scrapes is compared in `test_prometheus_writes.py`.
"""

from __future__ import annotations

import subprocess
from typing import Any

import pytest
from beside_data import BASE
from both_servers import Both, difference
from prometheus_server import program

END = BASE + 3607
ALL = {"start": BASE, "end": END}
AT = BASE + 2767


def by_labels(data: Any) -> Any:
    """Label sets in the order of their labels: that of an answer says nothing."""
    return sorted(data, key=lambda row: sorted(row.items())) if data and isinstance(data[0], dict) else data


@pytest.mark.parametrize(
    ("path", "fields"),
    [
        ("series", {"match[]": "requests_total"}),
        ("series", {"match[]": ["quota", 'build_info{version=~"1.*"}', "quota"]}),
        ("series", {"match[]": '{job="api"}'}),
        ("series", {"match[]": '{__name__=~"latency.*",le!="0.1"}'}),
        ("series", {"match[]": "nothing"}),
        ("series", {"match[]": 'spelled{text=~".*[^a-z ].*"}'}),
        ("series", {"match[]": "size_bytes"}),
        ("labels", {}),
        ("labels", {"match[]": "build_info"}),
        ("labels", {"match[]": ["temperature_celsius", "quota"]}),
        ("labels", {"match[]": '{job="batch"}'}),
        ("labels", {"match[]": "nothing"}),
        ("label/job/values", {}),
        ("label/le/values", {}),
        ("label/le/values", {"match[]": 'latency_seconds_bucket{job="web"}'}),
        ("label/__name__/values", {}),
        ("label/__name__/values", {"match[]": '{job="api"}'}),
        ("label/__name__/values", {"match[]": '{__name__=~".*_total"}'}),
        ("label/text/values", {}),
        ("label/_private/values", {}),
        ("label/instance/values", {"match[]": ["build_info{version='1.0'}", "memory_bytes"]}),
        ("label/nothing/values", {}),
        ("label/version/values", {"match[]": "quota"}),
    ],
)
def test_lists_are_the_same(both: Both, path: str, fields: dict[str, Any]) -> None:
    theirs, ours = both.ask(path, fields | ALL)
    assert theirs.status_code == ours.status_code == 200
    left, right = theirs.json(), ours.json()
    assert {**left, "data": by_labels(left["data"])} == {**right, "data": by_labels(right["data"])}


@pytest.mark.parametrize(
    ("path", "fields"),
    [
        ("series", {}),
        ("series", {"match[]": "{}"}),
        ("series", {"match[]": "requests_total["}),
        ("labels", {"match[]": '{job=~".*"}'}),
        ("labels", {"match[]": "rate(a[5m])"}),
        ("label/job/values", {"match[]": "a b"}),
        ("query_exemplars", {"query": "requests_total{", **ALL}),
        ("query_exemplars", {"query": "requests_total", "start": "9", "end": "8"}),
        ("query", {"query": "requests_total", "time": "x"}),
        ("query_range", {"query": "requests_total[5m]", **ALL, "step": 60}),
        ("query_range", {"query": "requests_total", **ALL, "step": "-1"}),
        ("query_range", {"query": "requests_total", **ALL, "step": "often"}),
        ("query_range", {"query": "requests_total", **ALL, "step": "0.01"}),
        ("nothing_of_that_name", {}),
    ],
)
def test_what_is_refused_is_refused_alike(both: Both, path: str, fields: dict[str, Any]) -> None:
    theirs, ours = both.ask(path, fields)
    assert theirs.status_code == ours.status_code
    if theirs.headers["content-type"] == "application/json":
        assert ours.json()["errorType"] == theirs.json()["errorType"]


@pytest.mark.parametrize(
    ("query", "start", "end"),
    [
        ("requests_total", BASE, END),
        ('rate(requests_total{code="200"}[5m]) / requests_total{code="500"}', BASE, END),
        ("requests_total", BASE + 1000, END),
        ("memory_bytes", BASE, END),
    ],
)
def test_exemplars_are_the_same(both: Both, query: str, start: int, end: int) -> None:
    theirs, ours = both.ask("query_exemplars", {"query": query, "start": start, "end": end})

    def sorted_by_series(body: Any) -> Any:
        return body | {"data": sorted(body["data"], key=lambda row: sorted(row["seriesLabels"].items()))}

    assert difference(sorted_by_series(theirs.json()), sorted_by_series(ours.json())) == ""


@pytest.mark.parametrize(
    "words",
    [
        ["instant", f"--time={AT}", "SERVER", "max by (job) (requests_total)"],
        ["instant", f"--time={AT}", "SERVER", "requests_total"],
        ["instant", f"--time={AT}", "SERVER", "sort_desc(memory_bytes)"],
        ["instant", f"--time={AT}", "SERVER", "odd"],
        ["instant", f"--time={AT}", "SERVER", "spelled"],
        ["instant", f"--time={AT}", "SERVER", "scalar(flat)"],
        ["instant", f"--time={AT}", "SERVER", "ramp[1m]"],
        ["instant", f"--time={AT}", "SERVER", "nothing"],
        ["instant", "--format=json", f"--time={AT}", "SERVER", "quota > 200"],
        ["range", f"--start={BASE + 7}", f"--end={END}", "--step=10m", "SERVER", "max by (job) (memory_bytes)"],
        ["range", f"--start={BASE + 7}", f"--end={END}", "--step=300s", "SERVER", "session"],
        ["range", f"--start={BASE + 7}", f"--end={END}", "--step=20m", "SERVER", "odd * 2"],
        ["range", f"--start={BASE + 7}", f"--end={END}", "--step=20m", "SERVER", "7"],
        ["series", "--match=build_info", f"--start={BASE}", f"--end={END}", "SERVER"],
        ["series", '--match={job="batch"}', "--match=owner", f"--start={BASE}", f"--end={END}", "SERVER"],
        ["labels", f"--start={BASE}", f"--end={END}", "SERVER", "job"],
        ["labels", f"--start={BASE}", f"--end={END}", "SERVER", "__name__"],
        ["labels", f"--start={BASE}", f"--end={END}", "--match=quota", "SERVER", "job"],
        ["instant", "SERVER", "sum(a b)"],
        ["instant", f"--time={AT}", "SERVER", "rate(quota)"],
    ],
    ids=" ".join,
)
def test_promtool_prints_the_same(both: Both, words: list[str]) -> None:
    theirs, ours = (
        subprocess.run(
            [program("promtool"), "query", *(base if word == "SERVER" else word for word in words)],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        for base in (both.prometheus, both.sonde)
    )
    assert ours.returncode == theirs.returncode
    assert ours.stderr == theirs.stderr
    if "sort" in " ".join(words):
        assert ours.stdout == theirs.stdout
    assert sorted(ours.stdout.splitlines()) == sorted(theirs.stdout.splitlines())
