"""Searches over HTTP: the Bundle, its links, its entries, GET and POST, compartments.

https://hl7.org/fhir/R4/search.html
"""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from tests.integration.serving import FHIR, Server

FORM = {"content-type": "application/x-www-form-urlencoded"}
LOINC = "http://loinc.org"


@pytest.fixture(scope="module")
async def ward(server: Server) -> str:
    """A patient with seven observations by one practitioner, and another patient with one."""
    ward = "ward"
    await server.put({"resourceType": "Practitioner", "id": f"{ward}-doctor"})
    for patient, number in ((f"{ward}-a", 7), (f"{ward}-b", 1)):
        await server.put({"resourceType": "Patient", "id": patient, "name": [{"family": f"{ward}er"}]})
        for index in range(number):
            await server.put(
                {
                    "resourceType": "Observation",
                    "id": f"{patient}-{index}",
                    "status": "final",
                    "code": {"coding": [{"system": LOINC, "code": f"c-{index % 2}"}]},
                    "subject": {"reference": f"Patient/{patient}"},
                    "performer": [{"reference": f"Practitioner/{ward}-doctor"}],
                    "effectiveDateTime": f"2026-01-0{index + 1}",
                }
            )
    return ward


async def found(server: Server, path: str, **options: Any) -> dict[str, Any]:
    """The Bundle that a search gives."""
    answer = await server(options.pop("method", "GET"), path, **options)
    assert answer.status_code == 200, answer.text
    bundle: dict[str, Any] = answer.json()
    assert (bundle["resourceType"], bundle["type"]) == ("Bundle", "searchset")
    return bundle


def ids(bundle: dict[str, Any], mode: str = "match") -> list[str]:
    """The ids of a Bundle's entries of this mode, in order."""
    return [entry["resource"]["id"] for entry in bundle.get("entry", []) if entry["search"]["mode"] == mode]


def link(bundle: dict[str, Any], relation: str) -> str | None:
    """One of a Bundle's links."""
    return next((each["url"] for each in bundle["link"] if each["relation"] == relation), None)


async def test_a_searchset_holds_the_stored_texts_and_where_they_are(server: Server, ward: str) -> None:
    """bundle.html#searchset"""
    bundle = await found(server, f"/Observation?patient=Patient/{ward}-a&_sort=date")
    assert ids(bundle) == [f"{ward}-a-{index}" for index in range(7)]
    for entry in bundle["entry"]:
        id = entry["resource"]["id"]
        assert entry["fullUrl"] == f"{FHIR}/Observation/{id}"
        assert entry["resource"] == (await server("GET", f"/Observation/{id}")).json()
    assert link(bundle, "next") is None


async def test_the_total_is_said_where_the_first_page_holds_everything(server: Server, ward: str) -> None:
    """search.html#total leaves it to the server: nothing is counted for it, and who asks for none gets none."""
    path = f"/Observation?patient={ward}-a"
    for query, total in (("", 7), ("&_count=7", 7), ("&_count=6", None), ("&_total=none", None), ("&code=none", 0)):
        assert (await found(server, path + query)).get("total") == total, query
    first = await found(server, f"{path}&_count=6")
    last = await found(server, (link(first, "next") or "").removeprefix(FHIR))
    assert (len(ids(last)), "total" in last) == (1, False)


async def test_an_empty_searchset_has_no_entries(server: Server) -> None:
    """json.html: arrays are never empty"""
    assert "entry" not in await found(server, "/Observation?_id=absent")


@pytest.mark.parametrize(("query", "total"), [("_total=accurate", 7), ("_total=estimate", 7), ("_summary=count", 7)])
async def test_the_total_is_said_when_it_is_asked_for(server: Server, ward: str, query: str, total: int) -> None:
    """search.html#total"""
    bundle = await found(server, f"/Observation?patient={ward}-a&_count=2&{query}")
    assert bundle["total"] == total
    assert len(ids(bundle)) == (0 if "summary" in query else 2)


