"""A search across types: what is asked, in which order it comes, and that pages show each row once.

https://hl7.org/fhir/R4/http.html#search
"""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.integration.serving import FHIR, Server

TAG = "urn:across"


@pytest.fixture(scope="module")
async def tag(server: Server) -> str:
    """Five patients, three observations and two practitioners with a tag of their own, written in turn."""
    name = "a1"
    for number in range(5):
        await server.put(_tagged("Patient", f"ax-p{number}", name, gender="male"))
        if number < 3:
            subject = {"reference": f"Patient/ax-p{number}"}
            await server.put(
                _tagged("Observation", f"ax-o{number}", name, status="final", code={"text": "x"}, subject=subject)
            )
        if number < 2:
            await server.put(_tagged("Practitioner", f"ax-d{number}", name, gender="female"))
    return f"{TAG}|{name}"


def _tagged(resource_type: str, id: str, tag: str, **more: Any) -> dict[str, Any]:
    return {"resourceType": resource_type, "id": id, "meta": {"tag": [{"system": TAG, "code": tag}]}, **more}


def ids(answer: httpx.Response) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [each["resource"]["id"] for each in answer.json().get("entry", ()) if each["search"]["mode"] == "match"]


def link(answer: httpx.Response, relation: str) -> str | None:
    found = [each["url"] for each in answer.json()["link"] if each["relation"] == relation]
    return found[0].removeprefix(FHIR) if found else None


IN_TURN = ["ax-p0", "ax-p1", "ax-p2", "ax-p3", "ax-p4", "ax-o0", "ax-o1", "ax-o2", "ax-d0", "ax-d1"]
BY_TIME = ["ax-p0", "ax-o0", "ax-d0", "ax-p1", "ax-o1", "ax-d1", "ax-p2", "ax-o2", "ax-p3", "ax-p4"]
TYPES = "_type=Patient,Observation,Practitioner"


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 8, 9, 10, 11])
@pytest.mark.parametrize(
    ("sort", "expected"), [("", IN_TURN), ("_lastUpdated", BY_TIME), ("-_lastUpdated", BY_TIME[::-1])]
)
async def test_pages_show_each_row_once(server: Server, tag: str, count: int, sort: str, expected: list[str]) -> None:
    following: str | None = f"?{TYPES}&_tag={tag}&_count={count}" + (f"&_sort={sort}" if sort else "")
    pages: list[list[str]] = []
    while following is not None:
        answer = await server("GET", following)
        pages.append(ids(answer))
        following = link(answer, "next")
    assert [len(page) for page in pages[:-1]] == [count] * (len(pages) - 1)
    assert 0 < len(pages[-1]) <= count
    assert [id for page in pages for id in page] == expected


async def test_rows_of_one_moment_are_shown_once(server: Server) -> None:
    """What one transaction wrote has one time."""
    entries = [
        {"request": {"method": "POST", "url": type}, "resource": _tagged(type, "x", "moment", **more)}
        for type, more in (("Patient", {}), ("Practitioner", {}), ("Organization", {"name": "x"}))
        for _ in range(4)
    ]
    posted = await server("POST", "", json={"resourceType": "Bundle", "type": "transaction", "entry": entries})
    assert posted.status_code == 200, posted.text
    for sort in ("_lastUpdated", "-_lastUpdated"):
        following: str | None = f"?_type=Practitioner,Organization,Patient&_tag={TAG}|moment&_count=5&_sort={sort}"
        found: list[str] = []
        while following is not None:
            answer = await server("GET", following)
            found += ids(answer)
            following = link(answer, "next")
        assert len(found) == len(set(found)) == 12


async def test_totals_are_of_all_types(server: Server, tag: str) -> None:
    for asked in ("_total=accurate", "_summary=count", "_total=accurate&_count=1", "_count=0", "_total=estimate"):
        answer = await server("GET", f"?{TYPES}&_tag={tag}&{asked}")
        assert answer.json()["total"] == 10, asked
    assert (await server("GET", f"?{TYPES}&_tag={tag}")).json()["total"] == 10
    assert "total" not in (await server("GET", f"?{TYPES}&_tag={tag}&_count=9")).json()


async def test_the_form_and_a_batch_ask_the_same(server: Server, tag: str) -> None:
    form = {"_type": "Practitioner,Patient", "_tag": tag, "gender": "female"}
    assert ids(await server("POST", "/_search", data=form)) == ["ax-d0", "ax-d1"]
    batch = {
        "resourceType": "Bundle",
        "type": "batch",
        "entry": [{"request": {"method": "GET", "url": f"?_type=Practitioner&_tag={tag}"}}],
    }
    entry = (await server("POST", "", json=batch)).json()["entry"][0]
    assert [each["resource"]["id"] for each in entry["resource"]["entry"]] == ["ax-d0", "ax-d1"]


