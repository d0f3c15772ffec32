"""Exceptions that nobody handles: what is told of them, by whom, and that the program's hooks are called as ever."""

from __future__ import annotations

import asyncio
import contextvars
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import uvloop
from opentelemetry import _logs, trace
from opentelemetry._logs import SeverityNumber
from opentelemetry.sdk.resources import Resource
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags
from sonde.sdk import exceptions, frames, logs
from sonde.sdk.exceptions import Recorder
from sonde.sdk.raised import described, left_span, span_left_by
from sonde.sdk.tracer import TracerProvider
from told import Told, bridged

SPAN = SpanContext(0xA1, 0xB2, is_remote=False, trace_flags=TraceFlags(1))


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Iterator[Told]:
    with bridged() as told:
        monkeypatch.setattr(_logs, "get_logger", told.provider.get_logger)
        yield told


@pytest.fixture
def recorder() -> Recorder:
    return Recorder(20, source=True)


def fail(message: str = "no number") -> None:
    raise ValueError(message)


def raised(function: Callable[[], object] = fail) -> BaseException:
    try:
        function()
    except BaseException as error:
        return error
    raise AssertionError("nothing was raised")


def test_what_ends_the_program_is_fatal_and_its_hook_is_called(
    told: Told, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    called = []
    monkeypatch.setattr(sys, "excepthook", lambda *args: called.append(args))
    monkeypatch.delattr(sys, "ps1", raising=False)
    exceptions.hook_program(recorder)
    error = raised()
    monkeypatch.setattr(sys, "last_value", error, raising=False)
    sys.excepthook(type(error), error, error.__traceback__)
    recorder.at_exit()
    assert called == [(type(error), error, error.__traceback__)]
    record = told.one
    assert (record.body, record.severity_number, record.severity_text) == (
        "ValueError: no number",
        SeverityNumber.FATAL,
        "FATAL",
    )
    found = told.attributes()
    assert (found["exception.type"], found["exception.message"]) == ("ValueError", "no number")
    assert found["exception.stacktrace"].endswith("ValueError: no number\n")
    assert found["sonde.exception.where"] == "main"


def test_what_ends_the_program_is_told_at_exit_where_its_own_hook_has_taken_the_place(
    told: Told, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(sys, "ps1", raising=False)
    monkeypatch.setattr(sys, "last_value", raised(), raising=False)
    recorder.at_exit()
    assert (told.bodies, told.one.severity_text) == (["ValueError: no number"], "FATAL")


def test_a_hook_that_a_program_calls_by_itself_ends_nothing(told: Told, recorder: Recorder) -> None:
    error = raised()
    recorder.of_program(error, error.__traceback__)
    assert told.one.severity_text == "ERROR"


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, GeneratorExit, asyncio.CancelledError])
def test_what_is_no_error_is_not_told(error: type[BaseException], told: Told, recorder: Recorder) -> None:
    recorder.tell(error(), None, "main")
    assert told.records == []


@pytest.mark.parametrize(("level", "bodies"), [(50, []), (40, ["ValueError: no number"])])
def test_errors_below_the_level_are_not_told(level: int, bodies: list[str], told: Told) -> None:
    error = raised()
    Recorder(level, source=True).tell(error, error.__traceback__, "thread")
    assert told.bodies == bodies


