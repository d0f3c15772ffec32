"""The running server: store, ingest and query, put together, started in order and stopped in the opposite order."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
from dataclasses import dataclass
from types import FrameType
from typing import Any

from sonde.cli import compose
from sonde.cli.api import reachable
from sonde.cli.errors import CommandError, UsageError
from sonde.cli.progress import StatusLine, bar
from sonde.ingest.addresses import Address, CannotListen, bind, parse_address
from sonde.ingest.config import IngestConfig
from sonde.ingest.service import IngestService
from sonde.ingest.writer import SpoolLocked
from sonde.query.config import QueryConfig
from sonde.storage.config import StorageConfig
from sonde.storage.server import without_password
from sonde.storage.store import Store

FORCED_EXIT_CODE = 130
LOADING_SECONDS = 3.0
"""Kernels that take longer than this are being compiled, not loaded."""
PROGRESS_SECONDS = 5.0


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


@dataclass(frozen=True, slots=True)
class ServerConfig:
    """What to run: a half that is None is left out."""

    storage: StorageConfig
    ingest: IngestConfig | None
    query: QueryConfig | None


class Interrupted(Exception):
    """A stop was asked for before everything had started."""


class StopSignal:
    """Ctrl-C or SIGTERM asks for an orderly stop; asked a second time, the process ends at once.

    Ending at once loses nothing that was acknowledged: it is in the spool, and the next start stores it.
    """

    def __init__(self) -> None:
        self.asked = threading.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self.handle)

    def handle(self, number: int, frame: FrameType | None) -> None:
        if self.asked.is_set():
            os.write(
                2, b"sonde: ended at once; what was acknowledged is in the spool and is stored at the next start\n"
            )
            os._exit(FORCED_EXIT_CODE)
        self.asked.set()


class QueryServer:
    """uvicorn in a thread, on a socket that is bound before anything else starts."""

    def __init__(self, config: QueryConfig) -> None:
        self.socket = bind(parse_address(config.query, "query"), "query")
        host = parse_address(config.query, "query").host
        self.address = Address(host, self.socket.getsockname()[1])
        self.failure: BaseException | None = None
        self.server: Any = None
        self.thread = threading.Thread(target=self.run, name="query", daemon=True)

    def start(self, app: Any) -> None:
        """Returns when the first request can be answered."""
        import uvicorn

        config = uvicorn.Config(app, log_config=None, access_log=False, lifespan="on", timeout_graceful_shutdown=5)
        self.server = uvicorn.Server(config)
        self.thread.start()
        while not self.server.started and self.thread.is_alive():
            time.sleep(0.01)
        if self.failure is not None or not self.server.started:
            raise CommandError(f"the query service did not start: {self.failure}")

    def run(self) -> None:
        try:
            self.server.run(sockets=[self.socket])
        except BaseException as error:
            self.failure = error

    def stop(self) -> None:
        if self.server is not None:
            self.server.should_exit = True
            self.thread.join(timeout=10)
        self.socket.close()


class Server:
    """Everything that runs, as the configuration says. `start`, wait, `stop`."""

    def __init__(self, config: ServerConfig, stop: StopSignal) -> None:
        self.config = config
        self.stop_signal = stop
        self.query: QueryServer | None = None
        self.ingest: IngestService | None = None
        self.stored_before = 0
        self.closing = contextlib.ExitStack()

    def start(self) -> None:
        """Ports, store, schema, kernels, then the doors: what is likely to be wrong is found out first.

        CommandError, StoreError or UsageError tell what stands in the way; nothing is left running then.
        """
        with contextlib.ExitStack() as undo:
            undo.callback(self.closing.close)
            self.take_ports()
            store = compose.open_configured(self.config.storage)
            self.closing.callback(store.close)
            self.migrate(store)
            warm_kernels(self.config, self.stop_signal)
            if self.config.ingest is not None:
                self.start_ingest(self.config.ingest, store)
            if self.config.query is not None:
                self.start_query(self.config.query, store)
                if self.config.query.rollups:
                    self.start_rollups(self.config.query, store)
            undo.pop_all()

    def migrate(self, store: Store) -> None:
        done = compose.migrate_configured(store, self.config.storage, lambda line: None)
        changes = [line for line in done if not line.startswith("retention")]
        for line in changes:
            say(f"  {line}")
        if len(done) > len(changes):
            say(f"  retention set on {len(done) - len(changes)} tables: {kept(self.config.storage)}")

    def take_ports(self) -> None:
        """The query port is kept; those of ingest are looked at, and taken for good when the kernels are ready."""
        try:
            if self.config.query is not None:
                self.query = QueryServer(self.config.query)
                self.closing.callback(self.query.socket.close)
            if self.config.ingest is not None:
                for name, address in addresses_of(self.config.ingest):
                    bind(address, name).close()
        except CannotListen as error:
            raise CommandError(str(error)) from error

    def start_ingest(self, config: IngestConfig, store: Store) -> None:
        try:
            self.ingest = IngestService(config, store, retention=compose.retention_of(self.config.storage))
            self.stored_before = self.ingest.ledger().total.stored.records
            self.ingest.start()
        except ValueError as error:
            raise UsageError(str(error)) from error
        except (CannotListen, SpoolLocked) as error:
            raise CommandError(str(error)) from error
        except OSError as error:
            advice = "let this user write to that folder, or choose another with --spool"
            raise CommandError(f"the spool {config.spool_path} can't be used: {error}; {advice}") from error
        self.closing.callback(self.ingest.stop)
        if self.ingest.open_to_network:
            say("WARNING: other machines can send without a token (open_to_network)")

    def start_query(self, config: QueryConfig, store: Store) -> None:
        from sonde.query.app import create_app

        assert self.query is not None
        ledger = compose.ledger_reader(self.config.ingest) if self.config.ingest is not None else None
        cluster = self.config.storage.cluster or None
        self.query.start(create_app(store, ledger=ledger, config=config, cluster=cluster))
        self.closing.callback(self.query.stop)

    def start_rollups(self, config: QueryConfig, store: Store) -> None:
        from sonde.query.rollups.upkeep import Upkeep

        upkeep = Upkeep(store, config)
        upkeep.start()
        self.closing.callback(upkeep.stop)

    @property
    def needs_token(self) -> bool:
        return self.config.ingest is not None and bool(self.config.ingest.tokens or self.config.ingest.tokens_file)

    def stop(self) -> None:
        """The doors first, then what is in flight and in the spool, then the store."""
        self.closing.close()


def addresses_of(config: IngestConfig) -> list[tuple[str, Address]]:
    """The addresses that ingest listens on, by the names of their settings."""
    found = (("otlp_grpc", config.grpc_address), ("otlp_http", config.http_address))
    return [(name, address) for name, address in found if address is not None]


def warm_kernels(config: ServerConfig, stop: StopSignal) -> None:
    """Compiles or loads every kernel of what is to run. Says so only where it takes long: the first time, after an upgrade."""
    from sonde.ingest import decode
    from sonde.query.prometheus import warm as points
    from sonde.query.promql import warm as promql

    step = ("", 0, 1)
    ended = threading.Event()
    begun = time.monotonic()

    def progress(name: str, done: int, of: int) -> None:
        nonlocal step
        step = (name, done, of)
        if stop.asked.is_set():
            raise Interrupted

    def tell() -> None:
        with StatusLine(every=PROGRESS_SECONDS) as line:
            while not ended.wait(0.1 if line.live else PROGRESS_SECONDS):
                name, done, of = step
                took = time.monotonic() - begun
                line.show(f"  compiling kernels, the first time only {bar(done / of)} {name}, {took:.0f} s")

    teller = threading.Timer(LOADING_SECONDS, tell)
    teller.start()
    try:
        if config.ingest is not None:
            decode.warm(progress)
        if config.query is not None:
            promql.warm(progress)
            points.warm(progress)
    finally:
        ended.set()
        teller.cancel()
        teller.join()


def run_server(config: ServerConfig, file: Any = None) -> int:
    """Runs until it is told to stop, or until a part fails for good. Exit code 0 means: stopped with everything flushed."""
    stop = StopSignal()
    compose.log_to_stderr()
    server = Server(config, stop)
    say(f"sonde {installed_version()} is starting{f', configured by {file}' if file else ''}")
    try:
        server.start()
    except Interrupted:
        say("stopped while starting; nothing was received yet")
        return 0
    say(announcement(server))
    failure = wait(server, stop)
    begun = time.monotonic()
    say(f"stopping{f': {failure}' if failure else ''} (Ctrl-C once more ends at once)")
    server.stop()
    say(f"stopped after {time.monotonic() - begun:.1f} s{farewell(server)}")
    return 1 if failure else 0


def wait(server: Server, stop: StopSignal) -> str:
    """Returns when a stop is asked for; the reason where it is a part's failure."""
    while not stop.asked.wait(0.5):
        if server.ingest is not None and server.ingest.failure:
            return server.ingest.failure
        if server.query is not None and server.query.failure is not None:
            return f"the query service failed: {server.query.failure}"
    return ""


