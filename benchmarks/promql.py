"""PromQL over HTTP: sonde beside Prometheus and VictoriaMetrics, on the same samples in one run.

    make bench BENCH=promql ARGS="--series 10000 --hours 1 --every 15 --rounds 5"
    make bench BENCH=promql ARGS="--series 1000 --hours 72 --every 60"

sonde is fed by OTLP, the others by remote write, so Prometheus answers from the head in its memory; of what is older than three
hours it makes blocks meanwhile. VictoriaMetrics' cache of results is off. Every answer is compared before it is timed: sonde
has to agree with Prometheus; where VictoriaMetrics, which extrapolates in its own way, does not, a line says so, and also where
another server breaks the connection off or answers with an error: then that case goes without it. The servers answer in turn;
`ms` is the median wall time of a whole request, `cpu ms` the mean CPU time of the server's process, the ratios are of the other
server to sonde: above 1 sonde is the faster. `peak_mib` in the JSON is the most resident memory while it answered.

Windows of five minutes become four samples' time where samples are farther apart (`--every`). Steps of an hour and more are
whole hours, those of five minutes and more multiples of these, as Grafana has them. At the end sonde is asked for more than it
gives, and what it says is printed.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import http.client
import json
import math
import statistics
import time
import urllib.parse
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from benchmarks import promql_data
from benchmarks.machine import machine
from benchmarks.prometheus_servers import MetricsServer, prometheus, victoria_metrics
from benchmarks.serving import serving

REQUESTS, USED = "http_server_requests_total", "process_memory_usage_bytes"
BUCKETS = "http_server_request_duration_seconds_bucket"
TOLERANCE = 1e-6
STEPS = 60
PATIENCE_SECONDS = 600.0
P99 = f"histogram_quantile(0.99, sum by (le, service) (rate({BUCKETS}[5m])))"
BY_VERSION = f"sum by (version) (rate({REQUESTS}[5m]) * on (service, instance) group_left (version) build_info)"
SUBQUERY = f'max_over_time(rate({REQUESTS}{{code="500"}}[5m])[29m30s:1m])'
"""No step falls on the left edge, which belonged to a window in Prometheus 2 and does not in 3."""
TOO_HEAVY_CELLS = 200_000_000
"""Four times what `promql_max_samples` allows."""
LOOKBACK_SECONDS = 300
CASES = (
    ("selector, one service", f'{REQUESTS}{{service="service-07"}}', 1),
    ("selector, all", REQUESTS, 1),
    ("sum by rate", f"sum by (service) (rate({REQUESTS}[5m]))", 1),
    ("sum by rate", f"sum by (service) (rate({REQUESTS}[5m]))", STEPS),
    ("sum by rate, one route", f'sum by (code) (rate({REQUESTS}{{route="/api/orders"}}[5m]))', STEPS),
    ("quantile of buckets", P99, 1),
    ("quantile of buckets", P99, STEPS),
    ("topk of rate", f"topk(10, rate({REQUESTS}[5m]))", 1),
    ("topk of sum by rate", f"topk(3, sum by (service) (rate({REQUESTS}[5m])))", STEPS),
    ("join", BY_VERSION, 1),
    ("join", BY_VERSION, STEPS),
    ("subquery", SUBQUERY, 1),
    ("avg_over_time", f"avg_over_time({USED}[10m])", 1),
    ("avg by avg_over_time", f"avg by (service) (avg_over_time({USED}[10m]))", STEPS),
    ("count by", f"count by (service, code) ({REQUESTS})", 1),
    ("count by", f"count by (service, code) ({REQUESTS})", STEPS),
    ("quantile_over_time", f"max by (service) (quantile_over_time(0.9, {USED}[10m]))", 1),
    ("quantile_over_time", f"max by (service) (quantile_over_time(0.9, {USED}[10m]))", STEPS),
    ("rate of every series", f'rate({REQUESTS}{{code="200"}}[5m])', STEPS),
    ("rate of an hour, all", f"rate({REQUESTS}[1h])", STEPS),
    ("sum by rate of an hour", f"sum by (service) (rate({REQUESTS}[1h]))", STEPS),
    ("max of an hour", f"max by (service) (max_over_time({USED}[1h]))", STEPS),
)

Answer = dict[tuple[tuple[str, str], ...], dict[float, float]]
"""Values by the labels of a series and the time of a step."""


@dataclass(frozen=True, slots=True)
class Question:
    name: str
    expression: str
    steps: int
    end: int
    span: int
    """Seconds that the steps of a range query cover."""
    every: int
    """Seconds between samples."""

    def path(self) -> str:
        if self.steps == 1:
            return "/api/v1/query?" + urllib.parse.urlencode({"query": self.expression, "time": self.end})
        step = self.span // self.steps
        # Times and steps are multiples of the interval, so that no sample is on an edge of a window.
        unit = math.lcm(self.every, next((each for each in (3600, 300) if step >= each), 1))
        step, end = max(1, step // unit) * unit, self.end // unit * unit
        asked = {"query": self.expression, "start": end - step * (self.steps - 1), "end": end, "step": step}
        return "/api/v1/query_range?" + urllib.parse.urlencode(asked)


class NoAnswer(Exception):
    """A server broke off, or answered with an error; the text says so."""


class Client:
    """A connection to a server."""

    def __init__(self, server: MetricsServer) -> None:
        self.server = server
        base = urllib.parse.urlsplit(server.base)
        self.prefix = base.path
        self.connection = http.client.HTTPConnection(base.netloc, timeout=PATIENCE_SECONDS)

    def renew(self) -> None:
        """Connect anew: a server may have closed a connection that was idle while the others were asked."""
        self.connection.close()
        self.connection.connect()

    def request(self, method: str, path: str, body: bytes | None = None, **headers: str) -> bytes:
        """The body of a success; `NoAnswer` where there is none."""
        status, content = self.answer(method, path, body, **headers)
        if status // 100 != 2:
            raise NoAnswer(f"{self.server.name} answered {path[:300]} with {status}: {content[:500]!r}")
        return content

    def answer(self, method: str, path: str, body: bytes | None = None, **headers: str) -> tuple[int, bytes]:
        """Status and body, whatever they say."""
        try:
            self.connection.request(method, self.prefix + path, body, headers)
            answer = self.connection.getresponse()
            return answer.status, answer.read()
        except (OSError, http.client.HTTPException) as error:
            self.connection.close()
            raise NoAnswer(f"{self.server.name} broke off while asked {path[:300]}: {error!r}") from error

    def ask(self, path: str) -> Answer:
        data = json.loads(self.request("GET", path))["data"]
        return {
            tuple(sorted(row["metric"].items())): {
                float(at): float(value) for at, value in row.get("values") or [row["value"]]
            }
            for row in data["result"]
        }


def fed_by_otlp(address: str, bodies: Iterable[bytes]) -> None:
    client = Client(MetricsServer("sonde", 0, f"http://{address}"))
    for body in bodies:
        answer = client.request("POST", "/v1/metrics", body, **{"Content-Type": "application/x-protobuf"})
        assert not answer, f"not all points were taken: {answer!r}"


def fed_by_remote_write(clients: list[Client], bodies: Iterable[bytes]) -> None:
    headers = {
        "Content-Type": "application/x-protobuf",
        "Content-Encoding": "snappy",
        "X-Prometheus-Remote-Write-Version": "0.1.0",
    }
    for body in bodies:
        for client in clients:
            client.request("POST", "/api/v1/write", body, **headers)


def wait_until_stored(client: Client, metrics: list[promql_data.Metrics], end: int, span: int) -> None:
    """Until every sample can be queried."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    for each in metrics:
        name = each.prometheus + ("_count" if each.sums is not None else "")
        query = urllib.parse.urlencode({"query": f"sum(count_over_time({name}[{span + 60}s]))", "time": end})
        while (
            found := sum(value for row in client.ask(f"/api/v1/query?{query}").values() for value in row.values())
        ) < (each.times_ms.size):
            if time.monotonic() > deadline:
                raise SystemExit(f"{client.server.name} has {found:.0f} of {each.times_ms.size} samples of {name}")
            time.sleep(1)


