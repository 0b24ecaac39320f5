"""`$graphql` over HTTP: how a query is sent and answered, pages, bounds that are reached, and how many queries of MongoDB it takes.

https://hl7.org/fhir/R4/graphql.html
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from random import Random
from typing import Any

import pytest
from graphql import (
    GraphQLField,
    GraphQLInterfaceType,
    GraphQLObjectType,
    build_client_schema,
    get_introspection_query,
    get_named_type,
    is_required_argument,
)
from pymongo import monitoring

from fhirserver.definitions import load
from fhirserver.interactions.graphql import budget
from fhirserver.interactions.graphql.schema import schema
from fhirserver.interactions.reading.search import search_type
from fhirserver.search.request import SearchRequest
from tests.integration.serving import Server, serving_alone

PATIENTS = 50
QUERY = "{Patient(id: p1){id}}"
ONE = {"data": {"Patient": {"id": "p1"}}}


@dataclass
class Finds(monitoring.CommandListener):
    """The finds that were sent, by collection."""

    sent: list[str] = field(default_factory=list)

    def started(self, event: monitoring.CommandStartedEvent) -> None:
        if event.command_name == "find":
            self.sent.append(event.command["find"])

    def succeeded(self, event: monitoring.CommandSucceededEvent) -> None:
        pass

    def failed(self, event: monitoring.CommandFailedEvent) -> None:
        pass


@pytest.fixture(scope="module")
def finds() -> Iterator[Finds]:
    """Heard by every client that is made from now on."""
    listener = Finds()
    before = monitoring._LISTENERS
    monitoring.register(listener)
    yield listener
    monitoring._LISTENERS = before


@pytest.fixture(scope="module")
async def server(mongo_url: str, finds: Finds) -> AsyncIterator[Server]:
    """Fifty patients of two practitioners, each with an Observation."""
    async with serving_alone(mongo_url) as running:
        entries = [resource for number in range(PATIENTS) for resource in records(number)]
        entries += [{"resourceType": "Practitioner", "id": name} for name in ("d0", "d1")]
        await running.put_all(entries)
        yield running


def records(number: int) -> Iterator[dict[str, Any]]:
    doctor = {"reference": f"Practitioner/d{number % 2}"}
    names = [{"use": "old", "given": ["a" * 100] * 10} for _ in range(5)]
    yield {"resourceType": "Patient", "id": f"p{number}", "generalPractitioner": [doctor], "name": names}
    yield {
        "resourceType": "Observation",
        "id": f"o{number}",
        "status": "final",
        "code": {"text": "x"},
        "subject": {"reference": f"Patient/p{number}"},
        "valueQuantity": {"value": number},
    }


SENT: list[tuple[str, dict[str, Any]]] = [
    ("GET", {"params": {"query": QUERY}}),
    ("HEAD", {"params": {"query": QUERY}}),
    ("GET", {"params": {"query": "query($i: ID!){Patient(id: $i){id}}", "variables": '{"i": "p1"}'}}),
    ("GET", {"params": {"query": f"query A{QUERY} query B{{x: Patient(id: p2){{id}}}}", "operationName": "A"}}),
    ("GET", {"params": {"query": QUERY}, "headers": {"Accept": "application/graphql-response+json"}}),
    ("GET", {"params": {"query": QUERY, "_format": "json"}, "headers": {"Accept": "application/fhir+xml"}}),
    ("POST", {"content": QUERY, "headers": {"Content-Type": "application/graphql"}}),
    ("POST", {"content": QUERY, "headers": {"Content-Type": "application/graphql; charset=utf-8"}}),
    ("POST", {"json": {"query": QUERY}}),
    ("POST", {"json": {"query": QUERY, "variables": None, "operationName": None}}),
    ("POST", {"json": {"query": QUERY, "variables": {"more": 1}, "extensions": {}}}),
    ("POST", {"params": {"query": QUERY}}),
    (
        "POST",
        {
            "content": json.dumps(
                {"resourceType": "Parameters", "parameter": [{"name": "query", "valueString": QUERY}]}
            ),
            "headers": {"Content-Type": "application/fhir+json"},
        },
    ),
]


@pytest.mark.parametrize(("method", "options"), SENT)
async def test_a_query_is_sent_in_many_ways(server: Server, method: str, options: dict[str, Any]) -> None:
    answer = await server(method, "/$graphql", **options)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/json; charset=utf-8"
    assert answer.headers["cache-control"] == "no-store"
    assert method == "HEAD" or answer.json() == ONE


REFUSED: list[tuple[int, str, str, dict[str, Any]]] = [
    (400, "POST", "/$graphql", {"json": {}}),
    (400, "POST", "/$graphql", {"json": []}),
    (400, "POST", "/$graphql", {"json": {"query": 1}}),
    (400, "POST", "/$graphql", {"json": {"query": QUERY, "spam": 1}}),
    (400, "POST", "/$graphql", {"json": {"query": QUERY, "variables": [1]}}),
    (400, "POST", "/$graphql", {"json": {"query": QUERY, "operationName": {}}}),
    (400, "POST", "/$graphql", {"content": b"\xff", "headers": {"Content-Type": "application/graphql"}}),
    (400, "POST", "/$graphql", {"content": b"{", "headers": {"Content-Type": "application/json"}}),
    (415, "POST", "/$graphql", {"content": QUERY, "headers": {"Content-Type": "text/plain"}}),
    (400, "GET", "/$graphql", {}),
    (400, "GET", "/$graphql", {"params": {"query": QUERY, "spam": "1"}}),
    (400, "GET", "/$graphql", {"params": [("query", QUERY), ("query", QUERY)]}),
    (400, "GET", "/$graphql", {"params": {"query": QUERY, "variables": "["}}),
    (413, "POST", "/$graphql", {"json": {"query": QUERY, "variables": {"x": "x" * 1_000_001}}}),
    (404, "GET", "/Patient/$graphql", {"params": {"query": QUERY}}),
    (404, "GET", "/Patient/nobody/$graphql", {"params": {"query": "{id}"}}),
    (405, "PUT", "/$graphql", {"json": {"query": QUERY}}),
]


@pytest.mark.parametrize(("status", "method", "path", "options"), REFUSED)
async def test_what_is_no_request_is_refused_with_an_outcome(
    server: Server, status: int, method: str, path: str, options: dict[str, Any]
) -> None:
    answer = await server(method, path, **options)
    assert answer.status_code == status, answer.text
    assert answer.json()["resourceType"] == "OperationOutcome"


async def test_it_has_no_place_in_a_bundle(server: Server) -> None:
    """What it answers with is no resource."""
    entry = [{"request": {"method": "GET", "url": "$graphql?query={Patient(id:p1){id}}"}}]
    answer = await server("POST", "", json={"resourceType": "Bundle", "type": "batch", "entry": entry})
    assert answer.json()["entry"][0]["response"]["status"].startswith("404")
    answer = await server("POST", "", json={"resourceType": "Bundle", "type": "transaction", "entry": entry})
    assert answer.status_code == 404


async def asked(server: Server, query: str, place: str = "", **variables: Any) -> dict[str, Any]:
    """The data of a query that is answered without errors."""
    answer = await server("POST", f"{place}/$graphql", json={"query": query, "variables": variables})
    assert answer.status_code == 200, answer.text
    assert "errors" not in answer.json(), answer.text
    found: dict[str, Any] = answer.json()["data"]
    return found


async def test_pages_are_walked_by_cursors(server: Server) -> None:
    """https://hl7.org/fhir/R4/graphql.html#searching: each match once, and the count is that of all."""
    query = "query($c: String){PatientConnection(_sort: _id, _count: 8, _cursor: $c){count next edges{resource{id}}}}"
    ids: list[str] = []
    cursor, pages = None, 0
    while cursor is not None or not pages:
        page = (await asked(server, query, c=cursor))["PatientConnection"]
        ids += [edge["resource"]["id"] for edge in page["edges"]]
        assert page["count"] == PATIENTS
        cursor, pages = page["next"], pages + 1
    assert ids == sorted(f"p{number}" for number in range(PATIENTS))
    assert pages == 7


