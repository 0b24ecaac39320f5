"""The demonstration records: whole, valid, numbered rightly, and the same whenever they are built."""

from __future__ import annotations

import re
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from fhirserver.cli.demo import bundles
from fhirserver.definitions import load
from fhirserver.validation import Validator

SEED = Path(__file__).parents[2] / "seed"
SYSTEMS = "https://fhir.ru/ig/core/systems/"
LARGEST_BUNDLE = 1000
LARGEST_SEED = 1_500_000

Resource = dict[str, Any]


@pytest.fixture(scope="module")
def resources() -> dict[str, Resource]:
    """Every resource of the seed, by its address."""
    entries = [entry for bundle in bundles() for entry in bundle["entry"]]
    found = {entry["request"]["url"]: entry["resource"] for entry in entries}
    assert len(found) == len(entries), "an address stands twice"
    return found


def of(resources: dict[str, Resource], *types: str) -> list[Resource]:
    return [each for each in resources.values() if each["resourceType"] in types]


def nodes(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        yield value
        for each in value.values():
            yield from nodes(each)
    elif isinstance(value, list):
        for each in value:
            yield from nodes(each)


def luhn(number: str) -> bool:
    total = 0
    for place, digit in enumerate(reversed(number)):
        doubled = int(digit) * (2 if place % 2 else 1)
        total += doubled // 10 + doubled % 10
    return total % 10 == 0


def weighted(number: str, weights: str) -> int:
    return sum(int(digit) * int(weight) for digit, weight in zip(number, weights.split(), strict=False))


def snils(number: str) -> bool:
    control = weighted(number[:9], "9 8 7 6 5 4 3 2 1") % 101
    return re.fullmatch(r"\d{11}", number) is not None and (0 if control == 100 else control) == int(number[9:])


def inn(number: str) -> bool:
    control = weighted(number[:9], "2 4 10 3 5 9 4 6 8") % 11 % 10
    return re.fullmatch(r"\d{10}", number) is not None and control == int(number[9])


def ogrn(number: str) -> bool:
    return re.fullmatch(r"\d{13}", number) is not None and int(number[:12]) % 11 % 10 == int(number[12])


def policy(number: str) -> bool:
    """A unified number with its check digit; or an old series and number, or a temporary certificate, which have none."""
    if re.fullmatch(r"\d{16}", number):
        return luhn(number)
    return re.fullmatch(r"\d{6}:\d{7}|\d{9}", number) is not None


CHECKS = {
    "snils": (snils, "11223344595", "11223344596"),
    "inn": (inn, "7701990013", "7701990014"),
    "ogrn": (ogrn, "1027700990019", "1027700990018"),
    "oms": (policy, "7756510835900019", "7756510835900018"),
}


@pytest.mark.parametrize("system", CHECKS)
def test_every_number_passes_its_check_digit(resources: dict[str, Resource], system: str) -> None:
    check, right, wrong = CHECKS[system]
    assert check(right)
    assert not check(wrong)
    numbers = [node["value"] for node in nodes(list(resources.values())) if node.get("system") == SYSTEMS + system]
    assert len(numbers) >= 6
    assert [number for number in numbers if not check(number)] == []


def test_a_policy_number_holds_the_day_of_birth_and_the_sex(resources: dict[str, Resource]) -> None:
    for patient in of(resources, "Patient"):
        (number,) = [each["value"] for each in patient["identifier"] if each["system"] == SYSTEMS + "oms"]
        year, month, day = (int(part) for part in patient["birthDate"].split("-"))
        century = 20 if year <= 1950 else 40 if year <= 2000 else 0
        told = f"{month + century:02}{str(year)[::-1]}{day + (50 if patient['gender'] == 'male' else 0):02}"
        assert number[2:10] == "".join(str(9 - int(digit)) for digit in told), patient["id"]


def test_nobody_has_the_number_of_another(resources: dict[str, Resource]) -> None:
    people = of(resources, "Patient", "Practitioner", "Organization")
    numbers = [(each["system"], each["value"]) for one in people for each in one.get("identifier", ())]
    assert len(numbers) == len(set(numbers))


def test_every_resource_is_valid(resources: dict[str, Resource]) -> None:
    """Of what is only advised, narrative alone is left out: the demonstration's records have none."""
    validator = Validator(load())
    issues = [(address, issue) for address, each in resources.items() for issue in validator.validate(each)]
    assert [
        each for each in issues if not (each[1].severity == "warning" and "dom-6" in str(each[1].diagnostics))
    ] == []


def test_every_reference_leads_to_a_record_of_the_seed(resources: dict[str, Resource]) -> None:
    references = {
        node["reference"] for node in nodes(list(resources.values())) if isinstance(node.get("reference"), str)
    }
    assert references - set(resources) == set()
    assert len(references) > 100


def test_the_polyclinic_is_whole(resources: dict[str, Resource]) -> None:
    with_number = [each for each in of(resources, "Practitioner") if "identifier" in each]
    counts = {name: len(of(resources, name)) for name in ("Patient", "Slot", "Schedule", "HealthcareService")}
    assert (len(with_number), counts["Patient"], counts["Schedule"], counts["HealthcareService"]) == (12, 12, 10, 14)
    assert counts["Slot"] >= 2000
    types = {each["resourceType"] for each in resources.values()}
    assert types >= {
        *("Patient", "Appointment", "Slot", "MedicationRequest", "Observation", "Immunization", "Coverage", "Consent"),
        *("Organization", "Location", "PractitionerRole", "DiagnosticReport", "Specimen", "RelatedPerson", "Task"),
    }
    for patient in of(resources, "Patient"):
        assert resources[f"Coverage/{patient['id']}-oms"]["beneficiary"]["reference"] == f"Patient/{patient['id']}"
    for worker in with_number:
        role = resources[f"PractitionerRole/{worker['id']}-role"]
        assert role["practitioner"]["reference"] == f"Practitioner/{worker['id']}"


def test_no_schedule_doctor_or_room_is_in_two_places(resources: dict[str, Resource]) -> None:
    times: defaultdict[str, list[tuple[datetime, datetime]]] = defaultdict(list)
    for slot in of(resources, "Slot"):
        schedule = slot["schedule"]["reference"]
        span = datetime.fromisoformat(slot["start"]), datetime.fromisoformat(slot["end"])
        assert span[0] < span[1]
        times[schedule].append(span)
        for actor in resources[schedule]["actor"]:
            if not actor["reference"].startswith("HealthcareService/"):
                times[actor["reference"]].append(span)
    for whose, spans in times.items():
        spans.sort()
        overlaps = [(one, next) for one, next in pairwise(spans) if next[0] < one[1]]
        assert overlaps == [], whose


def test_slots_are_free_and_busy_in_the_agreed_parts(resources: dict[str, Resource]) -> None:
    slots = of(resources, "Slot")
    for_doctors = [slot for slot in slots if _channel(slot) == "doctor"]
    free = [slot for slot in slots if slot["status"] == "free" and slot not in for_doctors]
    busy = [slot for slot in slots if slot["status"] == "busy"]
    assert 0.5 < len(free) / len(slots) < 0.7
    assert 0.2 < len(busy) / len(slots) < 0.3
    assert 0.03 < len(for_doctors) / len(slots) < 0.07


def _channel(slot: Resource) -> str | None:
    values = [each for each in slot.get("extension", ()) if each["url"].endswith("/slot-access-channel")]
    return values[0]["valueCode"] if values else None


def test_an_appointment_has_its_slot_its_time_and_its_room(resources: dict[str, Resource]) -> None:
    held: set[str] = set()
    for appointment in of(resources, "Appointment"):
        (reference,) = (each["reference"] for each in appointment["slot"])
        slot = resources[reference]
        if appointment["status"] != "cancelled":
            assert slot["status"] == "busy", appointment["id"]
            assert reference not in held
            held.add(reference)
        assert (appointment["start"], appointment["end"]) == (slot["start"], slot["end"])
        actors = {each["reference"] for each in resources[slot["schedule"]["reference"]]["actor"]}
        taking_part = {each["actor"]["reference"] for each in appointment["participant"]}
        assert len(taking_part & actors) == 2
        assert len([each for each in taking_part if each.startswith("Patient/")]) == 1


def test_the_demonstrations_story_holds(resources: dict[str, Resource]) -> None:
    """Соколова permits one doctor and nobody else: no Consent of hers names an organisation or another doctor."""
    hers = [each for each in of(resources, "Consent") if each["patient"]["reference"] == "Patient/sokolova"]
    actors = [actor["reference"]["reference"] for each in hers for actor in each["provision"]["actor"]]
    assert actors == ["PractitionerRole/belov-role"]
    silent = {"Patient/kim", "Patient/vorontsov"}
    assert not silent & {each["patient"]["reference"] for each in of(resources, "Consent")}


def test_consents_say_only_what_the_gate_evaluates(resources: dict[str, Resource]) -> None:
    for consent in of(resources, "Consent"):
        assert consent["provision"].keys() <= {"type", "period", "actor"}, consent["id"]


def test_the_bundles_are_small(resources: dict[str, Resource]) -> None:
    assert [len(bundle["entry"]) for bundle in bundles() if len(bundle["entry"]) > LARGEST_BUNDLE] == []
    assert sum(path.stat().st_size for path in SEED.glob("*.json")) < LARGEST_SEED
    assert len(resources) > 2200


def test_what_is_committed_is_what_is_built(tmp_path: Path) -> None:
    subprocess.run([sys.executable, SEED / "build.py", tmp_path], check=True, capture_output=True)
    built = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert built == {path.name: path.read_bytes() for path in SEED.glob("[0-9]*.json")}
