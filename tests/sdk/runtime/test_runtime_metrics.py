"""Metrics of the running interpreter: by the names of the conventions, of this process and of each that it is forked to."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from conventions import assert_by_the_conventions
from metrics_read import Metered
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from sonde.sdk.runtime import garbage
from sonde.sdk.runtime.event_loop import PERIOD_SECONDS, EventLoops
from sonde.sdk.runtime.garbage import Garbage
from sonde.sdk.runtime.gil import GilWait, queued_seconds
from sonde.sdk.runtime.host import Host
from sonde.sdk.runtime.interpreter import THREAD, RuntimeMetrics
from sonde.sdk.runtime.process import MEASURES
from sonde.sdk.runtime.readings import Measure, register, telling

PATIENCE = 60.0


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.fixture
def metered() -> Metered:
    return Metered()


# Measures.


def test_names_units_and_kinds_are_those_of_the_conventions() -> None:
    measures = (*MEASURES, *Garbage(Metered().meter).measures())
    named = [measure for measure in measures if not measure.name.startswith("sonde.")]
    assert_by_the_conventions(named, "process", "cpython")


def test_what_can_not_be_read_is_left_out_and_the_rest_is_told(metered: Metered) -> None:
    def fails() -> Any:
        raise PermissionError("not yours")

    measures = [Measure("broken", "gauge", "1", "", fails), Measure("whole", "gauge", "1", "", lambda: [(2.5, {})])]
    register(metered.meter, measures)
    assert metered.values("whole") == {"": 2.5}
    assert metered.points("broken") == []


def test_the_guide_has_every_metric() -> None:
    guide = (Path(__file__).parents[3] / "docs" / "sdk.md").read_text()
    meter = Metered().meter
    names = [measure.name for measure in (*MEASURES, *Garbage(meter).measures(), *Host().measures())]
    names += ["sonde.cpython.gc.pause", "sonde.asyncio.eventloop.delay", "sonde.cpython.gil.wait"]
    shortened = ("system.cpu.load_average.5m", "system.cpu.load_average.15m")
    assert [name for name in names if f"`{name}`" not in guide and name not in shortened] == []


# The process.


def test_a_process_tells_what_the_system_counts_of_it(metered: Metered) -> None:
    psutil = pytest.importorskip("psutil")
    register(metered.meter, MEASURES)
    process = psutil.Process()
    before, found, after = process.cpu_times(), metered.values("process.cpu.time"), process.cpu_times()
    tick = 1 / os.sysconf("SC_CLK_TCK")
    assert before.user - tick <= found["user"] <= after.user + tick
    assert before.system - tick <= found["system"] <= after.system + tick
    assert metered.values("process.thread.count") == {"": process.num_threads()}
    assert metered.values("process.memory.virtual") == {"": process.memory_info().vms}
    assert metered.values("process.memory.usage")[""] == pytest.approx(process.memory_info().rss, rel=0.05)
    before_switches = process.num_ctx_switches()
    assert metered.values("process.context_switches")["voluntary"] >= before_switches.voluntary
    uptime = metered.values("process.uptime")[""]
    assert 0 < uptime <= time.time() - process.create_time() + 2


def test_open_files_are_counted(metered: Metered, tmp_path: Path) -> None:
    register(metered.meter, MEASURES)
    name = "process.unix.file_descriptor.count"
    before = metered.values(name)[""]
    with (tmp_path / "a").open("w"), (tmp_path / "b").open("w"):
        assert metered.values(name)[""] == before + 2
    assert metered.values(name)[""] == before


# Garbage.


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_pauses_add_up_by_generation_and_only_long_ones_are_told_one_by_one(metered: Metered) -> None:
    clock = Clock()
    collector = Garbage(metered.meter, clock)
    register(metered.meter, [telling(collector.tell, measure) for measure in collector.measures()])
    for generation, seconds in ((0, 0.0005), (0, 0.0005), (2, 0.25), (2, 0.5)):
        collector._hear("start", {"generation": generation})
        clock.now += seconds
        collector._hear("stop", {"generation": generation, "collected": 0, "uncollectable": 0})
    found = metered.metrics()
    times = {point.attributes["cpython.gc.generation"]: point.value for point in times_of(found)}
    assert times == pytest.approx({0: 0.001, 1: 0.0, 2: 0.75})
    (pauses,) = found["sonde.cpython.gc.pause"].data.data_points
    assert (pauses.count, pauses.sum, dict(pauses.attributes)) == (2, 0.75, {"cpython.gc.generation": 2})


def times_of(found: dict[str, Any]) -> list[Any]:
    return list(found["sonde.cpython.gc.time"].data.data_points)


def test_real_collections_are_counted_until_it_stops(metered: Metered, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(garbage, "LONG_SECONDS", 0.0)
    collector = Garbage(metered.meter)
    register(metered.meter, [telling(collector.tell, measure) for measure in collector.measures()])
    collector.start()
    before = metered.values("cpython.gc.collections")[2]
    gc.collect()
    collector.stop()
    assert metered.values("cpython.gc.collections")[2] == before + 1
    assert metered.values("sonde.cpython.gc.time")[2] > 0
    counted = count(metered, "sonde.cpython.gc.pause")
    gc.collect()
    assert count(metered, "sonde.cpython.gc.pause") == counted > 0
    assert collector._hear not in gc.callbacks


def count(metered: Metered, name: str) -> int:
    return sum(point.count for point in metered.points(name))


def test_a_long_pause_is_an_exemplar_of_the_trace_it_fell_into(
    metered: Metered, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(garbage, "LONG_SECONDS", 0.0)
    collector = Garbage(metered.meter)
    register(metered.meter, [telling(collector.tell, measure) for measure in collector.measures()])
    collector.start()
    with TracerProvider().get_tracer("test").start_as_current_span("paused") as span:
        gc.collect()
    collector.stop()
    traces = [exemplar.trace_id for point in metered.points("sonde.cpython.gc.pause") for exemplar in point.exemplars]
    assert span.get_span_context().trace_id in traces


def test_a_collection_within_the_metrics_own_locks_does_not_stand_still(
    metered: Metered, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Collections at every allocation, while the pauses' own histogram is written and read."""
    monkeypatch.setattr(garbage, "LONG_SECONDS", 0.0)
    collector = Garbage(metered.meter)
    register(metered.meter, [telling(collector.tell, measure) for measure in collector.measures()])
    before = gc.get_threshold()
    gc.set_threshold(1, 1, 1)
    collector.start()
    try:
        for _ in range(3):
            collector.tell()
            assert metered.metrics()
    finally:
        gc.set_threshold(*before)
        collector.stop()