def difference(ours: Answer, theirs: Answer) -> str:
    """Where the two differ; empty where they agree."""
    if ours.keys() != theirs.keys():
        only = [dict(next(iter(one))) for one in (ours.keys() - theirs.keys(), theirs.keys() - ours.keys()) if one]
        return f"{len(ours)} series and {len(theirs)}, such as {only}"
    for labels, row in ours.items():
        if row.keys() != theirs[labels].keys():
            return f"{len(row)} steps and {len(theirs[labels])} of {dict(labels)}"
        for at, value in row.items():
            if not math.isclose(value, theirs[labels][at], rel_tol=TOLERANCE):
                return f"{value} and {theirs[labels][at]} at {at} of {dict(labels)}"
    return ""


def compare(question: Question, clients: list[Client], rounds: int) -> dict[str, Any]:
    """Check the answers, which also warms every server, then time those servers in turn that have one."""
    path = question.path()
    ours, able = checked(question, path, clients)
    seconds: dict[str, list[float]] = {client.server.name: [] for client in able}
    cpu = dict.fromkeys(seconds, 0.0)
    peak = dict.fromkeys(seconds, 0.0)
    for _ in range(rounds):
        for client in able:
            name = client.server.name
            client.renew()
            client.server.forget_peak()
            before, began = client.server.cpu_seconds(), time.perf_counter()
            client.request("GET", path)
            seconds[name].append(time.perf_counter() - began)
            cpu[name] += client.server.cpu_seconds() - before
            peak[name] = max(peak[name], client.server.peak_mib())
    case = {"case": question.name, "query": question.expression, "steps": question.steps, "series": len(ours)}
    for name, each in seconds.items():
        case |= {
            f"{name}_ms": round(statistics.median(each) * 1e3, 2),
            f"{name}_cpu_ms": round(cpu[name] / rounds * 1e3, 1),
        }
        case[f"{name}_peak_mib"] = round(peak[name])
    for client in able[1:]:
        name = client.server.name
        case[f"{name}_ratio"] = round(case[f"{name}_ms"] / case["sonde_ms"], 2)
    print(row_of(case, clients), flush=True)
    return case


