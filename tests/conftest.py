"""What every test may use: a real one-member replica set, and a database of its own."""

from __future__ import annotations

import asyncio
import os
import shutil
import uuid
from collections.abc import Coroutine, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

import pytest
from pymongo import MongoClient

from fhirserver.store.embedded import Embedded

MEMORY = Path("/dev/shm")
"""Linux's file system in memory: https://docs.kernel.org/filesystems/tmpfs.html"""

Result = TypeVar("Result")
Report = TypeVar("Report", pytest.TestReport, pytest.CollectReport)


def in_own_loop(coroutine: Coroutine[Any, Any, Result]) -> Result:
    """Run a coroutine to its end in a loop and thread of its own, so that the tests' session loop is not touched."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, coroutine).result()


@pytest.fixture(scope="session")
def mongo_url() -> Iterator[str]:
    """The URL of a real mongod, shared by the tests of a process: FHIRSERVER_TEST_MONGO_URL, else an embedded one.

    It lives in memory where there is enough, so that nothing waits for a disk. Tests that kill have a database of their own.
    """
    if given := os.environ.get("FHIRSERVER_TEST_MONGO_URL"):
        yield given
        return
    roomy = MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > 4 << 30
    with TemporaryDirectory(prefix="fhirserver-tests-", dir=MEMORY if roomy else None) as folder:
        embedded = Embedded(Path(folder), mongod=os.environ.get("FHIRSERVER_MONGOD"), cache_gb=0.25, oplog_mb=128)
        url = in_own_loop(embedded.start())
        yield url
        in_own_loop(embedded.stop())


@pytest.fixture(scope="session")
def _mongo_client(mongo_url: str) -> Iterator[MongoClient[dict[str, Any]]]:
    client: MongoClient[dict[str, Any]] = MongoClient(mongo_url)
    yield client
    client.close()


@pytest.fixture
def database_name(_mongo_client: MongoClient[dict[str, Any]]) -> Iterator[str]:
    """The name of a fresh database, dropped after the test."""
    name = f"t{uuid.uuid4().hex[:16]}"
    yield name
    _mongo_client.drop_database(name)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """The long forms of tests run when they are asked for: `pytest -m slow`."""
    if "slow" in config.option.markexpr:
        return
    config.hook.pytest_deselected(items=[item for item in items if item.get_closest_marker("slow")])
    items[:] = [item for item in items if not item.get_closest_marker("slow")]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """With FHIRSERVER_FORBID_SKIPS a skipped test is a failed one: nothing is left out unseen."""
    return _not_skipped((yield))


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """The same for a file whose tests are skipped as a whole."""
    return _not_skipped((yield))


def _not_skipped(report: Report) -> Report:
    if report.skipped and not hasattr(report, "wasxfail") and os.environ.get("FHIRSERVER_FORBID_SKIPS"):
        report.outcome = "failed"
        report.longrepr = f"Skips are forbidden here: {report.longrepr}"
    return report