# Event loops.


@pytest.fixture
def loops(metered: Metered) -> Iterator[EventLoops]:
    """Watching, and the loops' classes as they were afterwards."""
    import uvloop

    kept = asyncio.BaseEventLoop.run_forever, uvloop.Loop.run_forever
    watching = EventLoops(metered.meter)
    watching.start()
    yield watching
    watching.stop()
    asyncio.BaseEventLoop.run_forever, uvloop.Loop.run_forever = kept  # type: ignore[method-assign]


def delays(loops: EventLoops, metered: Metered) -> list[Any]:
    loops.delays.tell()
    return metered.points("sonde.asyncio.eventloop.delay")


def runs() -> list[Any]:
    import uvloop

    return [asyncio.new_event_loop, uvloop.new_event_loop]


@pytest.mark.parametrize("make", runs())
def test_a_callback_that_blocks_makes_the_loop_late(make: Any, loops: EventLoops, metered: Metered) -> None:
    """It blocks for longer than the timer's period, and so the timer is late by what is beyond that at least."""

    async def block() -> None:
        time.sleep(2 * PERIOD_SECONDS)
        while not delays(loops, metered):
            await asyncio.sleep(0.01)

    loop = make()
    loop.run_until_complete(block())
    loop.close()
    (point,) = delays(loops, metered)
    assert point.max >= PERIOD_SECONDS / 2