def checked(question: Question, path: str, clients: list[Client]) -> tuple[Answer, list[Client]]:
    """sonde's answer, and the clients of the servers that answer at all, sonde's first."""
    ours: Answer = {}
    able = []
    for client in clients:
        client.renew()
        try:
            answer = client.ask(path)
        except NoAnswer as said:
            if not able:
                raise
            print(f"note: {said}", flush=True)
            continue
        if not able:
            ours = answer
            assert ours, f"nothing was found for {question.expression}"
        elif found := difference(ours, answer):
            found = f"sonde and {client.server.name} differ in {question.expression}: {found}"
            assert client.server.name != "prometheus", found
            print(f"note: {found[:300]}", flush=True)
        able.append(client)
    return ours, able


def row_of(case: dict[str, Any], clients: list[Client]) -> str:
    names = [client.server.name for client in clients]
    there = [name for name in names if f"{name}_ms" in case]
    cells = {name: f"{case[f'{name}_ms']:8.1f} ({case[f'{name}_cpu_ms']:7.1f})" for name in there}
    ratios = {name: f"{case[f'{name}_ratio']:6.2f} x" for name in there[1:]}
    return (
        f"{case['case']:24} {case['steps']:5} {case['series']:7}  {'  '.join(cells.get(name, '-'.center(18)) for name in names)}"
        f"  {' '.join(ratios.get(name, '-'.center(8)) for name in names[1:])}"
    )