def test_a_thread_tells_whatever_hook_is_set_later(
    told: Told, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(threading, "_make_invoke_excepthook", threading._make_invoke_excepthook)  # type: ignore[attr-defined]
    exceptions.hook_threads(recorder)
    called: list[Any] = []

    thread = threading.Thread(target=fail, name="worker")
    monkeypatch.setattr(threading, "excepthook", called.append)
    thread.start()
    thread.join()
    assert [args.thread for args in called] == [thread]
    assert (told.bodies, told.one.severity_text) == (["ValueError: no number"], "ERROR")
    found = told.attributes()
    assert (found["thread.name"], found["sonde.exception.where"]) == ("worker", "thread")


class Handle:
    """As asyncio has them: a callback with its context."""

    def __init__(self, context: contextvars.Context) -> None:
        self._context = context


@pytest.fixture
def loops(recorder: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    for kind in (asyncio.BaseEventLoop, uvloop.Loop):
        monkeypatch.setattr(kind, "call_exception_handler", kind.call_exception_handler)
        exceptions.hook_loop(recorder, kind)


async def forget(name: str, function: Callable[[], object]) -> None:
    """A task whose exception nobody asks for."""

    async def work() -> None:
        function()

    task = asyncio.create_task(work(), name=name)
    await asyncio.wait([task])


@pytest.mark.usefixtures("loops")
@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_a_task_tells_once_and_asyncio_logs_it_as_ever(
    loop: Callable[[], Any], told: Told, caplog: pytest.LogCaptureFixture
) -> None:
    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(forget("buy", fail))
    assert told.bodies == ["ValueError: no number"]
    found = told.attributes()
    assert (found["sonde.exception.task"], found["sonde.exception.where"]) == ("buy", "task")
    assert found["sonde.exception.said"] == "Task exception was never retrieved"
    assert [record.name for record in caplog.records] == ["asyncio"]


@pytest.mark.usefixtures("loops")
def test_a_task_tells_where_the_loop_has_a_handler_of_the_programs_own(told: Told) -> None:
    handled = []

    async def run() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: handled.append(context["message"]))
        await forget("buy", fail)

    asyncio.run(run())
    assert (told.bodies, handled) == (["ValueError: no number"], ["Task exception was never retrieved"])


@pytest.mark.usefixtures("loops")
@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_a_task_tells_once_where_the_programs_own_handler_goes_on_to_asyncios(
    loop: Callable[[], Any], told: Told, caplog: pytest.LogCaptureFixture
) -> None:
    async def run() -> None:
        running = asyncio.get_running_loop()
        running.set_exception_handler(lambda loop, context: loop.default_exception_handler(context))
        await forget("buy", fail)

    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(run())
    assert told.bodies == ["ValueError: no number"]
    assert [record.name for record in caplog.records] == ["asyncio"]


@pytest.mark.usefixtures("loops")
def test_a_callback_tells_in_the_trace_it_was_scheduled_in(told: Told) -> None:
    async def run() -> None:
        with trace.use_span(NonRecordingSpan(SPAN)):
            asyncio.get_running_loop().call_soon(fail)
        await asyncio.sleep(0)

    asyncio.run(run())
    assert (told.one.trace_id, told.one.span_id) == (0xA1, 0xB2)


@pytest.mark.usefixtures("loops")
def test_what_a_program_gives_to_the_handler_from_within_a_context_is_told(told: Told) -> None:
    async def run() -> None:
        loop = asyncio.get_running_loop()
        with trace.use_span(NonRecordingSpan(SPAN)):
            current = contextvars.copy_context()
        current.run(loop.call_exception_handler, {"message": "it", "exception": raised(), "handle": Handle(current)})
        loop.call_exception_handler({"message": "nothing was raised"})

    asyncio.run(run())
    assert [record.trace_id for record in told.records] == [0xA1, 0]
    assert told.bodies == ["ValueError: no number", "nothing was raised"]


def test_what_python_can_not_raise_is_told(told: Told, recorder: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    class Failing:
        def __del__(self) -> None:
            fail()

    called: list[Any] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda args: called.append(args.exc_type))
    exceptions.hook_unraisable(recorder)
    Failing()
    assert called == [ValueError]
    assert told.bodies == ["ValueError: no number"]
    assert told.attributes()["sonde.exception.said"].startswith("Exception ignored in: <function ")


def test_the_trace_is_that_of_the_innermost_span_that_was_left(told: Told, recorder: Recorder) -> None:
    tracer = TracerProvider(resource=Resource({}), shutdown_on_exit=False).get_tracer("tested")
    spans = []

    def work() -> None:
        with tracer.start_as_current_span("outer"), tracer.start_as_current_span("inner") as span:
            spans.append(span.get_span_context())
            fail()

    error = raised(work)
    recorder.tell(error, error.__traceback__, "main")
    assert (told.one.trace_id, told.one.span_id) == (spans[0].trace_id, spans[0].span_id)


def test_spans_that_were_left_are_remembered_of_a_few_exceptions_and_for_these_only() -> None:
    errors = [raised() for _ in range(100)]
    for error in errors:
        left_span(error, SPAN)
    assert span_left_by(errors[-1]) == SPAN
    assert span_left_by(errors[0]) is None
    assert span_left_by(raised(lambda: int("x"))) is None


def test_own_frames_are_marked_and_have_their_source(told: Told, recorder: Recorder) -> None:
    error = raised(lambda: __import__("json").loads("{"))
    recorder.tell(error, error.__traceback__, "main")
    found = told.attributes()["sonde.exception.frames"]
    assert [(each["module"], each["own"]) for each in found] == [
        (__name__, True),
        (__name__, True),
        ("json", False),
        ("json.decoder", False),
        ("json.decoder", False),
    ]
    assert all(("source" in each) == each["own"] for each in found)
    own = found[1]
    assert own["source"][own["line"] - own["source_from"]].strip().startswith("error = raised(lambda")
    assert len(own["source"]) == 1 + 2 * frames.LINES_AROUND
    assert own["file"] == __file__


def with_secret() -> None:
    password = "hunter" + "2"
    raise PermissionError(f"password={password}")


def test_secrets_are_blotted_out_and_local_variables_not_looked_at(told: Told, recorder: Recorder) -> None:
    error = raised(with_secret)
    recorder.tell(error, error.__traceback__, "main")
    record = told.one
    assert record.body == "PermissionError: password=***"
    assert "hunter" not in str(dict(record.attributes))
    assert 'password = "***" + "***"' in str(dict(record.attributes))


def test_without_source_lines_there_is_none_anywhere(told: Told) -> None:
    try:
        try:
            fail("first")
        except ValueError as first:
            raise RuntimeError("second\n  indented") from first
    except RuntimeError as error:
        Recorder(20, source=False).tell(error, error.__traceback__, "main")
    found = told.attributes()
    assert all("source" not in each for each in found["sonde.exception.frames"])
    text = found["exception.stacktrace"]
    assert 'File "' in text
    assert "ValueError: first" in text
    assert text.endswith("RuntimeError: second\n  indented\n")
    assert "fail(" not in text
    assert "raise " not in text
    assert "^" not in text


def test_of_a_group_of_exceptions_each_message_is_kept_and_no_line_of_source() -> None:
    errors = [raised(), raised(with_secret)]
    group = raised(lambda: (_ for _ in ()).throw(ExceptionGroup("several", errors)))  # type: ignore[type-var]
    text = described(group, group.__traceback__)["exception.stacktrace"]
    assert "hunter" in text
    bare = frames.blotted_stacktrace(text, source=False)
    for message in (
        "ExceptionGroup: several (2 sub-exceptions)",
        "ValueError: no number",
        "PermissionError: password=***",
    ):
        assert message in bare
    assert "raise " not in bare
    assert bare.count("File ") == text.count("File ")
    with_source = frames.blotted_stacktrace(text, source=True)
    assert "hunter" not in bare + with_source
    assert with_source.count("raise ") == text.count("raise ")


def recurse(left: int) -> None:
    if left:
        recurse(left - 1)
    fail()


def test_of_many_frames_the_first_and_the_last_are_told() -> None:
    found = frames.frames(raised(lambda: recurse(200)).__traceback__, source=True)
    assert len(found) == frames.FIRST_FRAMES + 1 + frames.LAST_FRAMES
    assert found[frames.FIRST_FRAMES] == {"left_out": 204 - frames.FIRST_FRAMES - frames.LAST_FRAMES}
    assert sum("source" in each for each in found) == frames.FRAMES_WITH_SOURCE
    assert found[-1]["function"] == "fail"


def test_a_program_that_fails_all_the_time_tells_frames_now_and_then(
    told: Told, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exceptions, "FRAMES_A_MINUTE", 2)
    for minute in (1, 1, 1, 2):
        monkeypatch.setattr(exceptions, "time_ns", lambda minute=minute: minute * 60_000_000_000)
        error = raised()
        recorder.tell(error, error.__traceback__, "thread")
    assert ["sonde.exception.frames" in record.attributes for record in told.records] == [True, True, False, True]
    assert all("exception.stacktrace" in record.attributes for record in told.records)


@pytest.mark.parametrize(
    ("file", "module", "own"),
    [
        ("/srv/shop/till.py", "shop.till", True),
        (threading.__file__, "threading", False),
        (frames.__file__, "sonde.sdk.frames", False),
        ("/srv/shop/.venv/lib/python3.11/site-packages/flask/app.py", "flask.app", False),
        ("/usr/lib/python3/dist-packages/yaml/__init__.py", "yaml", False),
        ("<frozen importlib._bootstrap>", "importlib._bootstrap", False),
        ("<string>", "__main__", True),
    ],
)
def test_own_is_what_was_not_installed(file: str, module: str, own: bool) -> None:
    assert frames.is_own(file, module) is own


def test_own_is_the_installed_package_that_is_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "orig_argv", ["python", "/venv/bin/gunicorn", "-w", "4", "shop.wsgi:app"])
    frames.run_packages.cache_clear()
    assert frames.is_own("/venv/lib/python3.11/site-packages/shop/till.py", "shop.till")
    assert not frames.is_own("/venv/lib/python3.11/site-packages/gunicorn/app.py", "gunicorn.app")
    frames.run_packages.cache_clear()


class Unspeakable(Exception):
    def __str__(self) -> str:
        raise ValueError("no text")


def test_an_exception_that_can_not_be_shown_is_told(told: Told, recorder: Recorder) -> None:
    def work() -> None:
        raise Unspeakable

    error = raised(work)
    recorder.tell(error, error.__traceback__, "main")
    assert told.attributes()["exception.type"] == f"{__name__}.Unspeakable"


def test_a_program_without_a_bridge_tells_them_too(told: Told, recorder: Recorder) -> None:
    logs.unbridge()
    recorder.tell(raised(), None, "main")
    assert told.bodies == ["ValueError: no number"]