@pytest.mark.parametrize("make", runs())
def test_a_loop_that_has_stopped_keeps_nothing_of_it(make: Any, loops: EventLoops) -> None:
    """Its end is as before, however often it runs; and it may be collected."""
    loop = make()
    for _ in range(3):
        assert loop.run_until_complete(asyncio.sleep(0, "done")) == "done"
    if hasattr(loop, "_scheduled"):
        assert all(timer.cancelled() for timer in loop._scheduled)
    loop.close()
    with pytest.raises(RuntimeError, match="closed"):
        loop.run_forever()


def test_a_loop_can_not_be_run_twice_at_a_time_as_before(loops: EventLoops) -> None:
    async def again() -> None:
        with pytest.raises(RuntimeError, match="already running"):
            asyncio.get_running_loop().run_forever()

    asyncio.run(again())


def test_a_loop_that_runs_already_is_watched(metered: Metered) -> None:
    kept = asyncio.BaseEventLoop.run_forever
    watching = EventLoops(metered.meter)

    async def late() -> None:
        watching.start()
        while not delays(watching, metered):
            await asyncio.sleep(0.01)
        watching.stop()

    try:
        asyncio.run(late())
    finally:
        asyncio.BaseEventLoop.run_forever = kept  # type: ignore[method-assign]


# The GIL.


def gil_wait(account: list[float], lateness: list[float]) -> GilWait:
    """With a kernel that has kept the thread waiting for a CPU for `account` seconds in all at each look, and sleeps that last
    too long by `lateness`."""
    clock, looks, late = Clock(), iter(account), iter(lateness)

    def sleep(seconds: float) -> None:
        clock.now += seconds + next(late)

    return GilWait(sleep, clock, lambda: next(looks))


def test_what_the_timer_and_the_kernel_cost_is_not_waiting_for_the_gil() -> None:
    waits = gil_wait([0, 0, 0, 0, 0, 0.02, 0, 0.5], [0.0001, 0.0001, 0.0251, 0.3])
    assert waits.sample() is None
    assert waits.sample() == 0.0
    assert waits.sample() == pytest.approx(0.005)
    assert waits.sample() == 0.0


@pytest.mark.skipif(sys.platform != "linux", reason="it is Linux that keeps this account")
def test_the_kernel_says_how_long_a_thread_waited_for_a_cpu() -> None:
    """It only grows, and no file stays open."""
    files = os.listdir("/proc/self/fd")
    looks = [queued_seconds() for _ in range(3)]
    assert 0 <= looks[0] <= looks[1] <= looks[2] <= time.process_time() + time.monotonic()
    assert os.listdir("/proc/self/fd") == files


def test_where_the_kernel_keeps_no_account_it_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sonde.sdk.runtime.gil.SCHEDULE", "/nowhere/schedstat")
    assert queued_seconds() == 0.0


def test_a_thread_that_computes_lets_others_wait_for_the_interpreter() -> None:
    """Where nothing computes, a wait of the switch interval is seen only now and then."""
    waits, stop = GilWait(), threading.Event()

    def compute() -> None:
        while not stop.is_set():
            sum(range(10_000))

    waits.sample()
    thread = threading.Thread(target=compute)
    before = sys.getswitchinterval()
    sys.setswitchinterval(0.05)
    thread.start()
    try:
        wait_until(lambda: (waits.sample() or 0.0) > 0.02)
    finally:
        stop.set()
        thread.join()
        sys.setswitchinterval(before)


# All of it.


def watchers() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == THREAD]


