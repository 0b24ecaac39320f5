"""`fhirserver bench`: the server beside the ceilings of this machine, in one run."""

from __future__ import annotations

import asyncio
from argparse import ArgumentParser, Namespace

from fhirserver.bench import run as bench
from fhirserver.cli.failure import Failure


def arguments(parser: ArgumentParser) -> None:
    """How much and how long."""
    parser.add_argument("--patients", type=int, default=1000, help="how many patients (1000)")
    parser.add_argument("--each", type=int, default=20, help="how many results for each patient (20)")
    parser.add_argument("--seconds", type=float, default=5.0, help="how long each round of reading lasts (5)")
    parser.add_argument("--rounds", type=int, default=3, help="how many rounds; the median is told (3)")


def run(given: Namespace) -> int:
    """Measure, and print the report as Markdown."""
    for name in ("patients", "each", "rounds"):
        if getattr(given, name) < 1:
            raise Failure(f"--{name} is at least 1.")
    if not given.seconds > 0:
        raise Failure("--seconds is more than 0.")
    report = bench(patients=given.patients, each=given.each, seconds=given.seconds, rounds=given.rounds)
    print(asyncio.run(report))
    return 0
