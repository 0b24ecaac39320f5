"""The embedded database: a real mongod on a data folder, as a one-member replica set on loopback.

Whoever uses the folder (one server, any number of commands) holds a share in it, and the last one out stops mongod. A
mongod that outlived its server is taken over; a mongod that died under its server is started again on the same port.

https://www.mongodb.com/docs/manual/replication/
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import resource
import secrets
import signal
import socket
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import IO

from pymongo.errors import PyMongoError

from fhirserver.store.embedded import replica_set
from fhirserver.store.embedded.mongod import NoMongod, find

OPEN_FILES = 64_000
START_SECONDS = 120.0
POLL_SECONDS = 0.03
RESTARTS_IN_A_ROW = 5

# What is not committed yet can leave no memory. By itself MongoDB gives it a tenth of the cache, which a large Bundle passes.
_EVICTION = ",".join(
    f"eviction_{kind}_{bound}={share}"
    for kind in ("dirty", "updates")
    for bound, share in (("target", 30), ("trigger", 60))
)
_ADDRESS_IN_USE = 48


class EmbeddedError(Exception):
    """The embedded database cannot be used; the text says why, and never holds a password."""


class FolderInUse(EmbeddedError):
    """Another server runs on this folder."""


class Embedded:
    """The mongod of one data folder. `start` gives the URL, which holds a password: it is never printed."""

    def __init__(self, data: Path, *, mongod: str | None = None, cache_gb: float = 1.0, oplog_mb: int = 1024) -> None:
        self.data = data.resolve()
        self._setting = mongod
        self._sizes = ["--wiredTigerCacheSizeGB", str(cache_gb), "--oplogSize", str(oplog_mb)]
        self._server: IO[str] | None = None
        self._share: IO[str] | None = None
        self._child: subprocess.Popen[bytes] | None = None

    async def start(self, *, server: bool = True) -> str:
        """The URL of the running database, started or taken over. A server keeps other servers off the folder."""
        try:
            self.data.mkdir(parents=True, exist_ok=True, mode=0o700)
            (self.data / "turn.lock").touch(mode=0o600)
        except OSError as error:
            raise EmbeddedError(f"{self.data} cannot be the data folder: {error.strerror}.") from error
        if server:
            self._server = _lock(self.data / "server.lock", fcntl.LOCK_EX | fcntl.LOCK_NB)
            if self._server is None:
                raise FolderInUse(f"Another fhirserver already serves the folder {self.data}.")
        try:
            async with self._turn():
                self._share = _lock(self.data / "users.lock", fcntl.LOCK_SH)
                await self._ensure_running()
        except BaseException:
            with suppress(EmbeddedError):
                await self.stop()
            self._leave()
            raise
        return replica_set.url(self._port(), self._password())

    async def stop(self) -> None:
        """Leave the folder. The last one out stops mongod cleanly and waits until it is gone."""
        if self._share is None:
            return
        async with self._turn():
            try:
                fcntl.flock(self._share, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                pass
            else:
                await self._shut_down()
            finally:
                self._leave()

    async def keep(self, *, restarted: Callable[[], object] = lambda: None) -> None:
        """Start mongod again, on the same port, whenever it dies; until cancelled, or until it does not come up."""
        failures = 0
        while True:
            await asyncio.sleep(0.2)
            if self.pid() is not None:
                continue
            try:
                async with self._turn():
                    await self._ensure_running(moving=False)
                failures = 0
                restarted()
            except EmbeddedError:
                failures += 1
                if failures == RESTARTS_IN_A_ROW:
                    raise

    def pid(self) -> int | None:
        """The process id of the folder's mongod, if it runs: our child, or one that a dead server left."""
        if self._child is not None:
            if self._child.poll() is None and self._is_ours(self._child.pid):
                return self._child.pid
            self._child.wait()  # it has given its memory back already: what is left takes no time
            self._child = None
        try:
            pid = int((self.data / "db" / "mongod.lock").read_text())
        except (OSError, ValueError):
            return None
        return pid if self._is_ours(pid) else None

    def _is_ours(self, pid: int) -> bool:
        return f"--dbpath {self.data / 'db'} " in _command_line(pid)

    async def _ensure_running(self, *, moving: bool = True) -> None:
        try:
            async with asyncio.timeout(START_SECONDS):
                if self.pid() is not None and await self._taken_over():
                    if self._server is not None:  # the only one on this folder: what is open now was a dead one's
                        await replica_set.end_transactions(self._port(), self._password())
                    return
                await self._spawn(moving=moving)
                await replica_set.form(self._port(), self._password())
        except NoMongod as error:
            raise EmbeddedError(str(error)) from error
        except replica_set.WrongPassword as error:
            raise EmbeddedError(
                f"The database in {self.data} does not accept the password in {self.data / 'password'}: "
                "that file and the database do not belong together."
            ) from error
        except (PyMongoError, TimeoutError) as error:
            raise self._trouble("mongod runs but does not answer as it should") from error

    async def _taken_over(self) -> bool:
        """Whether the mongod that runs already serves us. It may be on its way out: then it is waited for, to its end."""
        try:
            while not await _accepts(self._port()):
                if self.pid() is None:
                    return False
                await asyncio.sleep(POLL_SECONDS)
            await replica_set.form(self._port(), self._password())
        except (PyMongoError, OSError):
            if self.pid() is not None:
                raise
            return False
        return True

    async def _spawn(self, *, moving: bool) -> None:
        found = await asyncio.to_thread(find, self._setting, self.data / "bin")
        (self.data / "db").mkdir(exist_ok=True, mode=0o700)
        _secret(self.data / "password", 32)
        _secret(self.data / "keyfile", 256)
        raise_file_limit()
        while True:
            if not _is_free(self._port(0)):
                if not moving and self._port(0):
                    raise EmbeddedError(f"Another program took mongod's port {self._port()}.")
                _write(self.data / "port", str(free_port()))
            self._child = subprocess.Popen(  # noqa: ASYNC220, S603 - returns at once; no shell
                [str(found.binary), *self._arguments(self._port())],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
            if await self._listens(self._child):
                return

    async def _listens(self, child: subprocess.Popen[bytes]) -> bool:
        """Wait until mongod listens. False when its port was taken meanwhile; any other end is an error."""
        while (code := child.poll()) is None:
            if await _accepts(self._port()):
                return True
            await asyncio.sleep(POLL_SECONDS)
        if code == _ADDRESS_IN_USE:
            return False
        raise self._trouble(f"mongod ended while starting (exit code {code})")

    def _arguments(self, port: int) -> list[str]:
        return [
            *("--dbpath", str(self.data / "db"), "--port", str(port), "--bind_ip", "127.0.0.1", "--nounixsocket"),
            *("--replSet", replica_set.REPLICA_SET, "--keyFile", str(self.data / "keyfile")),
            *("--logpath", str(self.data / "mongod.log"), "--logappend", "--quiet"),
            # A slow query is logged with its values, and they are health data.
            *("--slowOpSampleRate", "0"),
            *("--setParameter", "diagnosticDataCollectionEnabled=false"),
            # There is no other member to hand over to, so nothing to wait for when it is told to stop.
            *("--setParameter", "shutdownTimeoutMillisForSignaledShutdown=100"),
            *self._sizes,
            *("--wiredTigerEngineConfigString", _EVICTION),
        ]

    async def _shut_down(self) -> None:
        pid = self.pid()
        if pid is None:
            return
        # SIGTERM needs neither a connection nor a primary: mongod makes a checkpoint and ends by itself.
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
        try:
            async with asyncio.timeout(START_SECONDS):
                # mongod empties its lock file before it ends: only the process itself tells that it is gone.
                while self.pid() is not None or self._is_ours(pid):  # noqa: ASYNC110 - it may not be our child
                    await asyncio.sleep(POLL_SECONDS)
        except TimeoutError as error:
            raise self._trouble("mongod does not stop") from error

    @asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        """One at a time starts or stops the mongod of a folder."""
        try:
            async with asyncio.timeout(2 * START_SECONDS):
                while (turn := _lock(self.data / "turn.lock", fcntl.LOCK_EX | fcntl.LOCK_NB)) is None:  # noqa: ASYNC110
                    await asyncio.sleep(POLL_SECONDS)
        except TimeoutError as error:
            raise self._trouble("Another process is starting or stopping mongod and does not finish") from error
        try:
            yield
        finally:
            turn.close()

    def _leave(self) -> None:
        for held in (self._share, self._server):
            if held is not None:
                held.close()
        self._share = self._server = None

    def _port(self, otherwise: int | None = None) -> int:
        """The port of the folder's mongod. It outlives the process: the next one uses it again."""
        try:
            return int((self.data / "port").read_text())
        except (OSError, ValueError):
            if otherwise is None:
                raise
            return otherwise

    def _password(self) -> str:
        return (self.data / "password").read_text().strip()

    def _trouble(self, what: str) -> EmbeddedError:
        return EmbeddedError(f"{what}; its log is {self.data / 'mongod.log'}.")


@asynccontextmanager
async def connect(data: Path, *, mongod: str | None = None) -> AsyncIterator[str]:
    """The database of a folder for one command: a running server's, else one started for as long as this lasts."""
    embedded = Embedded(data, mongod=mongod)
    url = await embedded.start(server=False)
    try:
        yield url
    finally:
        await embedded.stop()


def raise_file_limit() -> int:
    """Raise this process's limit on open files, which its children inherit (an index is a file), and return it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = OPEN_FILES if hard == resource.RLIM_INFINITY else min(OPEN_FILES, hard)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return soft
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return wanted


def free_port() -> int:
    """A port on loopback that nothing listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _is_free(port: int) -> bool:
    if not port:
        return False
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


async def _accepts(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()
    return True


def _lock(path: Path, kind: int) -> IO[str] | None:
    """The open file that holds the lock; None when somebody else has it. The kernel drops it with the process."""
    path.touch(mode=0o600)
    file = path.open("r+")
    try:
        fcntl.flock(file, kind)
    except BlockingIOError:
        file.close()
        return None
    return file


def _secret(path: Path, length: int) -> None:
    """A file with a generated secret that only its owner can read; an existing one is kept."""
    if not path.exists():
        _write(path, secrets.token_hex(length // 2))


def _write(path: Path, text: str) -> None:
    """The file, whole or not at all, for its owner's eyes only."""
    part = path.with_name(f"{path.name}.part")
    part.unlink(missing_ok=True)
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)


def _command_line(pid: int) -> str:
    """The command line of a process, empty when there is none: a pid alone may belong to a stranger by now."""
    if Path("/proc/self").exists():
        try:
            return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            return ""
    listing = subprocess.run(  # noqa: S603 - a number is the only argument
        ["/bin/ps", "-p", str(pid), "-o", "command="], capture_output=True, text=True, check=False
    )
    return listing.stdout
