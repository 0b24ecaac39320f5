"""Build the demonstration records: a fictional Moscow polyclinic with its neighbours, twelve patients and two weeks of slots.

Run `python seed/build.py` to write the transaction Bundles beside this file, an entry a line. Every resource is made with
`fhir.resources` (of the extra `test`), so that an independent model has checked it. All dates are relative to ANCHOR, a Monday,
or older than what moves; `serve --demo` moves them to the current week. Names, numbers and addresses are invented; every number
passes its check digit.

Not here yet, until the rooms that make them exist: AuditEvent, Communication, MeasureReport, and signatures (Provenance).
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, time
from itertools import chain
from pathlib import Path

from appointments import appointments
from consents import consents
from fhir.resources.R4B import get_fhir_model_class
from immunizations import immunizations
from laboratory import laboratory
from organisations import organisations
from papers import applications, illnesses, papers
from patients import patients
from practitioners import practitioners
from prescriptions import prescriptions
from schedules import schedules, slots
from services import healthcare_services
from terms import ANCHOR, Json
from vital_signs import vital_signs

LARGEST = 1000
"""The entries that one Bundle may have."""

BLOCKS: dict[str, Callable[[], Iterator[Json]]] = {
    "organisations": lambda: chain(organisations(), healthcare_services()),
    "practitioners": practitioners,
    "patients": patients,
    "consents": consents,
    "schedules": schedules,
    "slots": lambda: chain(slots(1), slots(2)),
    "appointments": appointments,
    "immunizations": immunizations,
    "laboratory": laboratory,
    "vital-signs": vital_signs,
    "prescriptions": prescriptions,
    "papers": lambda: chain(illnesses(), papers(), applications()),
}


def lines(name: str, resources: list[Json]) -> str:
    """One transaction Bundle, an entry a line: each resource is put under its own id."""
    entries = []
    for resource in resources:
        get_fhir_model_class(resource["resourceType"]).model_validate(resource)
        address = f"{resource['resourceType']}/{resource['id']}"
        entries.append(
            {
                "fullUrl": f"https://fhirserver.example/fhir/{address}",
                "resource": resource,
                "request": {"method": "PUT", "url": address},
            }
        )
    bundle = {
        "resourceType": "Bundle",
        "id": f"seed-{name}",
        "type": "transaction",
        "timestamp": datetime.combine(ANCHOR, time(), UTC).isoformat(),
    }
    get_fhir_model_class("Bundle").model_validate(bundle | {"entry": entries})
    head = _dump(bundle)[:-1]
    return head + ',"entry":[\n' + ",\n".join(_dump(entry) for entry in entries) + "\n]}\n"


def files() -> Iterator[tuple[str, str]]:
    """The name and the text of every Bundle, in the order of loading."""
    number = 0
    for block, resources in BLOCKS.items():
        made = list(resources())
        parts = -(-len(made) // LARGEST)
        size = -(-len(made) // parts)
        for part in range(parts):
            number += 1
            name = f"{number:02}-{block}" if parts == 1 else f"{number:02}-{block}-{part + 1}"
            yield name, lines(name, made[part * size : (part + 1) * size])


def main(folder: Path) -> None:
    """Write every Bundle into `folder`, and remove those that are no longer made."""
    written = dict(files())
    for old in folder.glob("[0-9][0-9]-*.json"):
        if old.stem not in written:
            old.unlink()
    for name, text in written.items():
        (folder / f"{name}.json").write_text(text, encoding="utf-8")
        print(f"{name}: {text.count(chr(10)) - 2} resources")


def _dump(value: Json) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)
