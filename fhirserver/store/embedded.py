"""The embedded database: a real mongod on a data folder, as a one-member replica set on loopback.

Whoever uses the folder (one server, any number of commands) holds a share in it, and the last one out stops mongod. A
mongod that outlived its server is taken over; a mongod that died under its server is started again on the same port.

https://www.mongodb.com/docs/manual/replication/
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import resource
import secrets
import signal
import socket
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import IO, Any
from urllib.parse import quote

from pymongo import AsyncMongoClient
from pymongo.errors import OperationFailure, PyMongoError

from fhirserver.store.mongod import find

REPLICA_SET = "fhirserver"
USER = "fhirserver"
OPEN_FILES = 64_000
START_SECONDS = 120.0
POLL_SECONDS = 0.03
RESTARTS_IN_A_ROW = 5

_ADDRESS_IN_USE = 48
_ALREADY_INITIALISED = 23
_NOT_YET_INITIALISED = 94


class EmbeddedError(Exception):
    """The embedded database cannot be used; the text says why, and never holds a password."""


class FolderInUse(EmbeddedError):
    """Another server runs on this folder."""


class Embedded:
    """The mongod of one data folder. `start` gives the URL, which holds a password: it is never printed."""

    def __init__(self, data: Path, *, mongod: str | None = None, cache_gb: float = 0.5, oplog_mb: int = 1024) -> None:
        self.data = data.resolve()
        self._setting = mongod
        self._sizes = ["--wiredTigerCacheSizeGB", str(cache_gb), "--oplogSize", str(oplog_mb)]
        self._server: IO[str] | None = None
        self._share: IO[str] | None = None
        self._child: subprocess.Popen[bytes] | None = None
        self._record = _Record(self.data / "mongod.json")
        self._starts = 0

    async def start(self, *, server: bool = True) -> str:
        """The URL of the running database, started or taken over. A server keeps other servers off the folder."""
        self.data.mkdir(parents=True, exist_ok=True, mode=0o700)
        if server:
            self._server = _lock(self.data / "server.lock", fcntl.LOCK_EX | fcntl.LOCK_NB)
            if self._server is None:
                raise FolderInUse(f"Another fhirserver already serves the folder {self.data}.")
        try:
            async with self._turn():
                self._share = _lock(self.data / "users.lock", fcntl.LOCK_SH)
                return await self._ensure_running()
        except BaseException:
            self._leave()
            raise

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
            self._leave()

    async def keep(self) -> None:
        """Start mongod again whenever it dies, until cancelled. It gives up when it does not stay up."""
        while True:
            await asyncio.sleep(0.2)
            if self._alive():
                continue
            if self._starts >= RESTARTS_IN_A_ROW:
                raise EmbeddedError(f"mongod does not stay up; its log is {self.data / 'mongod.log'}.")
            async with self._turn():
                await self._ensure_running()

    async def _ensure_running(self) -> str:
        if not self._alive():
            await self._spawn()
        async with asyncio.timeout(START_SECONDS):
            await self._form_replica_set(await self._listening())
        return self._url()

    # The process

    async def _spawn(self) -> None:
        found = await asyncio.to_thread(find, self._setting, self.data / "bin")
        (self.data / "db").mkdir(exist_ok=True, mode=0o700)
        _secret(self.data / "password", 32)
        _secret(self.data / "keyfile", 256)
        raise_file_limit()
        self._starts += 1
        port = self._record.port or free_port()
        for _ in range(5):
            self._child = subprocess.Popen(  # noqa: ASYNC220, S603 - returns at once; no shell
                [str(found.binary), *self._arguments(port)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
            self._record.write(self._child.pid, port)
            if await self._settled(port):
                return
            port = free_port()
        raise EmbeddedError("No free port was found for mongod on loopback.")

    def _arguments(self, port: int) -> list[str]:
        return [
            *("--dbpath", str(self.data / "db"), "--port", str(port), "--bind_ip", "127.0.0.1", "--nounixsocket"),
            *("--replSet", REPLICA_SET, "--keyFile", str(self.data / "keyfile")),
            *("--logpath", str(self.data / "mongod.log"), "--logappend", "--quiet"),
            *("--setParameter", "diagnosticDataCollectionEnabled=false"),
            # There is no other member to hand over to, so nothing to wait for when it is told to stop.
            *("--setParameter", "shutdownTimeoutMillisForSignaledShutdown=100"),
            *self._sizes,
        ]

    async def _settled(self, port: int) -> bool:
        """Wait until mongod listens. False when the port was taken; any other end is an error."""
        async with asyncio.timeout(START_SECONDS):
            while self._child is not None and (code := self._child.poll()) is None:
                if await _accepts(port):
                    return True
                await asyncio.sleep(POLL_SECONDS)
        if code == _ADDRESS_IN_USE:
            return False
        raise EmbeddedError(f"mongod ended while starting (exit code {code}); its log is {self.data / 'mongod.log'}.")

    def _alive(self) -> bool:
        """Whether the recorded mongod runs, as our child or as one that a dead server left."""
        if self._child is not None:
            return self._child.poll() is None
        pid = self._record.pid
        return pid is not None and str(self.data / "db") in _command_line(pid)

    async def _listening(self) -> int:
        port = self._record.port
        while port is None or not await _accepts(port):
            if not self._alive():
                raise EmbeddedError(f"mongod ended while starting; its log is {self.data / 'mongod.log'}.")
            await asyncio.sleep(POLL_SECONDS)
        return port

    async def _shut_down(self) -> None:
        pid = self._child.pid if self._child is not None else self._record.pid
        if pid is None or not self._alive():
            self._reap()
            return
        # SIGTERM, because it needs neither a connection nor a primary: mongod checkpoints and ends by itself.
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
        try:
            async with asyncio.timeout(START_SECONDS):
                while self._alive():  # noqa: ASYNC110 - it may not be our child: there is no event to wait for
                    await asyncio.sleep(POLL_SECONDS)
        except TimeoutError as error:
            raise EmbeddedError(f"mongod does not stop; its log is {self.data / 'mongod.log'}.") from error
        self._reap()

    def _reap(self) -> None:
        if self._child is not None:
            self._child.wait()
            self._child = None
        self._record.forget_process()

    # The replica set

    async def _form_replica_set(self, port: int) -> None:
        """Make sure that there is a set, that this address is its member, its primary, and that our user exists."""
        address = f"127.0.0.1:{port}"
        if not await self._can_log_in():
            async with _client(f"mongodb://{address}/?directConnection=true") as nobody:
                await _initiate(nobody, address)
                await _primary(nobody)
                await self._create_user(nobody)
        async with _client(self._url()) as ours:
            await _move(ours, address)
            await _primary(ours)

    async def _can_log_in(self) -> bool:
        async with _client(self._url()) as client:
            try:
                await client.admin.command("connectionStatus")
            except OperationFailure:
                return False
        return True

    async def _create_user(self, client: AsyncMongoClient[dict[str, Any]]) -> None:
        """The first user, by the localhost exception: it works only while there is none."""
        try:
            await client.admin.command(
                "createUser",
                USER,
                pwd=_read(self.data / "password"),
                roles=["root"],
                writeConcern={"w": "majority", "j": True},
            )
        except OperationFailure as error:
            raise EmbeddedError(
                f"The database in {self.data} does not accept the password in {self.data / 'password'}; "
                "the file and the database do not belong together."
            ) from error

    def _url(self) -> str:
        password = quote(_read(self.data / "password"), safe="")
        return f"mongodb://{USER}:{password}@127.0.0.1:{self._record.port}/?directConnection=true&authSource=admin"

    # The folder

    @asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        """One at a time starts or stops the mongod of a folder."""
        async with asyncio.timeout(2 * START_SECONDS):
            while (turn := _lock(self.data / "turn.lock", fcntl.LOCK_EX | fcntl.LOCK_NB)) is None:  # noqa: ASYNC110
                await asyncio.sleep(POLL_SECONDS)
        try:
            yield
        finally:
            turn.close()

    def _leave(self) -> None:
        for held in (self._share, self._server):
            if held is not None:
                held.close()
        self._share = self._server = None


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


class _Record:
    """The process and port of the folder's mongod, on disk. The port outlives the process: it is used again."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @property
    def pid(self) -> int | None:
        return self._load().get("pid")

    @property
    def port(self) -> int | None:
        return self._load().get("port")

    def write(self, pid: int | None, port: int | None) -> None:
        part = self._path.with_suffix(".part")
        part.write_text(json.dumps({"pid": pid, "port": port}))
        part.replace(self._path)

    def forget_process(self) -> None:
        self.write(None, self.port)

    def _load(self) -> dict[str, int | None]:
        try:
            record: dict[str, int | None] = json.loads(self._path.read_text())
        except (FileNotFoundError, ValueError):
            return {}
        return record


