"""The plugin in pytest runs of its own: what is kept apart, what a failure says, and what it costs those who don't use it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

QUIET = ("-p", "no:cacheprovider", "-p", "no:hypothesispytest", "-p", "no:anyio")

APP = """
    import logging
    import threading
    from opentelemetry import metrics, trace

    tracer = trace.get_tracer("shop")
    orders = metrics.get_meter("shop").create_counter("orders")

    def checkout(fails=False):
        with tracer.start_as_current_span("checkout"):
            with tracer.start_as_current_span("pay", attributes={"card": "visa", "server.port": 4711}):
                logging.getLogger("shop").warning("paying")
                orders.add(1)
                if fails:
                    raise ValueError("card refused")
"""


@pytest.fixture
def project(pytester: pytest.Pytester) -> pytest.Pytester:
    pytester.makepyfile(shop=APP)
    pytester.makeini("[pytest]\nfilterwarnings = error\n")
    return pytester


def run(project: pytest.Pytester, *arguments: str) -> pytest.RunResult:
    return project.runpytest_subprocess(*QUIET, "-p", "no:xdist", *arguments)


def run_inside(project: pytest.Pytester, *arguments: str) -> pytest.RunResult:
    """In this process, which is quicker; for what neither looks at the modules that are loaded nor sets a provider."""
    return project.runpytest_inprocess(*QUIET, "-p", "no:xdist", *arguments)


def test_who_does_not_use_it_pays_nothing(project: pytest.Pytester) -> None:
    project.makepyfile("""
        import sys

        def test_nothing_is_loaded():
            heavy = {"numpy", "numba", "chdb", "opentelemetry", "google", "grpc", "clickhouse_connect"}
            assert not heavy & {name.partition(".")[0] for name in sys.modules}
            assert [name for name in sys.modules if name.startswith("sonde")] == ["sonde", "sonde.testing", "sonde.testing.plugin"]
    """)
    run(project).assert_outcomes(passed=1)


def test_python_questions_start_no_engine(project: pytest.Pytester) -> None:
    project.makepyfile("""
        import sys
        from shop import checkout

        def test_questions(telemetry):
            checkout()
            assert telemetry.trace().root.name == "checkout"
            assert telemetry.points(name="orders")[0].value == 1
            telemetry.assert_no_errors()
            telemetry.no_n_plus_one()
            assert not {"numpy", "numba", "chdb", "clickhouse_connect"} & sys.modules.keys()
    """)
    run(project).assert_outcomes(passed=1)


def test_tests_see_their_own_alone(project: pytest.Pytester) -> None:
    project.makepyfile("""
        import threading
        from shop import checkout, orders, tracer

        go, threads = threading.Event(), []

        def test_before(telemetry):
            checkout()

            def late(context):
                go.wait()
                with tracer.start_as_current_span("late", context):
                    pass

            with tracer.start_as_current_span("outer") as outer:
                from opentelemetry import context
                threads.append(threading.Thread(target=late, args=(context.get_current(),)))
                threads[0].start()

        def test_without_it():
            checkout()

        def test_after(telemetry):
            go.set()
            threads[0].join()
            assert telemetry.spans() == []
            assert telemetry.logs() == []
            assert telemetry.points() == []
            checkout()
            assert len(telemetry.spans()) == 2
            assert telemetry.points(name="orders")[0].value == 1
    """)
    run_inside(project).assert_outcomes(passed=3)


def test_a_trace_that_spans_tests_is_divided_among_them(project: pytest.Pytester) -> None:
    project.makepyfile("""
        import pytest
        from shop import checkout, tracer

        @pytest.fixture(scope="module")
        def session_span():
            with tracer.start_as_current_span("whole session") as span:
                yield span

        @pytest.mark.parametrize("number", [1, 2, 3])
        def test_each(session_span, telemetry, number):
            checkout()
            assert [span.name for span in telemetry.spans()] == ["checkout", "pay"]
    """)
    run_inside(project).assert_outcomes(passed=3)


def test_an_app_that_sets_its_own_providers_is_joined(project: pytest.Pytester) -> None:
    project.makepyfile("""
        from opentelemetry import trace, metrics
        from opentelemetry.sdk.metrics import MeterProvider
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from shop import checkout

        def test_before(telemetry):
            checkout()
            assert {span.service for span in telemetry.spans()} == {"app"}

        def test_sets_its_own(telemetry):
            resource = Resource({"service.name": "own"})
            trace.set_tracer_provider(TracerProvider(resource=resource))
            metrics.set_meter_provider(MeterProvider(resource=resource))
            with trace.get_tracer("x").start_as_current_span("mine"):
                metrics.get_meter("x").create_counter("mine").add(1)
            assert telemetry.span().service == "own"
            assert [point.service for point in telemetry.points()] == ["own"]

        def test_after(telemetry):
            with trace.get_tracer("x").start_as_current_span("mine"):
                pass
            assert telemetry.span().service == "own"
    """)
    run(project).assert_outcomes(passed=3)


def test_a_failure_shows_the_traces(project: pytest.Pytester) -> None:
    project.makepyfile("""
        import logging
        from shop import checkout, tracer

        def test_fails(telemetry):
            checkout()
            logging.getLogger("outside").error("gave up")
            tracer.start_span("left open")
            try:
                checkout(fails=True)
            except ValueError:
                pass
            telemetry.assert_no_errors(allow="gave up")
    """)
    result = run(project, "-p", "no:logging")
    result.assert_outcomes(failed=1)
    text = result.stdout.str()
    report = text[text.index("test_fails") :]
    golden = Path(__file__).parent / "golden" / "failure_report.txt"
    assert steady(report) == golden.read_text()


def steady(report: str) -> str:
    """Without the run's own ids and times."""
    report = re.sub(r"\b[0-9a-f]{32}\b", "<trace>", report)
    report = re.sub(r"\d+\.\d ms", "<time>", report)
    return (
        re.sub(r"(=+|-+|_+) | (=+|-+|_+)$", " ", report.partition("= short test summary")[0], flags=re.M).strip() + "\n"
    )


