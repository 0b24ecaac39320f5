"""The life of the embedded database: started, killed, taken over, shared and stopped, with a real mongod each time."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import stat
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import pytest
from pymongo import AsyncMongoClient
from pymongo.errors import OperationFailure

from fhirserver.store.embedded import Embedded, EmbeddedError, FolderInUse, connect, raise_file_limit, replica_set

A_SERVER = """
import asyncio, os, pathlib, sys
from pymongo import AsyncMongoClient
from fhirserver.store.embedded import Embedded

async def serve(data):
    embedded = Embedded(pathlib.Path(data), cache_gb=0.25, oplog_mb=64)
    url = await embedded.start()
    async with AsyncMongoClient(url, w="majority", journal=True) as client:
        await client.test.kept.insert_one({"_id": "acknowledged"})
        session = client.start_session()
        await session.start_transaction()
        await client.test.kept.update_one({"_id": "acknowledged"}, {"$set": {"half": "done"}}, session=session)
        print(embedded.pid(), flush=True)
        await asyncio.sleep(120)

asyncio.run(serve(sys.argv[1]))
"""

A_SERVER_KILLED_BEFORE_THE_REPLICA_SET = """
import asyncio, os, pathlib, sys
from fhirserver.store.embedded import replica_set
from fhirserver.store.embedded import Embedded

async def killed(port, password):
    os._exit(9)