def _client(url: str) -> AsyncMongoClient[dict[str, Any]]:
    return AsyncMongoClient(url, serverSelectionTimeoutMS=10_000, connectTimeoutMS=10_000, maxPoolSize=2)


async def _initiate(client: AsyncMongoClient[dict[str, Any]], address: str) -> None:
    config = {"_id": REPLICA_SET, "members": [{"_id": 0, "host": address}]}
    try:
        await client.admin.command("replSetInitiate", config)
    except OperationFailure as error:
        # Unauthorized: a user exists, and the login that failed before is the real trouble; it is said next.
        if error.code not in (_ALREADY_INITIALISED, 13):
            raise


async def _move(client: AsyncMongoClient[dict[str, Any]], address: str) -> None:
    """Give the set's only member this address, when mongod was started on another port than before."""
    try:
        config = (await client.admin.command("replSetGetConfig"))["config"]
    except OperationFailure as error:
        if error.code != _NOT_YET_INITIALISED:
            raise
        await _initiate(client, address)
        return
    if config["members"][0]["host"] == address:
        return
    config["members"][0]["host"] = address
    config["version"] += 1
    await client.admin.command("replSetReconfig", config, force=True)


async def _primary(client: AsyncMongoClient[dict[str, Any]]) -> None:
    while True:
        with suppress(PyMongoError):
            if (await client.admin.command("hello")).get("isWritablePrimary"):
                return
        await asyncio.sleep(POLL_SECONDS)


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
    if path.exists():
        return
    part = path.with_suffix(".part")
    part.unlink(missing_ok=True)
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(secrets.token_hex(length // 2))
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)


def _read(path: Path) -> str:
    return path.read_text().strip()


def _command_line(pid: int) -> str:
    """The command line of a process, empty when there is none: a pid alone may belong to a stranger by now."""
    proc = Path(f"/proc/{pid}")
    if Path("/proc/self").exists():
        try:
            return (proc / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            return ""
    listing = subprocess.run(  # noqa: S603 - a number is the only argument
        ["/bin/ps", "-p", str(pid), "-o", "command="], capture_output=True, text=True, check=False
    )
    return listing.stdout
