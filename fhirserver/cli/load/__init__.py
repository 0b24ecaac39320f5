"""`fhirserver load PATH...`: Bundles and NDJSON into the database, or with `--url` into a server through REST.

Exit code 1 says that something was refused; the report says what and why.
"""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import sys
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Coroutine, Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import uvloop

from fhirserver.app import create_app
from fhirserver.cli import database
from fhirserver.cli.failure import Failure
from fhirserver.cli.load.bar import Bar
from fhirserver.cli.load.remote import Remote
from fhirserver.definitions import load as load_definitions
from fhirserver.interactions.load import BadReport, BadSource, Counts, Direct, Means, Processes, Report, files, load
from fhirserver.interactions.load.processes import RINGS
from fhirserver.model.dates import instant
from fhirserver.settings import is_base, secret

PARALLEL = 8
REPORT = "refused.ndjson"
REPORT_BEGINS = b'{"resourceType":"OperationOutcome"'
MOST = 4
"""Processes that judge, where nobody says how many: more of them wait for the one that writes."""
WORTH = 8 * 1024 * 1024
"""Bytes of files from which on they are worth their start."""


def arguments(parser: ArgumentParser) -> None:
    """What is loaded, and where to."""
    parser.add_argument(
        "paths", nargs="+", type=Path, metavar="PATH", help="NDJSON or JSON files, plain or .gz, or folders"
    )
    parser.add_argument("--url", metavar="BASE", help="a server's FHIR base: load through REST")
    parser.add_argument("--token", metavar="T", help="the access token for --url (or FHIRSERVER_TOKEN)")
    parser.add_argument(
        "--parallel", type=int, default=PARALLEL, metavar="N", help=f"requests side by side ({PARALLEL})"
    )
    parser.add_argument(
        "--processes",
        type=int,
        metavar="N",
        help=f"processes that judge resources, 1 for none beside this one (a core each, at most {MOST})",
    )
    parser.add_argument(
        "--report", type=Path, default=Path(REPORT), metavar="FILE", help=f"where refusals are written ({REPORT})"
    )
    database.arguments(parser)


def run(given: Namespace) -> int:
    """Load everything, and say how many of each there were."""
    if given.parallel < 1:
        raise Failure("--parallel is at least 1.")
    if given.processes is not None and (given.processes < 1 or given.url):
        raise Failure("--processes is at least 1, and not for --url: there the server judges.")
    _look_at(given)
    # Resources are trees that are dropped as a whole; to look for rings among them often would cost a third of the time.
    gc.freeze()
    gc.set_threshold(RINGS)
    began = time.monotonic()
    try:
        paths = files(given.paths)
        with _processes(given, paths) as processes:  # before there is a loop, or a thread
            counts = _run(_remote(given, paths) if given.url else _direct(given, paths, processes))
    except (BadSource, BadReport) as error:
        raise Failure(str(error)) from error
    _say(counts, time.monotonic() - began, given.report)
    return 1 if counts.refused else 0


def _look_at(given: Namespace) -> None:
    """Whether there is one target, its address can be one, and the report can be written without destroying what is no report."""
    url, report = given.url, given.report
    if url is not None and not is_base(url):
        raise Failure("--url is a server's FHIR base, as in https://fhir.example.org/fhir.")
    if url and (given.data or given.mongo_url):
        raise Failure("--url is a server, --data and --mongo-url are a database: a load goes to one of them.")
    if given.token and not url:
        # Whoever forgets the address means to load as the token's holder, and would load past all Consents.
        raise Failure("--token is for --url; without it a load goes into the database, as the operator.")
    try:
        with report.open("rb") as opened:
            begins = opened.read(len(REPORT_BEGINS))
    except FileNotFoundError:
        begins = b""
        if not report.absolute().parent.is_dir():
            raise Failure(f"--report {report}: there is no folder {report.absolute().parent}.") from None
    except OSError as error:
        raise Failure(f"--report {report}: {error.strerror}.") from error
    if begins and begins != REPORT_BEGINS:
        raise Failure(f"--report {report} holds something else than refusals, and would be lost: name another file.")


def _run(work: Coroutine[Any, Any, Counts]) -> Counts:
    """What comes of it. Told to end, it is cancelled, and leaves as it does by itself.

    What a signal's handler raises is lost where a callback of uvloop runs, and breaks a connection instead.
    """
    told: list[int] = []

    def leave(number: int, _: object) -> None:
        if not told:  # told again, it would not get to its end
            loop.call_soon_threadsafe(task.cancel)
        told.append(number)

    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            loop = runner.get_loop()
            task = loop.create_task(work)
            for number, handler in before.items():
                if handler is not signal.SIG_IGN:
                    signal.signal(number, leave)
            return loop.run_until_complete(task)
    except asyncio.CancelledError:
        raise SystemExit(128 + told[0]) from None
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


async def _direct(given: Namespace, paths: Sequence[Path], processes: Processes | None) -> Counts:
    async with database.database(given) as settings:
        application = create_app(settings)
        services = await application.start(types=())  # those of what it loads are made as it comes
        try:
            with Bar() as bar:
                means = Means(services.definitions, services.base_url, services.new_id, Report(given.report), bar.show)
                return await load(paths, await Direct.of(services, processes), means)
        finally:
            await application.stop()


def _processes(given: Namespace, paths: Sequence[Path]) -> AbstractContextManager[Processes | None]:
    """The processes that judge, where they are asked for or worth it."""
    count = given.processes
    if count is None:
        is_worth_it = not given.url and sum(path.stat().st_size for path in paths) >= WORTH
        count = min(_cores(), MOST) if is_worth_it else 1
    return nullcontext() if count == 1 else Processes(count, lambda sentence: print(sentence, file=sys.stderr))


def _cores() -> int:
    """Those that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


async def _remote(given: Namespace, paths: Sequence[Path]) -> Counts:
    token = given.token or secret(os.environ, "token")
    base = given.url.rstrip("/")
    async with Remote.open(base, token, given.parallel) as target:
        with Bar() as bar:
            means = Means(load_definitions(), base, lambda: instant(datetime.now(UTC)), Report(given.report), bar.show)
            return await load(paths, target, means)


def _say(counts: Counts, seconds: float, report: Path) -> None:
    words = [f"{counts.created:,} created", f"{counts.updated:,} updated", f"{counts.unchanged:,} unchanged"]
    if counts.deleted:
        words.append(f"{counts.deleted:,} deleted")
    words.append(f"{counts.refused:,} refused")
    print(f"{', '.join(words)}; {counts.total:,} in all, in {seconds:.1f} s")
    if counts.refused:
        print(f"What was refused, and why: {report}", file=sys.stderr)
