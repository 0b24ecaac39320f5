"""`fhirserver serve`: the server, with the embedded database when no other is named.

One process serves by itself. With `--workers N` this process only holds the listening socket, the workers and the embedded
database. Told to stop, it takes no more connections, finishes the requests it has, and stops the database last.
"""

from __future__ import annotations

import asyncio
import ctypes
import gc
import os
import shutil
import signal
import socket
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import structlog
import uvicorn
from uvicorn.supervisors import Multiprocess

from fhirserver.app import Application, create_app
from fhirserver.cli import database
from fhirserver.cli.demo import how_to_try, load
from fhirserver.cli.failure import Failure
from fhirserver.rest.operate.log import configure
from fhirserver.rest.operate.metrics import SHARED
from fhirserver.rest.protocol import Protocol
from fhirserver.settings import Settings
from fhirserver.store.embedded import raise_file_limit
from fhirserver.store.layout.examine import examine

GRACE_SECONDS = 30
WORKER_SECONDS = 60
RINGS = (50_000, 20, 20)
"""How often objects that hold each other are looked for: requests are trees, dropped as a whole, and the look at a Bundle's
thousands of objects costs a fifth of a transaction."""

_PR_SET_PDEATHSIG = 1


def arguments(parser: ArgumentParser) -> None:
    """Where to listen, what to serve, and to whom."""
    parser.add_argument("--host", help="the address to listen on (127.0.0.1)")
    parser.add_argument("--port", type=int, help="the port to listen on (8000)")
    parser.add_argument("--workers", type=int, default=1, metavar="N", help="how many processes serve (1)")
    parser.add_argument(
        "--auth", choices=["smart", "none"], help="smart: tokens (default); none: everything to everybody"
    )
    parser.add_argument("--base-url", metavar="URL", help="the FHIR base as clients see it (http://HOST:PORT/fhir)")
    parser.add_argument("--demo", action="store_true", help="load the demonstration once, and show how to try it")
    database.arguments(parser)


def run(given: Namespace) -> int:
    """Serve until told to stop."""
    if given.workers < 1:
        raise Failure("--workers is at least 1.")
    # The options are looked at before anything is started, with a stand-in for the URL that is not known yet.
    settings = database.settings("mongodb://127.0.0.1", given)
    configure(settings.log_level)
    raise_file_limit()
    gc.set_threshold(*RINGS)
    with database.said(), _bound(settings) as listening, suppress(asyncio.CancelledError, KeyboardInterrupt):
        loop_factory = uvicorn.Config(_nothing, loop="uvloop", log_config=None).get_loop_factory()
        with asyncio.Runner(loop_factory=loop_factory) as runner:
            runner.run(_serve(given, listening))
    return 0