replica_set.form = killed
asyncio.run(Embedded(pathlib.Path(sys.argv[1]), cache_gb=0.25, oplog_mb=64).start())
"""


def on(folder: Path) -> Embedded:
    return Embedded(folder, mongod=os.environ.get("FHIRSERVER_MONGOD"), cache_gb=0.25, oplog_mb=64)


@pytest.fixture
async def folder(tmp_path: Path) -> AsyncIterator[Path]:
    """A data folder; whatever mongod a test leaves on it is ended."""
    yield tmp_path / "data"
    if pid := on(tmp_path / "data").pid():
        os.kill(pid, signal.SIGKILL)


async def kept(url: str) -> list[str]:
    async with AsyncMongoClient(url, serverSelectionTimeoutMS=30_000) as client:
        return [row["_id"] async for row in client.test.kept.find()]


async def keep(url: str, id: str) -> None:
    async with AsyncMongoClient(url, w="majority", journal=True) as client:
        await client.test.kept.insert_one({"_id": id})


def command_line(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except FileNotFoundError:
        return ""


def killed_server(data: Path, *, with_mongod: bool) -> int:
    """The pid of a mongod whose server wrote one acknowledged row and was killed, alone or with its mongod."""
    server = subprocess.Popen([sys.executable, "-c", A_SERVER, str(data)], stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    pid = int(server.stdout.readline())
    if with_mongod:
        os.kill(pid, signal.SIGKILL)
    server.kill()
    server.wait()
    server.stdout.close()
    return pid


async def test_it_is_a_replica_set_with_transactions_a_password_and_private_files(folder: Path) -> None:
    embedded = on(folder)
    url = await embedded.start()
    try:
        async with AsyncMongoClient(url) as client:
            assert (await client.admin.command("hello"))["setName"] == replica_set.REPLICA_SET
            async with client.start_session() as session, await session.start_transaction():
                await client.test.kept.insert_one({"_id": "in a transaction"}, session=session)
        assert await kept(url) == ["in a transaction"]
        async with AsyncMongoClient(re.sub("//.*@", "//", url)) as stranger:
            with pytest.raises(OperationFailure, match="requires authentication"):
                await stranger.test.kept.find_one()
        for secret in ("password", "keyfile"):
            assert stat.S_IMODE((folder / secret).stat().st_mode) == 0o600
        password = (folder / "password").read_text()
        assert password not in (folder / "mongod.log").read_text()
        assert password not in command_line(embedded.pid() or 0)
    finally:
        await embedded.stop()


async def test_a_slow_query_leaves_nothing_of_itself_in_the_log(folder: Path) -> None:
    embedded = on(folder)
    url = await embedded.start()
    try:
        async with AsyncMongoClient(url) as client:
            await client.test.kept.insert_one({"_id": "Ivanova"})
            # MongoDB calls slow what takes 100 milliseconds.
            assert await client.test.kept.find_one({"_id": "Ivanova", "$where": "sleep(150); return true"})
    finally:
        await embedded.stop()
    assert "Ivanova" not in (folder / "mongod.log").read_text()


async def test_what_was_written_is_there_after_a_clean_stop_and_no_process_is_left(folder: Path) -> None:
    embedded = on(folder)
    await keep(await embedded.start(), "one")
    pid = embedded.pid()
    assert pid is not None
    await embedded.stop()
    assert not command_line(pid)
    again = on(folder)
    try:
        assert await kept(await again.start()) == ["one"]
    finally:
        await again.stop()


async def test_a_mongod_that_dies_under_its_server_comes_back_on_the_same_port(folder: Path) -> None:
    embedded = on(folder)
    url = await embedded.start()
    keeper = asyncio.create_task(embedded.keep())
    try:
        await keep(url, "before the kill")
        first = embedded.pid()
        assert first is not None
        os.kill(first, signal.SIGKILL)
        assert await kept(url) == ["before the kill"]
        assert embedded.pid() != first
    finally:
        keeper.cancel()
        with suppress(asyncio.CancelledError):
            await keeper
        await embedded.stop()


async def test_a_mongod_that_does_not_come_up_again_is_given_up(folder: Path) -> None:
    embedded = on(folder)
    await embedded.start()
    (folder / "keyfile").write_text("!")
    os.kill(embedded.pid() or 0, signal.SIGKILL)
    with pytest.raises(EmbeddedError, match="ended while starting"):
        await embedded.keep()
    await embedded.stop()


async def test_the_mongod_of_a_killed_server_is_taken_over(folder: Path) -> None:
    pid = await asyncio.to_thread(killed_server, folder, with_mongod=False)
    embedded = on(folder)
    try:
        assert await kept(await embedded.start()) == ["acknowledged"]
        assert embedded.pid() == pid
    finally:
        await embedded.stop()
    assert not command_line(pid)


async def test_what_a_killed_server_left_open_holds_no_record(folder: Path) -> None:
    await asyncio.to_thread(killed_server, folder, with_mongod=False)
    embedded = on(folder)
    try:
        async with AsyncMongoClient(await embedded.start()) as client:
            changed = await client.test.kept.find_one_and_update(
                {"_id": "acknowledged"}, {"$set": {"seen": True}}, return_document=True, maxTimeMS=2_000
            )
        assert changed == {"_id": "acknowledged", "seen": True}
    finally:
        await embedded.stop()


async def test_when_server_and_mongod_are_both_killed_the_next_start_has_what_was_acknowledged(folder: Path) -> None:
    await asyncio.to_thread(killed_server, folder, with_mongod=True)
    embedded = on(folder)
    try:
        assert await kept(await embedded.start()) == ["acknowledged"]
    finally:
        await embedded.stop()


async def test_a_start_that_was_killed_half_way_is_finished_by_the_next(folder: Path) -> None:
    program = [sys.executable, "-c", A_SERVER_KILLED_BEFORE_THE_REPLICA_SET, str(folder)]
    ended = await asyncio.to_thread(subprocess.run, program, check=False)
    assert ended.returncode == 9
    embedded = on(folder)
    try:
        assert await kept(await embedded.start()) == []
    finally:
        await embedded.stop()


async def test_two_servers_do_not_share_a_folder(folder: Path) -> None:
    first = on(folder)
    await first.start()
    try:
        with pytest.raises(FolderInUse, match=re.escape(str(folder))):
            await on(folder).start()
    finally:
        await first.stop()
    second = on(folder)
    await second.start()
    await second.stop()


async def test_a_command_reaches_the_database_of_the_server_that_runs(folder: Path) -> None:
    server = on(folder)
    url = await server.start()
    try:
        await keep(url, "by the server")
        async with connect(folder) as reached:
            assert reached == url
            assert await kept(reached) == ["by the server"]
        assert await kept(url) == ["by the server"]
    finally:
        await server.stop()


async def test_a_command_without_a_server_starts_the_database_and_stops_it(folder: Path) -> None:
    async with connect(folder) as url:
        await keep(url, "by a command")
    assert on(folder).pid() is None
    async with connect(folder) as url:
        assert await kept(url) == ["by a command"]


async def test_the_last_one_out_stops_the_database(folder: Path) -> None:
    server = on(folder)
    url = await server.start()
    async with connect(folder):
        await server.stop()
        assert await kept(url) == []
    assert server.pid() is None


async def test_when_the_port_was_taken_meanwhile_it_moves_to_another(folder: Path) -> None:
    embedded = on(folder)
    url = await embedded.start()
    await keep(url, "before the move")
    await embedded.stop()
    occupied = int((folder / "port").read_text())
    async with await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", occupied):
        moved = on(folder)
        try:
            other = await moved.start()
            assert other != url
            await keep(other, "after the move")
            assert await kept(other) == ["before the move", "after the move"]
        finally:
            await moved.stop()


async def test_a_password_file_that_is_not_the_databases_is_said_without_the_password(folder: Path) -> None:
    embedded = on(folder)
    await embedded.start()
    await embedded.stop()
    (folder / "password").write_text("another")
    other = on(folder)
    with pytest.raises(EmbeddedError, match="do not belong together") as refused:
        await other.start()
    assert "another" not in str(refused.value)
    assert other.pid() is None


async def test_a_mongod_that_does_not_start_is_said_with_the_place_of_its_log(folder: Path) -> None:
    folder.mkdir()  # noqa: ASYNC240
    (folder / "keyfile").write_text("!")
    with pytest.raises(EmbeddedError, match=r"ended while starting.*mongod\.log"):
        await on(folder).start()


def test_the_file_limit_is_raised_for_a_file_an_index() -> None:
    assert raise_file_limit() >= 4096
