"""Build the demonstration records: a fictional Moscow polyclinic, its laboratory, and two families.

Run `python seed/build.py` to write the transaction Bundles beside this file. Every resource is made with
`fhir.resources`, so that an independent model has checked it. All dates are relative to ANCHOR, a Monday;
`serve --demo` moves them to the current week. Names, numbers and addresses are invented; every number passes its
check digit.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, time
from pathlib import Path

from directory import appointments, organizations, practitioners, schedules
from fhir.resources.R4B import get_fhir_model_class
from records import consents, immunizations, laboratory, patients, prescriptions
from terms import ANCHOR, Json

BLOCKS = {
    "01-organisations": organizations,
    "02-practitioners": practitioners,
    "03-patients": patients,
    "04-consents": consents,
    "05-schedules": schedules,
    "06-appointments": appointments,
    "07-immunizations": immunizations,
    "08-laboratory": laboratory,
    "09-prescriptions": prescriptions,
}


def bundle(block: str, resources: Iterator[Json]) -> Json:
    """One transaction Bundle: each resource is put under its own id."""
    entries = []
    for resource in resources:
        get_fhir_model_class(resource["resourceType"]).model_validate(resource)
        entries.append(
            {
                "fullUrl": f"https://fhirserver.example/fhir/{resource['resourceType']}/{resource['id']}",
                "resource": resource,
                "request": {"method": "PUT", "url": f"{resource['resourceType']}/{resource['id']}"},
            }
        )
    made = {
        "resourceType": "Bundle",
        "id": f"seed-{block}",
        "type": "transaction",
        "timestamp": datetime.combine(ANCHOR, time(), UTC).isoformat(),
        "entry": entries,
    }
    get_fhir_model_class("Bundle").model_validate(made)
    return made


def main(folder: Path) -> None:
    """Write every Bundle into `folder`."""
    for block, resources in BLOCKS.items():
        made = bundle(block, resources())
        (folder / f"{block}.json").write_text(json.dumps(made, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
        print(f"{block}: {len(made['entry'])} resources")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)
