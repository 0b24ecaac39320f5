"""Searches made to cost: deep and wide chains, long ones, wildcards, patterns. Each does what its bound says and no more, and says so.

What is counted is queries and rows, not time.

https://hl7.org/fhir/R4/search.html#chaining
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest

from fhirserver.store.resources import chains, includes
from tests.integration.serving import Server

PEOPLE = 24


@dataclass
class Work:
    """The queries that were sent, and the rows that came."""

    queries: list[str] = field(default_factory=list)
    rows: int = 0


@pytest.fixture(scope="module")
async def crowd(server: Server) -> str:
    """A clinic, patients of it each with an observation, and a row of organizations one in another."""
    await server.put({"resourceType": "Organization", "id": "cr-0", "name": "Crowd"})
    for number in range(1, 16):
        part = {"reference": f"Organization/cr-{number - 1}"}
        await server.put({"resourceType": "Organization", "id": f"cr-{number}", "name": "Crowd", "partOf": part})
    entries = []
    for number in range(PEOPLE):
        entries += [
            ("Patient", f"cr-{number}", {"managingOrganization": {"reference": "Organization/cr-0"}}),
            (
                "Observation",
                f"cr-{number}",
                {"status": "final", "code": {"text": "crowd"}, "subject": {"reference": f"Patient/cr-{number}"}},
            ),
        ]
    bundle = {
        "resourceType": "Bundle",
        "type": "transaction",
        "entry": [
            {
                "request": {"method": "PUT", "url": f"{type}/{id}"},
                "resource": {"resourceType": type, "id": id, "language": "ru", "name": [{"family": "(a+)+$"}], **more}
                if type == "Patient"
                else {"resourceType": type, "id": id, **more},
            }
            for type, id, more in entries
        ],
    }
    answer = await server("POST", "", json=bundle)
    assert answer.status_code == 200, answer.text
    return "cr"


@pytest.fixture
def work(server: Server, monkeypatch: pytest.MonkeyPatch) -> Work:
    """What the server asks of the database from here on."""
    services = server.application.services
    assert services is not None
    done = Work()
    real = services.store._mongo.find

    async def find(collection: str, query: Any) -> list[dict[str, Any]]:
        rows = await real(collection, query)
        if collection[:1].isupper():  # a record, and not what the server keeps for itself
            done.queries.append(collection)
            done.rows += len(rows)
        return rows

    monkeypatch.setattr(services.store._mongo, "find", find)
    return done


def issue(answer: httpx.Response) -> tuple[int, str, str]:
    first = answer.json()["issue"][0]
    return answer.status_code, first["code"], first["diagnostics"]


@pytest.mark.parametrize(
    "path",
    [
        "/Patient?_has:Observation:patient:status=final",
        "/Patient?_has:Observation:patient:status:not=amended",
        "/Observation?patient.organization.name=Crowd",
        "/Patient?_filter=not (organization.name eq nobody) and organization._id ne x and not (_id eq y)"
        "&_has:Observation:patient:status=final",
        "/Organization?_has:Patient:organization:_has:Observation:patient:status=final",
    ],
)
async def test_what_would_follow_too_many_is_refused_and_says_what_to_add(
    server: Server, crowd: str, work: Work, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    """T05: work is bounded, whatever is asked."""
    monkeypatch.setattr(chains, "FOLLOWED", PEOPLE - 4)
    status, code, text = issue(await server("GET", path))
    assert (status, code) == (400, "too-costly")
    assert "add a parameter" in text
    assert work.rows <= PEOPLE - 3 + 1, "one row says whether anything that the step leads to is contained"
    assert len(work.queries) <= 6


async def test_few_are_looked_at_one_by_one(
    server: Server, crowd: str, work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two patients named by id: only their observations are followed, however many there are."""
    monkeypatch.setattr(chains, "FOLLOWED", 4)
    answer = await server("GET", "/Patient?_id=cr-1,cr-2,absent&_has:Observation:patient:status=final")
    assert [each["resource"]["id"] for each in answer.json()["entry"]] == ["cr-1", "cr-2"]
    assert work.queries == ["Patient", "Observation", "Patient"]
    assert work.rows == 6
    excluded = await server("GET", "/Patient?_id=cr-1,cr-2&_filter=not (organization.name eq crowd)")
    assert "entry" not in excluded.json()


