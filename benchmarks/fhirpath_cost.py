"""What validation, search values and single expressions cost: processor time, the least of many rounds.

    python benchmarks/fhirpath_cost.py [--rounds 30]

The expressions run beside fhirpathpy, compiled by both beforehand. Prints Markdown. The machine may be shared: the least of the
rounds is what the work itself takes, and the ratios are what is kept.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Callable
from pathlib import Path
from time import process_time
from typing import Any

import fhirpathpy
from fhirpathpy.models import models

from fhirserver.bench import data
from fhirserver.definitions import load
from fhirserver.fhirpath import Engine, Plan, compile_path
from fhirserver.model.json import dump, parse
from fhirserver.search.index.extract import Extractor
from fhirserver.validation import Validator

SEED = Path(__file__).parent.parent / "seed"
LASTS = 0.005
"""Seconds that one round takes at least."""

EXPRESSIONS = [
    ("Patient", "name.family"),
    ("Patient", "name.where(use = 'official').given.first()"),
    ("Patient", "identifier.where(system.exists()).value"),
    ("Patient", "contact.all(name.exists() or telecom.exists() or address.exists() or organization.exists())"),
    ("Patient", "Patient.telecom.where(system = 'phone') | Patient.contact.telecom.where(system = 'phone')"),
    ("Patient", "birthDate < @2000-01-01"),
    ("Observation", "code.coding.code"),
    ("Observation", "(Observation.value as Quantity).value > 10"),
    ("Observation", "subject.reference.startsWith('Patient/')"),
    ("Observation", "dataAbsentReason.empty() or value.empty()"),
    ("Observation", "descendants().where($this is Coding).code"),
    ("MedicationRequest", "dosageInstruction.timing.repeat.select(frequency / period)"),
]


def cost(work: Callable[[], object], rounds: int) -> float:
    """Microseconds of processor time of one run, the least of the rounds."""
    times = 1
    while _seconds(work, times) < LASTS:
        times *= 2
    return min(_seconds(work, times) for _ in range(rounds)) / times * 1e6


def _seconds(work: Callable[[], object], times: int) -> float:
    begun = process_time()
    for _ in range(times):
        work()
    return process_time() - begun


def resources() -> dict[str, dict[str, Any]]:
    """A laboratory result of 1.5 kB, and the first Patient (with a contact) and MedicationRequest of the seed."""
    found = {"Observation": data.observation(1, 1)}
    for file in sorted(SEED.glob("[0-9]*.json")):
        for entry in json.loads(file.read_text("utf-8"))["entry"]:
            found.setdefault(entry["resource"]["resourceType"], entry["resource"])
    found["Patient"]["contact"] = [{"name": {"family": "A"}, "telecom": [{"system": "phone", "value": "1"}]}]
    return {name: parse(dump(found[name])) for name in ("Observation", "Patient", "MedicationRequest")}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=30)
    rounds = parser.parse_args().rounds
    definitions, given = load(), resources()
    validator, extractor, engine = Validator(definitions), Extractor(definitions), Engine(definitions)
    print("| Resource | Bytes | Validation, all invariants | Search values, FHIRPath alone | Search values, whole |")
    print("| --- | --- | --- | --- | --- |")
    for name, resource in given.items():
        parameters = definitions.search_parameters(name).items()
        plan = Plan(definitions, name, {code: each.expression for code, each in parameters if each.expression})
        figures = [
            cost(lambda resource=resource: validator.validate(resource), rounds),  # type: ignore[misc]
            cost(lambda plan=plan, resource=resource: plan(resource), rounds),  # type: ignore[misc]
            cost(lambda name=name, resource=resource: extractor.extract(name, resource), rounds),  # type: ignore[misc]
        ]
        print(f"| {name} | {len(dump(resource))} | {' | '.join(f'{each:.1f} µs' for each in figures)} |")
    print("\n| Expression | As search runs it | By `evaluate` | fhirpathpy | Times |")
    print("| --- | --- | --- | --- | --- |")
    ratios = []
    for name, expression in EXPRESSIONS:
        ours, theirs = given[name], json.loads(dump(given[name]))
        path, other = compile_path(definitions, expression, name), fhirpathpy.compile(expression, models["r4"])
        bare = cost(lambda path=path, ours=ours: path(ours), rounds)  # type: ignore[misc]
        whole = cost(lambda expression=expression, ours=ours: engine.evaluate(expression, ours), rounds)  # type: ignore[misc]
        oracle = cost(lambda other=other, theirs=theirs: other(theirs), rounds)  # type: ignore[misc]
        ratios.append((oracle / bare, oracle / whole))
        shown = expression.replace("|", "\\|")
        times = f"{oracle / bare:.0f} / {oracle / whole:.0f}"
        print(f"| `{name}`: `{shown}` | {bare:.1f} µs | {whole:.1f} µs | {oracle:.0f} µs | {times} |")
    means = [math.exp(sum(math.log(pair[number]) for pair in ratios) / len(ratios)) for number in (0, 1)]
    print(f"| geometric mean | | | | {means[0]:.0f} / {means[1]:.0f} |")


if __name__ == "__main__":
    main()