async def test_a_page_size_that_changes_midway_is_refused(server: Server) -> None:
    """As by REST: the sentence says what to do."""
    found = await asked(server, "{PatientConnection(_sort: _id, _count: 8){next}}")
    cursor = found["PatientConnection"]["next"]
    query = f'{{PatientConnection(_sort: _id, _count: 9, _cursor: "{cursor}"){{next}}}}'
    answer = (await server("POST", "/$graphql", json={"query": query})).json()
    assert answer["data"] == {"PatientConnection": None}
    assert "_count" in answer["errors"][0]["message"]


async def test_a_list_says_that_it_is_not_all(server: Server) -> None:
    answer = await server("POST", "/$graphql", json={"query": "{PatientList(_count: 2){id}}"})
    assert answer.json()["extensions"]["outcome"]["issue"][0]["code"] == "incomplete"
    answer = await server("POST", "/$graphql", json={"query": "{PatientList(_count: 5000){id}}"})
    assert "lowered" in answer.json()["extensions"]["outcome"]["issue"][0]["diagnostics"]
    assert len(answer.json()["data"]["PatientList"]) == PATIENTS


@pytest.mark.parametrize("slow", ["Patient", "Observation"])
async def test_what_is_said_has_the_order_of_the_query_whichever_search_is_slow(
    server: Server, monkeypatch: pytest.MonkeyPatch, slow: str
) -> None:
    ended = asyncio.Event()

    async def in_order(context: Any, request: SearchRequest, **more: Any) -> Any:
        if request.resource_type == slow:
            await ended.wait()
        found = await search_type(context, request, **more)
        ended.set()
        return found

    monkeypatch.setattr("fhirserver.interactions.graphql.hops.search_type", in_order)
    query = "{PatientList(_count: 2){id} ObservationList(_count: 5000){id}}"
    answer = await server("POST", "/$graphql", json={"query": query})
    codes = [each["code"] for each in answer.json()["extensions"]["outcome"]["issue"]]
    assert codes == ["too-costly", "incomplete"]