def test_it_starts_and_stops_without_a_trace(metered: Metered) -> None:
    kept, callbacks = asyncio.BaseEventLoop.run_forever, list(gc.callbacks)
    runtime = RuntimeMetrics(metered.provider)
    runtime.start()
    try:
        assert len(watchers()) == 1
        wait_until(lambda: bool(metered.points("sonde.cpython.gil.wait")))
        assert {"process.cpu.time", "cpython.gc.collections", "sonde.cpython.gc.time"} <= set(metered.metrics())
    finally:
        runtime.stop()
        asyncio.BaseEventLoop.run_forever = kept  # type: ignore[method-assign]
    wait_until(lambda: not watchers())
    assert gc.callbacks == callbacks


@pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")
def test_a_forked_child_tells_its_own(metered: Metered) -> None:
    """Sums begin at nothing, and its thread is its own."""
    kept = asyncio.BaseEventLoop.run_forever
    runtime = RuntimeMetrics(metered.provider)
    runtime.start()
    gc.collect()
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        told: dict[str, Any] = {}
        try:
            gc.disable()
            told["collections"] = metered.values("cpython.gc.collections")[2]
            gc.collect()
            told["collections after one"] = metered.values("cpython.gc.collections")[2]
            told["threads"] = len(watchers())
            told["cpu"] = sum(metered.values("process.cpu.time").values())
        finally:
            os.write(writing, json.dumps(told).encode())
            os._exit(0)
    os.close(writing)
    try:
        with os.fdopen(reading) as file:
            told = json.loads(file.read())
        os.waitpid(child, 0)
        cpu = sum(metered.values("process.cpu.time").values())
    finally:
        runtime.stop()
        asyncio.BaseEventLoop.run_forever = kept  # type: ignore[method-assign]
    assert told["collections"] == 0
    assert told["collections after one"] == 1
    assert told["threads"] == 1
    assert told["cpu"] < cpu


def test_nothing_measured_after_a_fork_belongs_to_the_trace_it_happened_in(metered: Metered) -> None:
    register(metered.meter, MEASURES)
    with TracerProvider().get_tracer("test").start_as_current_span("forks"):
        assert trace.get_current_span().is_recording()
        found = metered.metrics()
    assert all(not point.exemplars for metric in found.values() for point in metric.data.data_points)


OWN_PROVIDER = """
from opentelemetry import metrics
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from sonde.sdk import instrument

reader = InMemoryMetricReader()
metrics.set_meter_provider(MeterProvider([reader]))
instrument(service="own", traces=("none",), logs=("none",), host_metrics="true")
data = reader.get_metrics_data()
print(*(metric.name for scope in data.resource_metrics[0].scope_metrics for metric in scope.metrics))
"""


BROKEN_PROVIDER = """
from opentelemetry import metrics
from sonde.sdk import instrument

class Broken(metrics.MeterProvider):
    def get_meter(self, *_, **__):
        raise RuntimeError("no meters here")

metrics.set_meter_provider(Broken())
print(instrument(service="own", traces=("none",), logs=("none",)).observers)
"""


def test_a_provider_that_fails_does_not_stop_the_program() -> None:
    done = run(BROKEN_PROVIDER)
    assert done.stdout == "[]\n"
    assert "no meters here" in done.stderr


def run(program: str, **more: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "SONDE_"))}
    command = [sys.executable, "-c", program]
    return subprocess.run(command, env=kept | more, check=True, capture_output=True, text=True, timeout=PATIENCE)


def test_a_program_with_a_provider_of_its_own_is_measured_by_that(tmp_path: Path) -> None:
    nobody_elses_election = {"OTEL_EXPORTER_OTLP_METRICS_HEADERS": f"x-test={tmp_path}"}
    done = run(OWN_PROVIDER, **nobody_elses_election)
    assert {"process.cpu.time", "sonde.cpython.gc.time", "system.cpu.time"} <= set(done.stdout.split())