async def test_the_self_link_says_what_was_used(server: Server, tag: str) -> None:
    answer = await server(
        "GET", f"?_tag={tag}&_type=Patient,Observation&gender=male&_count=2", headers={"Prefer": "handling=lenient"}
    )
    assert link(answer, "self") == "?_type=Patient,Observation&_tag=urn:across%7Ca1&_count=2"
    assert answer.json()["entry"][-1]["search"]["mode"] == "outcome"


async def test_chains_and_lists_go_across_types(server: Server, tag: str) -> None:
    await server.put(
        {
            "resourceType": "List",
            "id": "ax-list",
            "status": "current",
            "mode": "working",
            "entry": [{"item": {"reference": each}} for each in ("Patient/ax-p1", "Observation/ax-o2")],
        }
    )
    assert ids(await server("GET", "?_type=Observation,Patient&_list=ax-list")) == ["ax-o2", "ax-p1"]
    found = await server("GET", f"?_type=Observation,Encounter&patient._id=ax-p0,ax-p1&_tag={tag}")
    assert sorted(ids(found)) == ["ax-o0", "ax-o1"]


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("name=x", "not-supported"),
        ("_type=&birthdate=2020", "not-supported"),
        ("_type=Nothing", "invalid"),
        ("_type=Patient&_type=Observation", "invalid"),
        ("_type=Patient,Observation&gender=male", "not-supported"),
        ("_type=Patient,Observation&_sort=_id", "not-supported"),
        ("_type=Patient,Observation&_include=Observation:subject", "not-supported"),
        ("_type=Patient,Practitioner&birthdate=2020", "not-supported"),
        ("_type=Patient,Person&birthdate=x", "invalid"),
        ("_type=Patient,Observation&_count=1000&_sort=_lastUpdated,_id", "not-supported"),
    ],
)
async def test_what_cannot_be_asked_of_all_types_is_refused(server: Server, query: str, code: str) -> None:
    answer = await server("GET", f"?{query}")
    assert (answer.status_code, answer.json()["issue"][0]["code"]) == (400, code), answer.text


@pytest.mark.parametrize("count", [1, 4, 50])
async def test_a_search_of_everything_goes_through_all_types(server: Server, tag: str, count: int) -> None:
    """search.html#3.1.1.2: without `_type` the parameters are those common to all types."""
    for sort, expected in (("", sorted(IN_TURN)), ("&_sort=-_lastUpdated", BY_TIME[::-1])):
        following: str | None = f"?_tag={tag}&_count={count}{sort}"
        found: list[str] = []
        while following is not None:
            answer = await server("GET", following)
            assert "_type" not in str(link(answer, "self"))
            found += ids(answer)
            following = link(answer, "next")
        assert (found if sort else sorted(found)) == expected
    answer = await server("GET", f"?_tag={tag}&_summary=count")
    assert answer.json()["total"] == len(IN_TURN)


async def test_a_compartment_is_searched_through_all_its_types(server: Server, tag: str) -> None:
    """http.html#vsearch: `[base]/[compartment]/[id]/*`"""
    answer = await server("GET", f"/Patient/ax-p1/*?_tag={tag}")
    assert sorted(ids(answer)) == ["ax-o1", "ax-p1"]
    assert link(answer, "self") == f"/Patient/ax-p1/*?_tag={tag.replace('|', '%7C')}"
    answer = await server("GET", f"/Patient/ax-p1/*?_tag={tag}&_count=1")
    assert ids(await server("GET", link(answer, "next"))) == ["ax-p1"]
    assert ids(await server("GET", "/Patient/ax-p1/*?_type=Observation,Condition")) == ["ax-o1"]
    assert ids(await server("GET", "/Patient/ax-p1/*?_total=accurate&_lastUpdated=lt2020")) == []
    for query in ("_type=Organization", "code=x", "_include=Observation:subject"):
        assert (await server("GET", f"/Patient/ax-p1/*?{query}")).status_code == 400
    assert (await server("GET", "/Location/ax-p1/*")).status_code == 404


async def test_bounds_are_said(server: Server) -> None:
    types = "Account,Basic,Binary,Bundle,CarePlan,CareTeam,Claim,Condition,Consent,Contract,Coverage,Device,Encounter"
    for query in (
        f"_type={types},Endpoint,Flag,Goal,Group,List,Location,Media,Patient",
        "_type=Account,Basic,Binary,Bundle,CareTeam,Claim,Consent,Device,Endpoint,Flag,Goal&_count=1000&_sort=_lastUpdated",
        "_count=1000&_sort=_lastUpdated",
        "&".join(["_id=x"] * 8),
    ):
        answer = await server("GET", f"?{query}")
        assert (answer.status_code, answer.json()["issue"][0]["code"]) == (400, "too-costly"), answer.text


async def test_a_page_link_is_good_for_its_query_and_size(server: Server, tag: str) -> None:
    answer = await server("GET", f"?{TYPES}&_tag={tag}&_count=2")
    following = link(answer, "next")
    assert following is not None
    for other in (following.replace("_count=2", "_count=3"), following.replace("Patient,", "")):
        assert (await server("GET", other)).status_code == 400