async def test_a_count_of_zero_is_a_question_for_the_total(server: Server, ward: str) -> None:
    """search.html#count"""
    bundle = await found(server, f"/Observation?patient={ward}-a&_count=0")
    assert (bundle["total"], ids(bundle)) == (7, [])


@pytest.mark.parametrize("sort", ["", "&_sort=date", "&_sort=-date", "&_sort=code,-date", "&_sort=-_lastUpdated"])
@pytest.mark.parametrize("count", [1, 3, 7])
async def test_pages_show_each_match_once(server: Server, ward: str, sort: str, count: int) -> None:
    """http.html#paging"""
    everything = ids(await found(server, f"/Observation?patient={ward}-a{sort}"))
    url: str | None = f"{FHIR}/Observation?patient={ward}-a&_count={count}{sort}"
    first = url
    seen: list[str] = []
    while url:
        answer = await server.client.get(url)
        bundle = answer.json()
        assert link(bundle, "self") == url
        assert link(bundle, "first") == first
        assert len(ids(bundle)) <= count
        seen += ids(bundle)
        url = link(bundle, "next")
    assert seen == everything


async def test_the_self_link_shows_what_was_used(server: Server, ward: str) -> None:
    """search.html#conformance"""
    path = f"/Observation?patient=Patient/{ward}-a&nonsense=1&code={LOINC}|c-1&_format=json&_pretty=true&status="
    answer = await found(server, path, headers={"prefer": "handling=lenient"})
    url = urlsplit(link(answer, "self") or "")
    assert parse_qsl(url.query) == [("patient", f"Patient/{ward}-a"), ("code", f"{LOINC}|c-1")]
    outcomes = [entry["resource"] for entry in answer["entry"] if entry["search"]["mode"] == "outcome"]
    assert [issue["severity"] for issue in outcomes[0]["issue"]] == ["warning", "information"]


async def test_an_unknown_parameter_is_refused(server: Server) -> None:
    """search.html#errors, strict"""
    answer = await server("GET", "/Observation?nonsense=1")
    assert (answer.status_code, answer.json()["issue"][0]["code"]) == (400, "not-supported")
    headers = {"prefer": "handling=strict"}
    assert (await server("GET", "/Observation?nonsense=1", headers=headers)).status_code == 400


async def test_a_count_past_the_bound_is_lowered_and_said(server: Server, ward: str) -> None:
    bundle = await found(server, f"/Observation?patient={ward}-a&_count=100000")
    assert "_count=1000" in (link(bundle, "self") or "")
    assert [entry["search"]["mode"] for entry in bundle["entry"]][-1] == "outcome"


async def test_posted_parameters_join_those_of_the_address(server: Server, ward: str) -> None:
    """http.html#search: POST"""
    bundle = await found(
        server, "/Observation/_search?_sort=date", method="POST", content=f"patient={ward}-a&code=c-1", headers=FORM
    )
    assert ids(bundle) == [f"{ward}-a-{index}" for index in (1, 3, 5)]
    assert link(bundle, "self") == f"{FHIR}/Observation?_sort=date&patient={ward}-a&code=c-1"
    pretty = await server("POST", "/Observation/_search", content="_pretty=true&_id=x&_format=json", headers=FORM)
    assert (pretty.status_code, b"\n" in pretty.content) == (200, True)


async def test_pages_of_a_posted_search_are_got(server: Server, ward: str) -> None:
    path, form = "/Observation/_search", f"patient={ward}-a&_count=4"
    bundle = await found(server, path, method="POST", content=form, headers=FORM)
    following = (await server.client.get(link(bundle, "next") or "")).json()
    assert len(set(ids(bundle) + ids(following))) == 7