async def test_references_of_a_list_are_one_query(server: Server, finds: Finds) -> None:
    """Fifty references to fifty patients, and theirs to two practitioners, are a find each."""
    query = "{ObservationList(_count: 50){subject{resource(type: Patient){id generalPractitioner{resource{id}}}}}}"
    finds.sent.clear()
    found = await asked(server, query)
    assert len({each["subject"]["resource"]["id"] for each in found["ObservationList"]}) == PATIENTS
    assert sorted(each for each in finds.sent if each[:1].isupper()) == ["Observation", "Patient", "Practitioner"]


def lots(count: int, field: str) -> str:
    return "{" + " ".join(f"a{number}: {field}" for number in range(count)) + "}"


EXHAUSTED = {
    "searches": lots(51, "PatientList(_count: 0){id}"),
    "resources": lots(21, "PatientList(_count: 50){id}"),
    "resources that are not there": lots(45, "ObservationList(_count: 50){id subject{resource{id}}}"),
    "values": "{PatientList(_count: 50){" + " ".join(f"a{i}: name{{use}}" for i in range(450)) + "}}",
    "characters": "{PatientList(_count: 50){" + " ".join(f"a{i}: name{{given}}" for i in range(90)) + "}}",
    "FHIRPath": "{PatientList(_count: 50){"
    + " ".join(f"a{i}: name(fhirpath: \"use = 'old'\"){{use}}" for i in range(5))
    + "}}",
}