def head(clients: list[Client]) -> str:
    names = [client.server.name for client in clients]
    return (
        f"{'ms (cpu ms)':24} {'steps':>5} {'series':>7}  "
        f"{'  '.join(f'{name:>18}' for name in names)}  {' '.join(f'{name[:8]:>8}' for name in names[1:])}"
    )


def spread(expression: str, every: int) -> str:
    """The expression with windows of at least four samples."""
    window = max(LOOKBACK_SECONDS, 4 * every)
    return expression.replace("[5m]", f"[{window}s]")


def told_off(client: Client, series: int, end: int, span: int) -> dict[str, Any]:
    """What sonde says to a query that is too heavy, and how much memory it took until then."""
    step_ms = max(1, span * 1000 * series // TOO_HEAVY_CELLS)
    query = f'max_over_time({{__name__=~".+"}}[{span}s:{step_ms}ms])'
    client.renew()
    client.server.forget_peak()
    before, began = client.server.memory_mib(), time.perf_counter()
    status, content = client.answer("GET", "/api/v1/query?" + urllib.parse.urlencode({"query": query, "time": end}))
    said = content[:1000].decode(errors="replace")
    seconds = round(time.perf_counter() - began, 2)
    print(f"too heavy: {query} is answered with {status} in {seconds} s: {said}", flush=True)
    memory = {"mib_before": round(before), "peak_mib": round(client.server.peak_mib())}
    return {"query": query, "status": status, "said": said, "seconds": seconds, **memory}


def main() -> None:
    try:
        run()
    except NoAnswer as said:
        raise SystemExit(str(said)) from said


def run() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--series", type=int, default=10_000)
    parser.add_argument("--hours", type=float, default=1.0)
    parser.add_argument("--every", type=int, default=15, help="seconds between the samples of a series")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", default="", help="cases whose name has this in it")
    options = parser.parse_args()
    if options.every >= LOOKBACK_SECONDS:
        parser.error(f"--every has to be less than {LOOKBACK_SECONDS}: no present value is older than that")
    span = int(options.hours * 3600)
    end = int(time.time()) // 60 * 60
    metrics = promql_data.make(options.series, span // options.every, options.every, end * 1000, seed=1)
    with contextlib.ExitStack() as stack:
        others = [server for each in (prometheus, victoria_metrics) if (server := stack.enter_context(each()))]
        served = stack.enter_context(serving())
        sonde = MetricsServer("sonde", served.process.pid, f"http://{served.query}/prometheus")
        clients = [Client(server) for server in (sonde, *others)]
        fed_by_otlp(served.http, promql_data.otlp_requests(metrics))
        fed_by_remote_write(clients[1:], promql_data.remote_writes(metrics, options.every))
        for client in clients:
            wait_until_stored(client, metrics, end, span)
        samples = sum(each.values.size for each in metrics)
        print(
            f"{options.series} series, {samples} numbers, {options.hours:g} h at {options.every} s\n{head(clients)}",
            flush=True,
        )
        del metrics
        gc.collect()
        asked = [
            Question(name, spread(expression, options.every), steps, end, span, options.every)
            for name, expression, steps in CASES
            if options.only in name
        ]
        cases = [compare(question, clients, options.rounds) for question in asked]
        too_heavy = told_off(clients[0], options.series, end, span)
    medians = {
        server.name: round(statistics.median(ratios), 2)
        for server in others
        if (ratios := [case[key] for case in cases if (key := f"{server.name}_ratio") in case])
    }
    print("median ratio: " + ", ".join(f"{name} {ratio} x" for name, ratio in medians.items()))
    report = {
        "benchmark": "promql",
        **machine(),
        "series": options.series,
        "hours": options.hours,
        "every": options.every,
    }
    print(json.dumps(report | {"median_ratio": medians, "cases": cases, "too_heavy": too_heavy}))


if __name__ == "__main__":
    main()
