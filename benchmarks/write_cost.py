"""What a write costs before the database: processor time of parsing, validation, what is derived, and its encoding.

    python benchmarks/write_cost.py [--patients 300]

Every resource is new: an element is only known if another resource had the same before, as it is with laboratory results. Of the batches
of 20 the tenth percentile is shown, because the machine may be shared. Prints Markdown.
"""

from __future__ import annotations

import argparse
import gc
import random
from collections.abc import Callable, Iterator
from itertools import pairwise
from time import process_time
from typing import Any

from fhirserver.bench import data
from fhirserver.definitions import load
from fhirserver.interactions.parameters.derivation import Derivation
from fhirserver.model.json import dump, parse
from fhirserver.store.commit.prepare import facts_of
from fhirserver.store.commit.write import By
from fhirserver.validation import Validator

BATCH = 20
WARM = 50
STEPS = ("parse", "validation", "search values and facts", "encoding of these")


def resources(patients: int) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """What is written: results patient by patient, the same in no order, and patients."""
    dice = random.Random(7)
    yield "Observation, patient by patient", [data.observation(p, q) for p in range(patients) for q in range(16)]
    yield (
        "Observation, any patient",
        [data.observation(dice.randrange(64_000), dice.randrange(4_000)) for _ in range(patients * 16)],
    )
    yield "Patient", [data.patient(number) for number in range(patients * 16)]


def batches(texts: list[bytes]) -> Iterator[list[float]]:
    """The microseconds of each step, a resource, for each batch."""
    definitions, by = load(), By("request", "principal", "client")
    validator, derive = Validator(definitions), Derivation(definitions, "https://fhir.example.org/fhir")
    for start in range(0, len(texts), BATCH):
        times = [process_time()]

        def step(work: Callable[[Any], Any], items: list[Any], times: list[float] = times) -> list[Any]:
            done = [work(item) for item in items]
            times.append(process_time())
            return done

        parsed = step(parse, texts[start : start + BATCH])
        step(validator.validate, parsed)
        derived = step(lambda resource: derive(resource["resourceType"], resource), parsed)
        step(lambda each: facts_of("POST", by, each), derived)
        yield [(after - before) / BATCH * 1e6 for before, after in pairwise(times)]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--patients", type=int, default=300)
    patients = parser.parse_args().patients
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)
    print(f"| Resource | {' | '.join(STEPS)} | Together |")
    print(f"| --- |{' --- |' * (len(STEPS) + 1)}")
    for name, made in resources(patients):
        columns = zip(*list(batches([dump(each) for each in made]))[WARM:], strict=True)
        figures = [sorted(column)[len(column) // 10] for column in columns]
        print(f"| {name} | {' | '.join(f'{each:.0f} µs' for each in figures)} | {sum(figures):.0f} µs |")


if __name__ == "__main__":
    main()
