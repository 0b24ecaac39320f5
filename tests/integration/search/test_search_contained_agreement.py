"""Contained resources are found as if they stood alone: by MongoDB and by the matcher, whatever is asked.

The oracle is another way to the same: each contained resource is read as a resource of its own, and the query is asked of that.

https://hl7.org/fhir/R4/search.html#contained
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pymongo import MongoClient
from pymongo.collection import Collection

from fhirserver.definitions import load
from fhirserver.search.compile import compile as filter_of
from fhirserver.search.expression import Nothing, all_of
from fhirserver.search.index.contained import led, within
from fhirserver.search.index.extract import Extractor
from fhirserver.search.match import match
from fhirserver.search.query.parse import parse_search
from fhirserver.search.request import Bounds, Containment

BASE = "https://fhir.example.org/r4"
NOW = datetime(2026, 1, 1, tzinfo=UTC)
BOUNDS = Bounds(contained=True)
EXTRACTOR = Extractor(load(), BASE)
Resource = dict[str, Any]

SYSTEMS, CODES = ["urn:a", "urn:b", "http://loinc.org"], ["x", "X", "y", "718-7"]
NAMES = ["Иванов", "Ivanov-Petrov", "O'Neil", "Аёна", "a" * 150, "a" * 150 + "b"]
DATES = ["2025", "2025-06", "2025-06-15", "2026-01-01T10:00:00Z"]

codings = st.builds(
    lambda system, code: {"coding": [{"system": system, "code": code}]},
    st.sampled_from(SYSTEMS),
    st.sampled_from(CODES),
)
references = st.sampled_from(["Patient/p1", "Patient/p2", "#a", "#b", "#", "http://elsewhere.org/Patient/p1"]).map(
    lambda text: {"reference": text}
)
quantities = st.builds(
    lambda value, unit: {"value": value, "unit": unit, "system": "http://unitsofmeasure.org", "code": unit},
    st.sampled_from([1, 7.2, 7200, 500]),
    st.sampled_from(["g", "mg"]),
)
identifiers = st.builds(
    lambda system, value: [{"system": system, "value": value}], st.sampled_from(SYSTEMS), st.sampled_from(["1", "1-1"])
)
observations = st.fixed_dictionaries(
    {"resourceType": st.just("Observation"), "status": st.sampled_from(["final", "amended"])},
    optional={
        "code": codings,
        "subject": references,
        "effectiveDateTime": st.sampled_from(DATES),
        "valueQuantity": quantities,
        "identifier": identifiers,
    },
)
patients = st.fixed_dictionaries(
    {"resourceType": st.just("Patient")},
    optional={
        "name": st.sampled_from(NAMES).map(lambda name: [{"family": name, "given": ["Ann"]}]),
        "gender": st.sampled_from(["male", "female"]),
        "birthDate": st.sampled_from(DATES[:3]),
        "identifier": identifiers,
        "active": st.booleans(),
    },
)
containers = st.builds(
    lambda inner, subject: {
        "resourceType": "Observation",
        "id": "whole",
        "status": "final",
        "subject": subject,
        "contained": [{**each, "id": id} for each, id in zip(inner, "abc", strict=False)],
    },
    st.lists(observations | patients, max_size=3),
    references,
)
QUERIES = [
    *(f"Observation?code={each}" for each in ("x", "urn:a|x", "urn:b|", "x,y", "http://loinc.org|718-7,urn:a|X")),
    *(f"Observation?{each}" for each in ("code:not=x", "code:missing=true", "status=final&code=x", "code:text=x")),
    *(f"Observation?date={each}" for each in ("2025", "lt2025-06-15", "ge2026", "ne2025-06", "ap2025-06")),
    *(f"Observation?subject{each}" for each in ("=Patient/p1", ":Patient=p2", ":missing=false", ":missing=true")),
    *(f"Observation?patient={each}" for each in ("p1", "p1&code=x", "p1,p2&code=x,y", "p2&code:not=x")),
    *(f"Observation?value-quantity={each}" for each in ("7.2", "gt1|http://unitsofmeasure.org|g", "lt500||mg")),
    "Observation?code-value-quantity=x$7.2",
    "Observation?identifier=urn:a|1&status=final",
    "Observation?_id=a",
    "Observation?_id=a,b&code=x",
    "Observation?_filter=code eq x or value-quantity gt 7",
    "Observation?_filter=code eq x or _id eq b",
    "Observation?_filter=code eq x or (identifier eq 1 and status eq final)",
    "Patient?_filter=name sw ivan or identifier eq 1",
    "Observation?_filter=not (code eq x) and status eq final",
    *(f"Patient?name={each}" for each in ("ivanov", "иванов", "oneil", "a" * 120, "a" * 151, "ann")),
    *(f"Patient?name:contains={each}" for each in ("petrov", "ван", "z")),
    *(f"Patient?name:exact={each}" for each in ("Ivanov-Petrov", "ivanov")),
    *(
        f"Patient?{each}"
        for each in ("family=ivan&gender=male", "birthdate=2025", "gender:missing=true", "active=true")
    ),
    "Patient?phonetic=ivanof",
    "Patient?identifier=11",
    "Patient?_filter=name sw ivan and (gender eq male or birthdate lt 2025-06)",
    "Organization?name=x",
    "Patient?",
]


@pytest.fixture
def collection(mongo_url: str, database_name: str) -> Iterator[Collection[dict[str, Any]]]:
    client: MongoClient[dict[str, Any]] = MongoClient(mongo_url)
    found = client[database_name]["Observation"]
    found.create_index([("index._inside", 1), ("_id", 1)], partialFilterExpression={"index._inside": {"$exists": True}})
    yield found
    client.close()


def containment(query: str) -> tuple[str, Containment]:
    resource_type, _, text = query.partition("?")
    pairs = [*parse_qsl(text, encoding="utf-8"), ("_contained", "true")]
    request = parse_search(load(), resource_type, pairs, lenient=False, base_url=BASE, now=NOW, bounds=BOUNDS)
    assert request.containment is not None
    return resource_type, request.containment


ASKED = [containment(query) for query in QUERIES]


def stored(number: str, resource: Resource) -> Resource:
    index, sort = EXTRACTOR.extract(resource["resourceType"], resource)
    return {"_id": number, "index": index, "sort": sort}


def alone(container: Resource, inner: Resource) -> Resource:
    """The contained resource as one of its own, that refers to resources beside it and to its container."""
    types = {f"#{each['id']}": each["resourceType"] for each in container["contained"]} | {"#": "Observation"}
    subject = inner.get("subject", {}).get("reference")
    if subject in types:
        named = "Observation/whole" if subject == "#" else f"{types[subject]}/beside"
        inner = {**inner, "subject": {"reference": named}}
    return stored(inner["id"], inner)


@settings(
    max_examples=30,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(st.lists(containers, min_size=1, max_size=6))
def test_what_is_contained_is_found_as_if_it_stood_alone(
    collection: Collection[dict[str, Any]], resources: list[Resource]
) -> None:
    collection.delete_many({})
    rows = {str(place): stored(str(place), each) for place, each in enumerate(resources)}
    collection.insert_many(rows.values())
    inside = {
        number: [alone(container, each) for each in container["contained"]]
        for number, container in zip(rows, resources, strict=True)
    }
    types = {
        number: [each["resourceType"] for each in container["contained"]]
        for number, container in zip(rows, resources, strict=True)
    }
    for query, (resource_type, asked) in zip(QUERIES, ASKED, strict=True):
        expected = {
            number
            for number in rows
            if any(
                type == resource_type and match(asked.term, document)
                for type, document in zip(types[number], inside[number], strict=True)
            )
        }
        for wanted in (led(resource_type, asked.term), within(resource_type, asked.term)):
            assert {number for number, row in rows.items() if match(wanted, row)} == expected, query
            assert not isinstance(wanted, Nothing)
            assert {row["_id"] for row in collection.find(filter_of(all_of(wanted, asked.around)))} == expected, query
