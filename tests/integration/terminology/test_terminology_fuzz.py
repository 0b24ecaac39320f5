"""The operations of terminology under generated requests: every answer is FHIR's, and none is a fault of the server.

https://hl7.org/fhir/R4/terminology-service.html
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.integration.serving import Server, serving_alone

OPERATIONS = [
    "ValueSet/$expand",
    "ValueSet/v/$expand",
    "ValueSet/$validate-code",
    "ValueSet/v/$validate-code",
    "CodeSystem/$validate-code",
    "CodeSystem/s/$validate-code",
    "CodeSystem/$lookup",
    "CodeSystem/$subsumes",
    "CodeSystem/s/$subsumes",
    "ConceptMap/$translate",
    "ConceptMap/m/$translate",
]
TEXTS = [
    *(
        "",
        " ",
        "a",
        "b",
        "urn:s",
        "urn:v",
        "urn:m",
        "urn:v|1",
        "|",
        "#",
        "urn:v|1|2",
        "ValueSet/v",
        "a,b",
        "a|b",
        "\\",
        "$",
        "й",
    ),
    *("http://hl7.org/fhir/ValueSet/administrative-gender", "http://hl7.org/fhir/administrative-gender", "male"),
    *(
        "http://unitsofmeasure.org",
        "mg",
        "http://snomed.info/sct",
        "x" * 3_000,
        "true",
        "-1",
        "0",
        "99999999999",
        "2020",
    ),
]
NAMES = [
    *(
        "url",
        "valueSet",
        "codeSystem",
        "conceptMap",
        "code",
        "system",
        "display",
        "coding",
        "codeableConcept",
        "version",
    ),
    *("filter", "offset", "count", "codeA", "codeB", "codingA", "codingB", "property", "target", "source", "reverse"),
    *("abstract", "displayLanguage", "designation", "exclude-system", "system-version", "force-system-version"),
    *("check-system-version", "targetsystem", "valueSetVersion", "includeDesignations", "activeOnly", "colour"),
]
FILTERS = ["is-a", "descendent-of", "is-not-a", "regex", "in", "not-in", "generalizes", "exists", "="]
STORED: list[dict[str, Any]] = [
    {
        "resourceType": "CodeSystem",
        "id": "s",
        "url": "urn:s",
        "status": "active",
        "content": "complete",
        "concept": [{"code": "a", "concept": [{"code": "b", "display": "B"}]}, {"_code": {"id": "nameless"}}],
    },
    {
        "resourceType": "ValueSet",
        "id": "v",
        "url": "urn:v",
        "status": "active",
        "compose": {
            "include": [
                {"system": "urn:s", "concept": [{"_code": {"id": "nameless"}}, {"code": "a"}]},
                {"_system": {"id": "nameless"}, "valueSet": ["urn:v2"]},
            ]
        },
    },
    {
        "resourceType": "ValueSet",
        "id": "v2",
        "url": "urn:v2",
        "status": "active",
        "compose": {"include": [{"system": "urn:s", "filter": [{"property": "code", "op": "regex", "_value": {"id": "x"}}]}]},
    },
    {
        "resourceType": "ConceptMap",
        "id": "m",
        "url": "urn:m",
        "status": "active",
        "group": [
            {
                "source": "urn:s",
                "target": "urn:t",
                "element": [{"code": "a", "target": [{"code": "1", "equivalence": "equal"}]}, {"_code": {"id": "x"}}],
                "unmapped": {"mode": "other-map", "url": "urn:m2"},
            }
        ],
    },
]  # fmt: skip


@pytest.fixture(scope="module")
async def server(mongo_url: str) -> AsyncIterator[Server]:
    async with serving_alone(mongo_url) as running:
        for each in STORED:
            await running("PUT", f"/{each['resourceType']}/{each['id']}", json=each)
        yield running


def value(chance: random.Random, depth: int = 0) -> Any:
    kind = chance.randrange(9 if depth < 3 else 4)
    if kind < 4:
        return chance.choice([chance.choice(TEXTS), chance.choice(TEXTS), chance.randrange(-2, 20), True, None, 1.5])
    if kind < 6:
        return [value(chance, depth + 1) for _ in range(chance.randrange(3))]
    if kind == 6:
        return {"coding": [coding(chance) for _ in range(chance.randrange(3))]}
    return coding(chance)


def coding(chance: random.Random) -> Any:
    return {
        name: chance.choice([*TEXTS, 1, [], {}]) for name in chance.sample(["system", "code", "display", "version"], 2)
    }


def resource(chance: random.Random) -> Any:
    if chance.random() < 0.2:
        return chance.choice(STORED)
    filters = [
        {
            "property": chance.choice(["concept", "code", "x"]),
            "op": chance.choice(FILTERS),
            "value": chance.choice(TEXTS),
        }
    ]
    parts = [
        {"system": chance.choice(TEXTS), "filter": filters},
        {"valueSet": [chance.choice(TEXTS)]},
        {"system": "urn:s", "concept": [{"code": chance.choice(TEXTS)}]},
        {},
    ]
    compose = {"include": chance.sample(parts, 2), "exclude": chance.sample(parts, 1)}
    return {"resourceType": "ValueSet", "url": chance.choice(TEXTS), "status": "active", "compose": compose}


def parameter(chance: random.Random) -> Any:
    if chance.random() < 0.15:
        return {"name": chance.choice(NAMES), "resource": chance.choice([resource(chance), None, 1])}
    kinds = ["Uri", "String", "Code", "Integer", "Boolean", "Coding", "CodeableConcept", "Canonical"]
    return {"name": chance.choice(NAMES), f"value{chance.choice(kinds)}": value(chance)}


async def ask(server: Server, chance: random.Random) -> None:
    path = f"/{chance.choice(OPERATIONS)}"
    if chance.random() < 0.4:
        pairs = [(chance.choice(NAMES), chance.choice(TEXTS)) for _ in range(chance.randrange(5))]
        answer = await server("GET", path, params=pairs)
    elif chance.random() < 0.3:
        modifier, text = (
            chance.choice(["in", "not-in", "above", "below"]),
            chance.choice([*TEXTS, "urn:s|a", "urn:s|c"]),
        )
        answer = await server("GET", "/Observation", params={f"code:{modifier}": text})
    else:
        parameters = {
            "resourceType": "Parameters",
            "parameter": [parameter(chance) for _ in range(chance.randrange(5))],
        }
        answer = await server("POST", path, json=parameters)
    assert answer.status_code < 500, (answer.request.url, answer.request.content, answer.text)
    if answer.content:
        assert "resourceType" in answer.json(), answer.text


@pytest.mark.parametrize("count", [400, pytest.param(20_000, marks=pytest.mark.slow)])
async def test_no_request_is_a_fault_of_the_server(server: Server, count: int) -> None:
    chance = random.Random(count)
    for _ in range(count // 20):
        await asyncio.gather(*(ask(server, chance) for _ in range(20)))
