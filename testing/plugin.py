"""The pytest plugin: the fixture `telemetry`, its options, and a failed test's traces in its report.

pytest loads this wherever sonde is installed, so it imports nothing but pytest until a test asks for the fixture.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from sonde.testing.session import Session
    from sonde.testing.telemetry import Telemetry

TITLE = "telemetry"
SESSION = pytest.StashKey["Session"]()
TELEMETRY = pytest.StashKey["Telemetry"]()


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("sonde", "telemetry under test")
    group.addoption(
        "--sonde-update-golden",
        action="store_true",
        help="write the golden traces of telemetry.matches_golden(...) anew",
    )
    parser.addini(
        "sonde_store",
        "where telemetry.sql and .metrics keep tables: chdb:///folder or http://user:password@host:8123/; "
        "by default a folder that goes with the run",
        default="",
    )
    parser.addini(
        "sonde_listen",
        "the address that telemetry.endpoint listens on; 0.0.0.0 for containers under test",
        default="127.0.0.1",
    )


@pytest.fixture
def telemetry(request: pytest.FixtureRequest) -> Iterator[Telemetry]:
    """The spans, logs and metrics that the app tells of while this test runs, with questions and assertions about them."""
    from sonde.testing.telemetry import Telemetry

    session = session_of(request.config)
    with session.slice() as own:
        update = bool(request.config.getoption("--sonde-update-golden"))
        found = Telemetry(session, own, request.path, update_golden=update)
        request.node.stash[TELEMETRY] = found
        yield found


def session_of(config: pytest.Config) -> Session:
    """One for the process, begun with its first test that asks."""
    if SESSION not in config.stash:
        from sonde.testing.session import Session

        config.stash[SESSION] = Session(config.getini("sonde_store"), config.getini("sonde_listen"))
    return config.stash[SESSION]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, Any, Any]:
    report = yield
    if report.failed and TELEMETRY in item.stash and not any(title == TITLE for title, _ in report.sections):
        report.sections.append((TITLE, drawn(item.stash[TELEMETRY])))
    return report


def drawn(telemetry: Telemetry) -> str:
    try:
        return telemetry.draw()
    except Exception as error:  # the test's own failure is what is to be told
        return f"could not be shown: {type(error).__name__}: {error}"


def pytest_unconfigure(config: pytest.Config) -> None:
    if SESSION in config.stash:
        config.stash[SESSION].close()
        del config.stash[SESSION]