@pytest.mark.parametrize("name", EXHAUSTED)
async def test_a_bound_that_is_reached_ends_the_query_and_is_said(
    server: Server, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Many names for one field, many searches, many resources: an answer that is half there would be taken for a whole."""
    monkeypatch.setattr(budget, "SIZE", 1_000_000)
    answer = await server("POST", "/$graphql", json={"query": EXHAUSTED[name]})
    assert answer.status_code == 400, answer.text[:1000]
    issue = answer.json()["issue"][0]
    assert issue["code"] == "too-costly"
    assert name.split()[0] in issue["diagnostics"]


async def test_an_expression_that_does_not_end_is_stopped(server: Server) -> None:
    """The bound on steps is an error of its field; what else was asked for is answered."""
    endless = "given.select(repeat($this | 'x')).repeat(%given | $this).exists()"
    costly = "given.toChars().where(%resource.exists() or given.toChars().exists()).exists()"
    long = " or ".join(["given.toChars().toChars().distinct().count() > 1000"] * 20)
    for expression in (endless, costly, long, "(" * 900):
        query = "query($e: String){id name(fhirpath: $e){use}}"
        sent = {"query": query, "variables": {"e": expression}}
        answer = await server("POST", "/Patient/p1/$graphql", json=sent)
        assert answer.status_code == 200, answer.text
        assert answer.json()["data"] == {"id": "p1", "name": None}, expression
        assert [each["path"] for each in answer.json()["errors"]] == [["name"]]


TEXTS = (
    "p1",
    "o1",
    "official",
    "old",
    "x",
    "",
    "-1",
    "gt2",
    "patient",
    "subject",
    "given.exists()",
    "$index",
    "use",
    "a.b(",
    "_id",
)
DIRECTIVES = ("", "", "", "@first", "@singleton", "@flatten", '@slice(path: "$index")', "@skip(if: true)")
LIKELY = ("Patient", "Observation", "resource", "subject", "name", "edges")


def any_query(random: Random, type: GraphQLObjectType | GraphQLInterfaceType, depth: int = 3) -> str:
    """Some fields of a type, with some arguments; GraphQL would find nothing wrong with it."""
    fields = list(type.fields.items())
    likely = [each for each in fields if each[0].startswith(LIKELY)]
    chosen = random.sample(fields, min(len(fields), 2)) + random.sample(likely, min(len(likely), 2))
    return "{__typename " + " ".join(any_field(random, name, field, depth) for name, field in chosen) + "}"


def any_field(random: Random, name: str, field: GraphQLField, depth: int) -> str:
    """The field under a name of its own."""
    few = 2 / max(len(field.args), 1)
    wanted = [each for each, of in field.args.items() if is_required_argument(of) or random.random() < few]
    arguments = ", ".join(f"{each}: {any_value(random, each)}" for each in wanted)
    written = f"a{random.randrange(10**9)}: {name}{f'({arguments})' if arguments else ''} {random.choice(DIRECTIVES)}"
    inner = get_named_type(field.type)
    if not isinstance(inner, GraphQLObjectType | GraphQLInterfaceType):
        return written
    return f"{written} {any_query(random, inner, depth - 1) if depth else '{__typename}'}"


def any_value(random: Random, name: str) -> str:
    """A value that the argument could have."""
    if name in ("_count", "_offset"):
        return str(random.randint(-1, 60))
    if name == "optional":
        return random.choice(("true", "false"))
    return json.dumps(random.choice(("Patient", "Practitioner") if name == "type" else TEXTS))


@pytest.mark.parametrize("seed", [0, 1, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(2, 60))])
async def test_no_query_is_an_error_of_ours(server: Server, seed: int) -> None:
    """Whatever is sent, whole or with a character less: data, or an outcome that says what is wrong with it."""
    random, statuses = Random(seed), set()
    known = schema(load())
    for _ in range(20):
        root = random.choice(("Query", "Patient", "Observation"))
        type = known.type_map[root]
        assert isinstance(type, GraphQLObjectType)
        query = any_query(random, type)
        if random.random() < 0.3:
            cut = random.randrange(len(query))
            query = query[:cut] + query[cut + 1 :]
        place = {"Query": "", "Patient": "/Patient/p1", "Observation": "/Observation/o1"}[root]
        answer = await server("POST", f"{place}/$graphql", json={"query": query})
        assert answer.status_code in (200, 400), (query, answer.text)
        statuses.add(answer.status_code)
    assert 200 in statuses


async def test_the_schema_is_what_tools_ask_for(server: Server) -> None:
    """https://spec.graphql.org/October2021/#sec-Introspection: a client builds its schema from ours, the second time at once."""
    query = get_introspection_query()
    answers = [await server("POST", "/$graphql", json={"query": query}) for _ in range(2)]
    assert answers[0].content == answers[1].content
    known = build_client_schema(answers[0].json()["data"])
    assert known.query_type is not None
    assert "PatientConnection" in known.query_type.fields
    assert "ObservationList" in known.type_map["Patient"].fields  # type: ignore[attr-defined]