def worker() -> Application:
    """The application of a worker process, for the settings of its environment. It stops with its parent, even when that is killed."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    gc.set_threshold(*RINGS)
    settings = Settings.from_environment(os.environ)
    configure(settings.log_level)
    return _Worker(settings, Path(os.environ[SHARED]))


class _Worker(Application):
    """The application of one of several workers. Of a parent that was killed it removes the folder that this one would have removed."""

    def __init__(self, settings: Settings, figures: Path) -> None:
        super().__init__(settings, figures)
        self._figures = figures
        self._parent = os.getppid()

    async def stop(self) -> None:
        await super().stop()
        if os.getppid() != self._parent:
            shutil.rmtree(self._figures, ignore_errors=True)


class _Stop:
    """What a signal does, or a database that does not stay up: first it ends the start, then it tells the server."""

    def __init__(self) -> None:
        task = asyncio.current_task()
        self._then: Callable[[], object] = task.cancel if task is not None else _nothing
        for each in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(each, self)

    def __call__(self) -> None:
        self._then()

    def tell(self, then: Callable[[], object]) -> None:
        self._then = then


async def _serve(given: Namespace, listening: socket.socket) -> None:
    stop = _Stop()
    async with _database(given, stop) as url:
        settings = database.settings(url, given)
        for reason in (await examine(settings.mongo_url, settings.database)).unsuitable():
            raise Failure(f"The database cannot be used: {reason}.")
        application = create_app(settings)
        services = await application.start()
        try:
            shown = await load(services) if given.demo else None
            gc.freeze()  # the definitions stay as long as the process
            ready = partial(_announce, settings, None if shown is None else how_to_try(shown, settings.base_url))
            if given.workers == 1:
                await _alone(application, listening, stop, ready)
        finally:
            await application.stop()
        if given.workers > 1:
            await _with_workers(settings, given.workers, listening, stop, ready)


@asynccontextmanager
async def _database(given: Namespace, stop: _Stop) -> AsyncIterator[str]:
    """The URL of the database; the embedded one is kept running meanwhile, and stopped at the end."""
    if url := database.mongo_url(given):
        yield url
        return
    embedded = database.embedded(given)
    url = await embedded.start()
    log = structlog.get_logger("fhirserver")
    keeper = asyncio.create_task(embedded.keep(restarted=lambda: log.warning("mongod.restarted")))
    keeper.add_done_callback(lambda ended: None if ended.cancelled() else stop())
    try:
        yield url
    finally:
        keeper.cancel()
        try:
            with suppress(asyncio.CancelledError):
                await keeper
        finally:
            await embedded.stop()


async def _alone(application: Application, listening: socket.socket, stop: _Stop, ready: Callable[[], None]) -> None:
    server = _Server(_config(application, lifespan="off"), ready)
    stop.tell(server.leave)
    await server.serve(sockets=[listening])


class _Server(uvicorn.Server):
    """uvicorn's server, which says when it is ready and leaves signals to us: it would end the process before the database."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._ready()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    def leave(self) -> None:
        self.force_exit = self.should_exit
        self.should_exit = True


async def _with_workers(
    settings: Settings, number: int, listening: socket.socket, stop: _Stop, ready: Callable[[], None]
) -> None:
    config = _config(f"{__name__}:worker", factory=True, workers=number, lifespan="on")
    workers = _Workers(config, listening, ready)
    stop.tell(workers.should_exit.set)
    with _figures() as folder:
        os.environ.update(settings.as_environment() | {SHARED: folder})
        # The thread lives as long as the workers do: the kernel ends them with the thread that started them.
        await asyncio.to_thread(workers.run)
    if not {each.exitcode for each in workers.processes} <= {0, -signal.SIGTERM, -signal.SIGINT}:
        raise Failure("A worker failed; its reason is in the log above.")


def _figures() -> TemporaryDirectory[str]:
    """The folder in which the workers count together."""
    try:
        return TemporaryDirectory(prefix="fhirserver-metrics-")
    except OSError as error:
        raise Failure(f"There is no folder for the figures of several workers (TMPDIR): {error.strerror}.") from error


class _Workers(Multiprocess):
    """uvicorn's workers, which say when all of them are ready."""

    def __init__(self, config: uvicorn.Config, listening: socket.socket, ready: Callable[[], None]) -> None:
        super().__init__(config, [listening])
        self._ready: Callable[[], None] | None = ready

    def keep_subprocess_alive(self) -> None:
        super().keep_subprocess_alive()
        if self._ready is not None and all(each.is_ready() for each in self.processes):
            self._ready()
            self._ready = None


def _config(application: Application | str, **more: Any) -> uvicorn.Config:
    return uvicorn.Config(
        application,
        loop="uvloop",
        http=Protocol,
        ws="none",
        interface="asgi3",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=GRACE_SECONDS,
        timeout_worker_healthcheck=WORKER_SECONDS,
        **more,
    )


@contextmanager
def _bound(settings: Settings) -> Iterator[socket.socket]:
    """The address is taken first of all, so that a taken one is said before a database is started."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    with socket.socket(family) as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind((settings.host.strip("[]"), settings.port))
        except OSError as error:
            raise Failure(f"{settings.host}:{settings.port} cannot be listened on: {error.strerror}.") from error
        yield listening


def _announce(settings: Settings, more: str | None) -> None:
    print(f"Serving FHIR R4 at {settings.base_url}", flush=True)
    if more is not None:
        print(more, flush=True)


def _nothing(*_: object) -> None:
    """Stands where something must."""
