"""Shapes of search over the population: what is really asked, and what breaks other servers.

https://hl7.org/fhir/R4/search.html
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from fhirserver.bench import population as people

Number = Callable[[int], str]


@dataclass(frozen=True, slots=True)
class Shape:
    """A search: its name, its address for the n-th patient, and whether it finds as few among many as among few.

    `deep` shapes are measured on a page far behind the first.
    """

    name: str
    address: Number
    is_selective: bool = True
    deep: bool = False


CODE = f"{people.LOINC}%7C{people.HEMOGLOBIN}"
RARE_CODE = f"{people.LOINC}%7C{people.RARE_CODE}"


def _day(number: int, serial: int = 0) -> str:
    return people.taken(number, serial).date().isoformat()


def shapes(patients: int) -> list[Shape]:
    """What is asked, of a population of this size."""
    patient = people.patient_id
    observations = "Observation?patient=Patient/{}".format
    return [
        Shape("Patient by id", lambda n: f"Patient?_id={patient(n)}"),
        Shape("identifier", lambda n: f"Patient?identifier={people.IDENTIFIERS}%7C{people.identifier(n)}"),
        Shape("family name, rare", lambda _: f"Patient?family={people.RARE_FAMILY}"),
        Shape("family name, exact", lambda _: f"Patient?family:exact={people.RARE_FAMILY}"),
        Shape("name begins, common", lambda n: f"Patient?name={people.family(n + people.RARE)[:2]}"),
        Shape("name contains, common", lambda _: "Patient?name:contains=ov"),
        Shape("name contains, rare", lambda _: f"Patient?name:contains={people.RARE_FAMILY[1:6]}"),
        Shape("birth date, a day", lambda n: f"Patient?birthdate={people.birth_date(n)}"),
        Shape(
            "birth date, a range sorted",
            lambda n: f"Patient?birthdate=ge{people.birth_date(n)}&_sort=birthdate&_count=20",
        ),
        Shape(
            "the patients of a doctor",
            lambda n: f"Patient?general-practitioner=Practitioner/{people.practitioner_id(n, patients)}",
        ),
        Shape("a patient's Observations", lambda n: observations(patient(n))),
        Shape("patient, code, newest first", lambda n: f"{observations(patient(n))}&code={CODE}&_sort=-date"),
        Shape("patient and date", lambda n: f"{observations(patient(n))}&date=ge{_day(n)}"),
        Shape(
            "patient, category, newest first", lambda n: f"{observations(patient(n))}&category=laboratory&_sort=-date"
        ),
        Shape("subject and status", lambda n: f"Observation?subject=Patient/{patient(n)}&status=final"),
        Shape("encounter", lambda n: f"Observation?encounter=Encounter/{people.encounter_id(n)}"),
        Shape("code, common, newest first", lambda _: f"Observation?code={CODE}&_sort=-date&_count=20"),
        Shape("code and a day", lambda n: f"Observation?code={CODE}&date={_day(n)}&_count=20"),
        Shape("a day, newest first", lambda n: f"Observation?date={_day(n)}&_sort=-date&_count=20"),
        Shape("a day, oldest first", lambda n: f"Observation?date={_day(n)}&_sort=date&_count=20", False),
        Shape("code, rare", lambda _: f"Observation?code={RARE_CODE}"),
        Shape("code and quantity, rare", lambda _: f"Observation?code={CODE}&value-quantity=gt{people.EXTREME - 100}"),
        Shape(
            "quantity in another unit, rare",
            lambda _: f"Observation?value-quantity=gt{people.EXTREME // 10 - 10}%7Chttp://unitsofmeasure.org%7Cg/dL",
        ),
        Shape("composite, rare", lambda _: f"Observation?code-value-quantity={CODE}$gt{people.EXTREME - 100}"),
        Shape(
            "patient and component",
            lambda n: (
                f"{observations(patient(n))}&component-code-value-quantity={people.LOINC}%7C{people.SYSTOLIC}$gt100"
            ),
        ),
        Shape(
            "chain to an identifier",
            lambda n: f"Observation?patient.identifier={people.IDENTIFIERS}%7C{people.identifier(n)}",
        ),
        Shape("chain to a rare name", lambda _: f"Observation?subject:Patient.family={people.RARE_FAMILY}&code={CODE}"),
        Shape("_has a rare code", lambda _: f"Patient?_has:Observation:patient:code={RARE_CODE}"),
        Shape("_revinclude", lambda n: f"Patient?_id={patient(n)}&_revinclude=Observation:patient"),
        Shape(
            "_include of two",
            lambda n: f"{observations(patient(n))}&_include=Observation:performer&_include=Observation:encounter",
        ),
        Shape("accurate total of a patient", lambda n: f"{observations(patient(n))}&_total=accurate&_count=5"),
        Shape("deep page", lambda _: f"Observation?code={CODE}&_sort=-date&_count=20", deep=True),
        Shape("newest by _lastUpdated", lambda _: "Observation?_sort=-_lastUpdated&_count=20"),
        Shape("status, rare, alone", lambda _: "Observation?status=amended"),
        Shape("accurate total of a common code", lambda _: f"Observation?code={CODE}&_total=accurate", False),
        Shape("_has a common code", lambda _: f"Patient?_has:Observation:patient:code={CODE}", False),
    ]