async def test_all_steps_of_a_search_share_one_bound(
    server: Server, crowd: str, work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fifty parameters do not follow fifty times as much."""
    monkeypatch.setattr(chains, "FOLLOWED", PEOPLE * 2)
    query = "&".join(["_has:Observation:patient:status=final"] * 10 + ["_has:Observation:patient:status=final,x"] * 30)
    status, code, _ = issue(await server("GET", f"/Patient?{query}&_has:Observation:subject:status=final,y&_id:not=z"))
    assert (status, code) == (400, "too-costly")
    assert work.rows <= PEOPLE * 2 + 1


@pytest.mark.parametrize(
    "path",
    [
        "/Organization?" + "partof." * 4 + "name=x",
        "/Organization?" + "partof." * 1000 + "name=x",
        "/Patient?" + "_has:Patient:link:" * 4 + "name=x",
        "/Patient?" + "_has:Patient:link:" * 300 + "name=x",
        "/Observation?focus.focus.focus._id=x",
        "/Observation?focus._has:Provenance:target:_id=x",
        "/Observation?_filter=focus[_id eq x]._id eq y",
        "/Observation?_filter=" + "(" * 500 + "_id eq x" + ")" * 500,
        "/Observation?_filter=" + " and ".join(["_id eq x"] * 51),
        "/Observation?_filter=" + "subject[" * 20 + "_id eq x" + "]._id eq y" * 20,
        "/Observation?" + "&".join(["performer._id=x"] * 20),
        "/Patient?_list=" + ",".join(["x"] * 101),
        "/Patient?_has:Observation:patient:code=" + ",".join(["x"] * 101),
    ],
    ids=lambda path: path[:60],
)
async def test_what_is_too_deep_or_too_wide_is_refused_before_any_query(server: Server, work: Work, path: str) -> None:
    """T05: work is bounded, whatever is asked."""
    status, code, _ = issue(await server("GET", path))
    assert (status, code) == (400, "too-costly")
    assert work.queries == []


async def test_the_widest_chain_that_is_answered_asks_a_bounded_number_of_queries(server: Server, work: Work) -> None:
    answer = await server("GET", "/Observation?performer.identifier=urn:nobody|x&subject.identifier=urn:nobody|y")
    assert answer.status_code == 200
    assert len(work.queries) <= 10


@pytest.mark.parametrize(
    ("path", "count"),
    [
        ('/Patient?_filter=name eq "(a%2B)%2B$"&_id=cr-1', 1),
        ('/Patient?_filter=name co "a%2B$"&_id=cr-1', 0),
        ("/Patient?family:exact=(a%2B)%2B$&_id=cr-1", 1),
        ("/Patient?family:contains=.*.*.*.*.*.*.*.*x&_id=cr-1", 0),
        ('/Patient?_filter=name ew "(.*)*\\\\z"&_id=cr-1', 0),
        ("/Organization?_has:Patient:organization:family:contains=(a|a)*b", 0),
        ("/Observation?patient.family:contains=^(([a-z])%2B.)%2B[A-Z]([a-z])%2B$", 0),
    ],
)
async def test_a_pattern_is_text_like_any_other(server: Server, crowd: str, path: str, count: int) -> None:
    """T06: nothing of what a client sends is active in a pattern."""
    answer = await server("GET", path.replace('"', "%22").replace(" ", "%20"))
    assert answer.status_code == 200, answer.text
    assert len(answer.json().get("entry", [])) == count


async def test_a_long_pattern_is_refused(server: Server) -> None:
    for query in (f"name:contains={'a' * 1_001}", f"_filter=name co {'a' * 1_001}", f"_filter=name ew {'a' * 1_001}"):
        assert (await server("GET", f"/Patient?{query}")).status_code == 400


async def test_includes_iterate_a_bounded_number_of_rounds(server: Server, crowd: str, work: Work) -> None:
    """A row of fifteen organizations is walked ten steps far, and it is said that there is more."""
    answer = await server("GET", "/Organization?_id=cr-15&_include:iterate=Organization:partof")
    entries = answer.json()["entry"]
    assert [each["search"]["mode"] for each in entries] == ["match", *["include"] * includes.ROUNDS, "outcome"]
    assert entries[-1]["resource"]["issue"][0]["code"] == "too-costly"
    assert len(work.queries) == includes.ROUNDS + 1


async def test_includes_are_bounded_in_all(
    server: Server, crowd: str, work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(includes, "INCLUDED", 10)
    answer = await server(
        "GET", "/Organization?_id=cr-0&_revinclude=Patient:organization&_revinclude:iterate=Observation:*"
    )
    entries = answer.json()["entry"]
    assert [each["search"]["mode"] for each in entries] == ["match", *["include"] * 10, "outcome"]
    assert len(work.queries) <= 3


async def test_criteria_name_few_values_for_a_bundle_has_many_of_them(server: Server) -> None:
    for count, status in ((50, 201), (51, 400)):
        names = {"If-None-Exist": "name=" + ",".join(f"criterion{number}" for number in range(count))}
        answer = await server("POST", "/Patient", json={"resourceType": "Patient"}, headers=names)
        assert answer.status_code == status, answer.text
        assert ("50 values" in answer.text) is (count > 50)


async def test_a_hierarchy_is_followed_to_its_end_or_said_to_be_too_deep(
    server: Server, crowd: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """search.html#recursive: the fifteen organizations are within each other."""
    answer = await server("GET", "/Organization?partof:below=cr-0&_summary=count")
    assert answer.json()["total"] == 15
    answer = await server("GET", "/Organization?partof:above=cr-15&_summary=count")
    assert answer.json()["total"] == 15
    monkeypatch.setattr(chains, "LEVELS", 14)
    for query in ("partof:below=cr-0", "partof:above=cr-15"):
        answer = await server("GET", f"/Organization?{query}")
        assert (answer.status_code, answer.json()["issue"][0]["code"]) == (400, "too-costly")
        assert "14 levels" in answer.json()["issue"][0]["diagnostics"]


async def test_includes_of_everything_are_cut_where_they_are_too_many_or_take_too_long(
    server: Server, crowd: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """search.html#include: what is left out is said, and the matches come all the same."""
    query = "/Organization?_id=cr-6&_revinclude:iterate=*&_include:iterate=*"
    answer = await server("GET", query)
    modes = [each["search"]["mode"] for each in answer.json()["entry"]]
    assert (modes.count("match"), modes.count("include"), modes.count("outcome")) == (1, 15 + 2 * PEOPLE, 0)
    for name, value, most in (("INCLUDED", 20, 20), ("ROUNDS", 2, 15 + 2 * PEOPLE)):
        with monkeypatch.context() as patched:
            patched.setattr(includes, name, value)
            answer = await server("GET", query)
        modes = [each["search"]["mode"] for each in answer.json()["entry"]]
        assert modes.count("match") == 1
        assert modes.count("include") <= most
        assert answer.json()["entry"][-1]["resource"]["issue"][0]["code"] == "too-costly"


async def test_a_round_of_includes_asks_a_type_once_however_many_parameters_it_has(
    server: Server, crowd: str, work: Work
) -> None:
    answer = await server("GET", "/Organization?_id=cr-0&_revinclude=*")
    assert answer.status_code == 200
    assert len(work.queries) == len(set(work.queries)) + 1  # the organization, and what is part of it