async def test_includes_are_marked(server: Server, ward: str) -> None:
    """search.html#include"""
    query = "_include=Observation:performer&_include=Observation:subject"
    bundle = await found(server, f"/Observation?_id={ward}-a-0&{query}")
    assert ids(bundle) == [f"{ward}-a-0"]
    assert sorted(ids(bundle, "include")) == [f"{ward}-a", f"{ward}-doctor"]
    bundle = await found(server, f"/Patient?_id={ward}-b&_revinclude=Observation:subject")
    assert (ids(bundle), ids(bundle, "include")) == ([f"{ward}-b"], [f"{ward}-b-0"])


async def test_a_compartment_holds_what_is_its_own(server: Server, ward: str) -> None:
    """search.html: compartment search, by GET and POST"""
    path = f"/Patient/{ward}-a/Observation"
    bundle = await found(server, f"{path}?code=c-0&_sort=date&_count=3")
    assert ids(bundle) == [f"{ward}-a-{index}" for index in (0, 2, 4)]
    assert link(bundle, "self") == f"{FHIR}{path}?code=c-0&_sort=date&_count=3"
    following = (await server.client.get(link(bundle, "next") or "")).json()
    assert ids(following) == [f"{ward}-a-6"]
    posted = await found(server, f"{path}/_search", method="POST", content="code=c-1", headers=FORM)
    assert len(ids(posted)) == 3
    assert ids(await found(server, f"/Patient/{ward}-b/Observation")) == [f"{ward}-b-0"]
    assert ids(await found(server, "/Patient/absent/Observation")) == []
    assert ids(await found(server, f"/Practitioner/{ward}-doctor/Observation?_count=100&patient={ward}-b")) == [
        f"{ward}-b-0"
    ]


@pytest.mark.parametrize(
    "tamper",
    [
        lambda url: url.replace("_count=2", "_count=3"),
        lambda url: url.replace("ward-a", "ward-b"),
        lambda url: url.replace("/Observation?", "/Condition?"),
        lambda url: url[:-5],
        lambda url: url + "x",
        lambda url: url.replace("_cursor=", "_cursor=&_cursor="),
        lambda url: url.partition("_cursor=")[0] + "_cursor=AAAA",
    ],
)
async def test_a_cursor_is_good_for_its_query_only(server: Server, ward: str, tamper: Any) -> None:
    bundle = await found(server, f"/Observation?patient={ward}-a&_count=2")
    following = link(bundle, "next") or ""
    assert (await server.client.get(following)).status_code == 200
    answer = await server.client.get(tamper(following))
    assert (answer.status_code, answer.json()["resourceType"]) == (400, "OperationOutcome")


async def test_a_search_too_long_for_a_link_says_so_instead_of_ending_early(server: Server, ward: str) -> None:
    values = ",".join(f"https://elsewhere.example.org/fhir/Patient/{index:060}" for index in range(75))
    form = f"subject={values},Patient/{ward}-a&_count=2"
    answer = await server("POST", "/Observation/_search", content=form, headers=FORM)
    assert (answer.status_code, answer.json()["issue"][0]["code"]) == (400, "too-costly")


@pytest.mark.parametrize(
    "query",
    [
        "patient=Patient/x&patient:missing=maybe",
        "date=yesterday",
        "_sort=nonsense",
        "_include=Nothing:subject",
        "code:sounds=x",
        "_has:Observation:code:code=x",
        "patient.code=x",
        "_filter=code is x",
        "_count=x",
        "_total=perhaps",
        "value-quantity=five",
        "value-quantity=5|mg",
        "code-value-quantity=8480-6",
        "_summary=maybe",
        "_summary=text&_include=Observation:subject",
        "_summary=true&_elements=code",
        "_contained=perhaps",
        "_containedType=container",
        "_elements=nonsense",
    ],
)
async def test_what_cannot_be_answered_rightly_is_refused(server: Server, query: str) -> None:
    answer = await server("GET", f"/Observation?{query}")
    assert answer.status_code == 400
    assert answer.json()["issue"][0]["diagnostics"]