def farewell(server: Server) -> str:
    """What was stored since the start, and whether anything still waits."""
    if server.ingest is None:
        return ""
    total = server.ingest.ledger().total
    stored = f"; {total.stored.records - server.stored_before:,} records were stored"
    if not total.pending:
        return f"{stored}, nothing is left in the spool"
    waiting = f"{total.pending.requests:,} requests ({total.pending.records:,} records)"
    return f"{stored}, {waiting} wait in the spool for the next start"


def installed_version() -> str:
    from sonde.cli.version import installed

    return installed("sonde")


def announcement(server: Server) -> str:
    """Where to send, where to look, where things are."""
    lines = ["", "sonde is running"]
    advice: list[str] = []
    if server.ingest is not None:
        if address := server.ingest.grpc_address:
            lines.append(f"  send OTLP/gRPC to   http://{shown(address)}")
            advice = ["", f"an instrumented app sends with: OTEL_EXPORTER_OTLP_ENDPOINT=http://{shown(address)}"]
            if server.needs_token:
                advice.append(
                    "and with its token:             OTEL_EXPORTER_OTLP_HEADERS=authorization=Bearer%20SECRET"
                )
        if address := server.ingest.http_address:
            lines.append(f"  send OTLP/HTTP to   http://{shown(address)}")
    if server.query is not None:
        lines.append(f"  look at             http://{shown(server.query.address)}")
    storage = server.config.storage
    lines.append(f"  store               {without_password(storage.store)}, kept: {kept(storage)}")
    if server.config.ingest is not None:
        lines.append(f"  spool               {server.config.ingest.spool_path}")
    return "\n".join([*lines, *advice, "Ctrl-C stops it", ""])


def shown(address: Address) -> str:
    """The address to connect to, for one that is listened on."""
    return str(Address(reachable(address.host), address.port))


def kept(config: StorageConfig) -> str:
    days = {
        "traces": config.retention_traces_days,
        "logs": config.retention_logs_days,
        "metrics": config.retention_metrics_days,
    }
    return ", ".join(f"{name} {f'{count} days' if count else 'for ever'}" for name, count in days.items())
