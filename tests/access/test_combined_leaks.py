"""What operations, patches and bundles tell together: the pair of worlds, asked in ways that change nothing.

Each request is sent to the world with the hidden records and to the one where they never were; both answer alike.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest

from tests.access.conftest import observation
from tests.access.test_search_leaks import Worlds
from tests.access.test_search_leaks import worlds as worlds
from tests.access.worlds import NUMBER, told

FHIR = "application/fhir+json"
HIDDEN = ("Patient/boris", "Observation/boris-0", "Observation/both-0", "Encounter/boris-visit", "List/secret")
CRITERIA = (
    "Patient?name=Godunov",
    f"Patient?identifier={NUMBER}|2",
    "Patient?link:Patient.name=Godunov",
    "Patient?_has:Group:member:_id=secret",
    "Patient?_list=secret",
    "Observation?subject:Patient.name=Godunov&code=718-7",
    'Observation?_filter=subject.name eq "godunov"',
    "Observation?_id=boris-0&_content=anything",
    "Condition?code=B20",
)

Asked = tuple[str, str, dict[str, Any] | None, dict[str, str]]


def asked() -> Iterator[Asked]:
    """Method, path, body and headers."""
    yield from _validations()
    yield from _bundles()
    yield from _patches()
    yield from _queries()
    yield from _further()


def _parameters(*parts: dict[str, Any]) -> dict[str, Any]:
    return {"resourceType": "Parameters", "parameter": list(parts)}


def _validations() -> Iterator[Asked]:
    for target in (*HIDDEN, "Patient?name=Godunov", f"Patient?identifier={NUMBER}|2"):
        written = observation(
            "new", "anna", focus=[{"reference": target}], hasMember=[{"reference": "Observation/boris-0"}]
        )
        for mode in ("create", "update"):
            body = _parameters({"name": "mode", "valueCode": mode}, {"name": "resource", "resource": written})
            yield "POST", "/Observation/$validate", body, {}
    for target in HIDDEN:
        type, id = target.split("/")
        yield "GET", f"/{target}/$validate", None, {}
        yield "POST", f"/{target}/$validate", _parameters({"name": "mode", "valueCode": "delete"}), {}
        replaced = observation(id, "anna") | {"resourceType": type}
        body = _parameters({"name": "mode", "valueCode": "update"}, {"name": "resource", "resource": replaced})
        yield "POST", f"/{target}/$validate", body, {"If-Match": 'W/"1"'}


def _bundles() -> Iterator[Asked]:
    for criteria in CRITERIA:
        query = criteria.partition("?")[2]
        reading = {"request": {"method": "GET", "url": criteria}}
        deleting = {"request": {"method": "DELETE", "url": criteria}}
        # The last entry fails everywhere, so that nothing is written and what was found before it can only show in what is said.
        failing = {
            "resource": {"resourceType": "Patient", "gender": 1},
            "request": {"method": "POST", "url": "Patient"},
        }
        linked = observation("x", "anna", focus=[{"reference": criteria}])
        del linked["id"]
        creating = {"resource": linked, "request": {"method": "POST", "url": "Observation", "ifNoneExist": query}}
        yield "POST", "/", {"resourceType": "Bundle", "type": "batch", "entry": [reading, failing]}, {}
        for entry in (deleting, creating):
            yield "POST", "/", {"resourceType": "Bundle", "type": "transaction", "entry": [reading, entry, failing]}, {}
    smuggled = [
        f"{each}/{operation}" for each in HIDDEN for operation in ("$meta", "$validate", "$everything", "_history")
    ]
    smuggled += [
        "Observation/$lastn?subject=Patient/boris",
        "$graphql?query={Patient(id:boris){id}}",
        "metadata",
        "_jobs/x",
    ]
    smuggled += [
        "Patient/$meta",
        "Observation/$stats?statistic=count&subject=Patient/boris&code=718-7",
        "Patient/../Patient/boris",
    ]
    entries = [{"request": {"method": "GET", "url": each}} for each in smuggled]
    entries += [
        {
            "request": {"method": "POST", "url": f"{each}/$meta-add"},
            "resource": _parameters({"name": "meta", "valueMeta": {}}),
        }
        for each in HIDDEN
    ]
    yield "POST", "/", {"resourceType": "Bundle", "type": "batch", "entry": entries}, {}


def _patches() -> Iterator[Asked]:
    for path in (
        "Patient.name.where(family='Godunov')",
        "Patient.nothing",
        "Patient.link.other.resolve()",
        "%resource.id",
    ):
        parts = [{"name": "type", "valueCode": "delete"}, {"name": "path", "valueString": path}]
        body = _parameters({"name": "operation", "part": parts})
        for place in (
            "/Patient/boris",
            "/Patient?name=Godunov",
            f"/Patient?identifier={NUMBER}|2",
            "/Patient?_list=secret",
        ):
            yield "PATCH", place, body, {}
            yield "PATCH", place, body, {"If-Match": 'W/"1"'}


def _queries() -> Iterator[Asked]:
    hops = "id link{other{reference resource(optional:true){... on Patient{id name{family}}}}}"
    texts = [
        "{Patient(id:boris){id}}",
        "{PatientList(_list:secret){id}}",
        '{PatientConnection(_filter:"link.name co godunov",_count:1){count next edges{resource{id}}}}',
        "{a:PatientConnection(_count:1){count previous last} b:ObservationConnection(_count:1){count next:pagesize}}",
        "{Patient(id:anna){" + hops + " ObservationConnection(_reference:patient){count edges{resource{id}}}}}",
        "fragment p on Patient{" + hops + "} {PatientList(name:Karenina){...p}}",
        '{DiagnosticReport(id:"anna-report"){result(fhirpath:"reference.contains(\'boris\')"){resource{... on Observation{id}}}}}',
        '{Observation(id:"anna-panel"){hasMember{resource{... on Observation{id subject{resource{... on Patient{id}}}}}}}}',
    ]
    for text in texts:
        yield "POST", "/$graphql", {"query": text}, {"Content-Type": "application/json"}


def _further() -> Iterator[Asked]:
    for method in ("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"):
        for place in (
            "$everything",
            "$meta",
            "$meta-add",
            "$validate",
            "$graphql",
            "_history",
            "_history/1",
            "$reindex",
            "$nothing",
        ):
            yield method, f"/Patient/boris/{place}", None, {}
            yield method, f"/Patient/boris/{quote(place, safe='')}", None, {}
    for place in (
        "/Patient/./boris",
        "/Patient/%62oris",
        "/Patient/boris/",
        "//Patient/boris",
        "/Patient%2Fboris",
        "/Patient/boris%00",
    ):
        yield "GET", place, None, {}
    for query in ("_elements=id", "_summary=text", "_summary=true&_format=xml", "_elements=name&_pretty=true"):
        yield "GET", f"/Patient/boris?{query}", None, {"If-None-Match": 'W/"1"'}
        yield "GET", f"/Patient/boris/$everything?{query}", None, {}
    for name in (
        "$where",
        "subject.$ne",
        "security.owners",
        "name[$ne]",
        "index.name.f",
        "_id:$gt",
        "json",
        "by.principal",
    ):
        yield "GET", f"/Patient?{quote(name)}=1", None, {}
        yield "GET", f"/Patient?name={quote(json.dumps({name: 1}))}", None, {}


async def test_two_worlds_answer_alike_to_all_of_it(worlds: Worlds) -> None:
    """SC-01, SC-15 to SC-22, SC-30, SC-36, SC-41, in combinations."""
    statuses = set()
    for method, path, body, headers in asked():
        for who in ("doctor", "anna", "laboratory", "narrow"):
            answers = []
            for world, token in zip((worlds.full, worlds.bare), worlds.tokens[who], strict=True):
                options: dict[str, Any] = {"headers": headers}
                if body is not None:
                    options["content"] = json.dumps(body).encode()
                    options["headers"] = {"Content-Type": FHIR} | headers
                answers.append(told(await world.asks(token, method, path, **options)))
            assert answers[0] == answers[1], (who, method, path, body)
            statuses.add(answers[0][0])
    assert 500 not in statuses
    assert {200, 400, 403, 404, 405} <= statuses


@pytest.mark.parametrize("who", ["doctor", "narrow"])
async def test_nothing_was_written_by_all_of_it(worlds: Worlds, who: str) -> None:
    for world, token in zip((worlds.full, worlds.bare), worlds.tokens[who], strict=True):
        answer = await world.asks(token, "GET", "/Patient?_summary=count")
        assert answer.json()["total"] == 1
