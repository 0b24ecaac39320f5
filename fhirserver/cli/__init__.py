"""The command line: one module a command, each a few lines over the rooms below.

Public: `main`. A command's module has `arguments(parser)` and `run(arguments)`, and is imported only when it is the one that
runs. Errors that a person can do something about are one line on standard error and exit code 1; the database's URL, its
password and tokens that were not asked for are never printed.
"""

from __future__ import annotations

import logging
import signal
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from threading import current_thread, main_thread
from typing import NoReturn

from fhirserver import __version__
from fhirserver.cli.failure import Failure, explained

COMMANDS = {
    "serve": "serve FHIR R4",
    "load": "load Bundles and NDJSON",
    "token": "issue an access token, or take one back",
    "reindex": "rebuild what is derived from the stored resources",
    "doctor": "examine this machine and the database",
    "validate": "validate resources in files, as $validate does",
    "fhirpath": "evaluate a FHIRPath expression on resources in files",
    "definitions": "rebuild the compiled definitions from HL7's package",
    "bench": "measure the server beside the ceilings of this machine",
}


# A command says what a person has to know; only `serve` has a log, and sets it up.
logging.getLogger("fhirserver").addHandler(logging.NullHandler())


def main(words: Sequence[str] | None = None) -> int:
    """Run one command; the exit code."""
    try:
        arguments = _read(sys.argv[1:] if words is None else words)
        with _told_to_end(), explained():
            return int(import_module(f"fhirserver.cli.{arguments.command}").run(arguments) or 0)
    except Failure as failure:
        print(f"fhirserver {arguments.command}: {failure}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def _read(words: Sequence[str]) -> Namespace:
    parser = ArgumentParser(prog="fhirserver", description="A FHIR R4 server on MongoDB.")
    parser.add_argument("--version", action="version", version=f"fhirserver {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, says in COMMANDS.items():
        command = commands.add_parser(name, help=says, description=f"{says[0].upper()}{says[1:]}.")
        if name in words:
            import_module(f"fhirserver.cli.{name}").arguments(command)
    return parser.parse_args(words)


@contextmanager
def _told_to_end() -> Iterator[None]:
    """Told to end, a command leaves as it does by itself: what it started is stopped. `serve` has signals of its own besides."""
    if current_thread() is not main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, _leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _leave(number: int, _: object) -> NoReturn:
    raise SystemExit(128 + number)
