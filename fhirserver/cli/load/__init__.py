"""`fhirserver load PATH...`: Bundles and NDJSON into the database, or with `--url` into a server through REST.

Exit code 1 says that something was refused; the report says what and why.
"""

from __future__ import annotations

import asyncio
import gc
import os
import sys
import time
from argparse import ArgumentParser, Namespace
from datetime import UTC, datetime
from pathlib import Path

from fhirserver.app import create_app
from fhirserver.cli import database
from fhirserver.cli.failure import Failure
from fhirserver.cli.load.bar import Bar
from fhirserver.cli.load.remote import Remote
from fhirserver.definitions import load as load_definitions
from fhirserver.interactions.load import BadSource, Counts, Direct, Means, Report, files, load
from fhirserver.model.dates import instant

PARALLEL = 8
REPORT = "refused.ndjson"
RINGS = 200_000
"""Objects between two looks for rings."""


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
        "--report", type=Path, default=Path(REPORT), metavar="FILE", help=f"where refusals are written ({REPORT})"
    )
    database.arguments(parser)


def run(given: Namespace) -> int:
    """Load everything, and say how many of each there were."""
    if given.parallel < 1:
        raise Failure("--parallel is at least 1.")
    # Resources are trees that are dropped as a whole; to look for rings among them often would cost a third of the time.
    gc.freeze()
    gc.set_threshold(RINGS)
    began = time.monotonic()
    try:
        counts = asyncio.run(_remote(given) if given.url else _direct(given))
    except BadSource as error:
        raise Failure(str(error)) from error
    _say(counts, time.monotonic() - began, given.report)
    return 1 if counts.refused else 0


async def _direct(given: Namespace) -> Counts:
    async with database.database(given) as settings:
        application = create_app(settings)
        services = await application.start()
        try:
            with Bar() as bar:
                means = Means(services.definitions, services.base_url, services.new_id, Report(given.report), bar.show)
                return await load(files(given.paths), await Direct.of(services), means)
        finally:
            await application.stop()


async def _remote(given: Namespace) -> Counts:
    token = given.token or os.environ.get("FHIRSERVER_TOKEN")
    base = given.url.rstrip("/")
    async with Remote.open(base, token, given.parallel) as target:
        with Bar() as bar:
            means = Means(load_definitions(), base, lambda: instant(datetime.now(UTC)), Report(given.report), bar.show)
            return await load(files(given.paths), target, means)


def _say(counts: Counts, seconds: float, report: Path) -> None:
    words = [f"{counts.created:,} created", f"{counts.updated:,} updated", f"{counts.unchanged:,} unchanged"]
    if counts.deleted:
        words.append(f"{counts.deleted:,} deleted")
    words.append(f"{counts.refused:,} refused")
    print(f"{', '.join(words)}; {counts.total:,} in all, in {seconds:.1f} s")
    if counts.refused:
        print(f"What was refused, and why: {report}", file=sys.stderr)