def test_golden_traces_are_written_and_compared(project: pytest.Pytester) -> None:
    project.makepyfile(
        test_orders="""
        from shop import checkout

        def test_golden(telemetry):
            checkout()
            telemetry.matches_golden("checkout")
    """
    )
    missing = run_inside(project)
    missing.assert_outcomes(failed=1)
    missing.stdout.fnmatch_lines(["*there is no golden trace*checkout.txt: write it with pytest --sonde-update-golden"])
    run_inside(project, "--sonde-update-golden").assert_outcomes(passed=1)
    file = project.path / "golden" / "test_orders" / "checkout.txt"
    assert file.read_text().splitlines() == [
        "# A golden trace of sonde.testing. Written by: pytest --sonde-update-golden",
        "",
        "checkout (internal)",
        "  pay (internal)",
        '    . card = "visa"',
    ]
    run_inside(project).assert_outcomes(passed=1)
    file.write_text(file.read_text().replace("visa", "amex"))
    changed = run_inside(project)
    changed.assert_outcomes(failed=1)
    changed.stdout.fnmatch_lines(['E*-    . card = "amex"', 'E*+    . card = "visa"'])


def test_each_xdist_worker_has_an_engine_of_its_own(project: pytest.Pytester) -> None:
    project.makepyfile("""
        import pytest
        from shop import checkout

        @pytest.mark.parametrize("number", range(4))
        def test_sql(telemetry, number):
            for _ in range(number + 1):
                checkout()
            assert telemetry.sql("SELECT count() AS spans FROM spans") == [{"spans": 2 * (number + 1)}]
    """)
    result = project.runpytest_subprocess(*QUIET, "-n", "2")
    result.assert_outcomes(passed=4)
