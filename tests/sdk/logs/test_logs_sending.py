"""Programs under `sonde run` whose records go out while everything that sends them logs too, and a receiver that they arrive at."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from receiver import Receiver, receiving
from test_instrumenting import run, write

CHATTY = """
    import logging, sys
    from sonde.sdk.instrumenting import current

    logging.basicConfig(level=logging.DEBUG, stream=sys.stdout, force=True)
    for number in range(3):
        logging.getLogger("till").debug("sold %d", number)
        current().flush(30)
    print("done")
"""


def bodies(receiver: Receiver) -> list[str]:
    return [
        record.body.string_value
        for body in receiver.bodies
        for of_resource in ExportLogsServiceRequest.FromString(body).resource_logs
        for of_scope in of_resource.scope_logs
        for record in of_scope.log_records
    ]


@pytest.mark.parametrize("exporter", ["sonde", "opentelemetry"])
def test_sending_records_makes_no_records(exporter: str, tmp_path: Path) -> None:
    """At DEBUG: what sends them for OpenTelemetry's exporter, urllib3, logs each request."""
    write(tmp_path / "till.py", CHATTY)
    more = {
        "SONDE_SDK_EXPORTER": exporter,
        "SONDE_SDK_LOG_LEVEL": "debug",
        "OTEL_LOGS_EXPORTER": "otlp",
        "OTEL_TRACES_EXPORTER": "none",
    }
    with receiving() as receiver:
        done = run(sys.executable, "till.py", url=receiver.url, cwd=tmp_path, **more)
        assert done.returncode == 0, done.stderr
        found = bodies(receiver)
    assert [body for body in found if body.startswith("sold")] == ["sold 0", "sold 1", "sold 2"]
    assert not [body for body in found if "/v1/logs" in body or "onnection" in body]
    assert ("urllib3" in done.stdout) == (exporter == "opentelemetry")


CHILDREN = """
    import multiprocessing

    def fail(way):
        raise ValueError(way)

    if __name__ == "__main__":
        for way in ("fork", "forkserver", "spawn"):
            child = multiprocessing.get_context(way).Process(target=fail, args=(way,))
            child.start()
            child.join()
"""


def test_what_ends_a_child_is_sent_however_it_was_started(tmp_path: Path) -> None:
    write(tmp_path / "till.py", CHILDREN)
    more = {"OTEL_LOGS_EXPORTER": "otlp", "OTEL_TRACES_EXPORTER": "none"}
    with receiving() as receiver:
        done = run(sys.executable, "till.py", url=receiver.url, cwd=tmp_path, **more)
        assert done.returncode == 0, done.stderr
        assert sorted(bodies(receiver)) == ["ValueError: fork", "ValueError: forkserver", "ValueError: spawn"]
    assert done.stderr.count("Traceback (most recent call last)") == 3
    assert "sdk/exceptions.py" not in done.stderr


@pytest.mark.parametrize(("exceptions", "sent"), [("true", ["ValueError: it"]), ("false", [])])
def test_exceptions_that_nobody_handles_are_sent_unless_that_is_switched_off(
    exceptions: str, sent: list[str], tmp_path: Path
) -> None:
    write(tmp_path / "till.py", "raise ValueError('it')\n")
    more = {"OTEL_LOGS_EXPORTER": "otlp", "OTEL_TRACES_EXPORTER": "none", "SONDE_SDK_EXCEPTIONS": exceptions}
    with receiving() as receiver:
        done = run(sys.executable, "till.py", url=receiver.url, cwd=tmp_path, **more)
        assert (done.returncode, done.stderr.splitlines()[-1]) == (1, "ValueError: it")
        assert bodies(receiver) == sent


THREE = """
    import logging, structlog
    from loguru import logger

    logging.getLogger("till").warning("by logging")
    structlog.get_logger().warning("by structlog")
    logger.warning("by loguru")
"""


@pytest.mark.parametrize("left", ["logging", "structlog", "loguru"])
def test_each_of_the_three_can_be_left_alone(left: str, tmp_path: Path) -> None:
    write(tmp_path / "till.py", THREE)
    more = {"OTEL_LOGS_EXPORTER": "otlp", "OTEL_TRACES_EXPORTER": "none"}
    with receiving() as receiver:
        done = run(
            sys.executable, "till.py", url=receiver.url, cwd=tmp_path, sonde=("--quiet", "--leave", left), **more
        )
        assert done.returncode == 0, done.stderr
        expected = {f"by {library}" for library in ("logging", "structlog", "loguru") if library != left}
        assert set(bodies(receiver)) == expected
        assert len(bodies(receiver)) == 2
