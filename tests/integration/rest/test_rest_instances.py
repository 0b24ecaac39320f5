"""Interactions on one resource over HTTP: read, vread, create, update, delete, history.

https://hl7.org/fhir/R4/http.html
"""

from __future__ import annotations

import re
from email.utils import parsedate_to_datetime
from typing import Any

import pytest

from tests.integration.serving import FHIR, Server


def patient(id: str | None = None, **rest: Any) -> dict[str, Any]:
    """A small valid resource."""
    return {"resourceType": "Patient", **({} if id is None else {"id": id}), "active": True, **rest}


async def test_a_create_is_read_back_where_location_says(server: Server) -> None:
    """http.html#create: 201, Location with the version, ETag, Last-Modified; an id in the body is ignored."""
    answer = await server("POST", "/Patient", json=patient("mine", meta={"versionId": "7", "tag": [{"code": "x"}]}))
    assert answer.status_code == 201
    made = answer.json()
    assert made["id"] != "mine"
    assert made["meta"]["versionId"] == "1"
    assert made["meta"]["tag"] == [{"code": "x"}]
    assert answer.headers["location"] == f"{FHIR}/Patient/{made['id']}/_history/1"
    assert answer.headers["etag"] == 'W/"1"'
    assert answer.headers["content-type"] == "application/fhir+json; charset=utf-8"
    read = await server("GET", f"/Patient/{made['id']}")
    assert (read.status_code, read.content) == (200, answer.content)
    assert read.headers["etag"] == 'W/"1"'
    seconds = made["meta"]["lastUpdated"][:19]
    assert parsedate_to_datetime(read.headers["last-modified"]).isoformat()[:19] == seconds


async def test_decimals_and_unknown_order_come_back_as_they_were_sent(server: Server, new_id: str) -> None:
    """json.html: decimals keep their precision."""
    body = (
        '{"resourceType":"Observation","id":"ID","status":"final","code":{"text":"x"},"component":['
        '{"code":{"text":"a"},"valueQuantity":{"value":1.50}},{"code":{"text":"b"},"valueQuantity":{"value":1E-22}},'
        '{"code":{"text":"c"},"valueQuantity":{"value":-0.0}}]}'
    ).replace("ID", new_id)
    headers = {"content-type": "application/fhir+json"}
    assert (await server("PUT", f"/Observation/{new_id}", content=body, headers=headers)).status_code == 201
    read = await server("GET", f"/Observation/{new_id}")
    assert re.findall(r'"value":([^}]+)}', read.text) == ["1.50", "1E-22", "-0.0"]


async def test_an_update_makes_the_next_version_and_keeps_the_old_one(server: Server, new_id: str) -> None:
    """http.html#update, http.html#vread"""
    first = await server.put(patient(new_id, gender="male"))
    assert (first.status_code, first.headers["location"]) == (201, f"{FHIR}/Patient/{new_id}/_history/1")
    second = await server.put(patient(new_id, gender="female"))
    assert (second.status_code, second.headers["etag"]) == (200, 'W/"2"')
    assert "location" not in second.headers
    genders = [(await server("GET", f"/Patient/{new_id}/_history/{n}")).json()["gender"] for n in (1, 2)]
    assert genders == ["male", "female"]
    for absent in ("3", "0", "01", "x", "9" * 30):
        assert (await server("GET", f"/Patient/{new_id}/_history/{absent}")).status_code == 404


@pytest.mark.parametrize(
    ("body", "status", "place"),
    [
        ({"resourceType": "Patient"}, 400, "Patient.id"),
        ({"resourceType": "Patient", "id": "other"}, 400, "Patient.id"),
        ({"resourceType": "Patient", "id": 1}, 400, "Patient.id"),
        ({"resourceType": "Observation", "id": "x"}, 400, "Observation.resourceType"),
        ({"id": "x"}, 400, None),
        ([], 400, None),
        ("text", 400, None),
        (1.5, 400, None),
        ({"resourceType": "Patient", "id": "x", "unknown": 1}, 400, "Patient.unknown"),
        ({"resourceType": "Patient", "id": "x", "active": "yes"}, 400, "Patient.active"),
        ({"resourceType": "Patient", "id": "x", "gender": "both"}, 422, "Patient.gender"),
        ({"resourceType": "Patient", "id": "x", "birthDate": "2020-02-30"}, 422, "Patient.birthDate"),
    ],
)
async def test_a_body_that_is_not_this_resource_is_refused(
    server: Server, body: Any, status: int, place: str | None
) -> None:
    """http.html#update: 400 where it cannot be read or is another resource, 422 where it breaks a rule."""
    answer = await server("PUT", "/Patient/x", json=body)
    assert answer.status_code == status
    outcome = answer.json()
    assert outcome["resourceType"] == "OperationOutcome"
    assert place is None or [place] in [issue.get("expression") for issue in outcome["issue"]]


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b'{"resourceType":"Patient","id":"x","id":"x"}', b"[" * 1000])
async def test_what_is_not_json_is_refused(server: Server, content: bytes) -> None:
    headers = {"content-type": "application/fhir+json"}
    assert (await server("PUT", "/Patient/x", content=content, headers=headers)).status_code == 400


@pytest.mark.parametrize(
    ("prefer", "expected"),
    [
        ("return=minimal", None),
        ("return=representation", "Patient"),
        ("return=OperationOutcome", "OperationOutcome"),
        (None, "Patient"),
    ],
)
async def test_a_write_answers_with_what_prefer_asks_for(
    server: Server, prefer: str | None, expected: str | None
) -> None:
    """http.html#return"""
    headers = {} if prefer is None else {"prefer": prefer}
    answer = await server("POST", "/Patient", json=patient(), headers=headers)
    assert answer.status_code == 201
    assert {"location", "etag", "last-modified"} <= set(answer.headers)
    assert (answer.json()["resourceType"] if answer.content else None) == expected


async def test_if_match_lets_only_who_knows_the_version_write(server: Server, new_id: str) -> None:
    """http.html#concurrency"""
    await server.put(patient(new_id))
    table = [
        ('W/"2"', 412),
        ('"2", W/"3"', 412),
        ('W/"x"', 412),
        ("1", 400),
        ('W/"1"', 200),
        ('"2"', 200),
        ('W/"9", "3"', 200),
        ("*", 200),
    ]
    for header, status in table:
        answer = await server("PUT", f"/Patient/{new_id}", json=patient(new_id), headers={"if-match": header})
        assert (header, answer.status_code) == (header, status)
    assert (await server("DELETE", f"/Patient/{new_id}", headers={"if-match": 'W/"1"'})).status_code == 412
    assert (await server("DELETE", f"/Patient/{new_id}", headers={"if-match": 'W/"5"'})).status_code == 204


async def test_if_none_match_any_only_creates(server: Server, new_id: str) -> None:
    """http.html#ccreate, by the HTTP header: 412 where there is a version."""
    headers = {"if-none-match": "*"}
    assert (await server("PUT", f"/Patient/{new_id}", json=patient(new_id), headers=headers)).status_code == 201
    assert (await server("PUT", f"/Patient/{new_id}", json=patient(new_id), headers=headers)).status_code == 412


async def test_if_match_on_an_absent_resource_fails(server: Server, new_id: str) -> None:
    answer = await server("PUT", f"/Patient/{new_id}", json=patient(new_id), headers={"if-match": 'W/"1"'})
    assert answer.status_code == 412


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE"])
async def test_if_unmodified_since_lets_only_who_knows_the_latest_write(
    server: Server, new_id: str, method: str
) -> None:
    """RFC 9110 13.1.4: what changed later is not replaced; what is not there, and a date that is none, hinder nobody."""
    written = await server.put(patient(new_id))
    patch = [{"op": "add", "path": "/active", "value": False}]
    options: dict[str, Any] = {"PUT": {"json": patient(new_id)}, "PATCH": {"json": patch}}.get(method, {})

    async def status(since: str, id: str = new_id, **more: str) -> int:
        headers = {"if-unmodified-since": since, **more}
        if method == "PATCH":
            headers["content-type"] = "application/json-patch+json"
        return (await server(method, f"/Patient/{id}", headers=headers, **options)).status_code

    old = "Sat, 01 Jan 2000 00:00:00 GMT"
    assert await status(old) == 412
    assert (await server("GET", f"/Patient/{new_id}")).headers["etag"] == 'W/"1"'
    assert await status(old, **{"if-match": 'W/"7"'}) == 412
    assert await status(old, **{"if-match": 'W/"1"'}) in (200, 204)  # the tag decides where both are sent
    await server.put(patient(new_id))
    assert await status("soon") in (200, 204)
    written = await server.put(patient(new_id))
    assert await status(written.headers["last-modified"]) in (200, 204)
    if method == "PUT":
        options["json"] = patient(f"{new_id}-new")
        assert await status(old, f"{new_id}-new") == 201


async def test_a_conditional_read_says_when_nothing_changed(server: Server, new_id: str) -> None:
    """http.html#cread"""
    written = await server.put(patient(new_id))
    modified = written.headers["last-modified"]
    table = [
        ({"if-none-match": 'W/"1"'}, 304),
        ({"if-none-match": '"1"'}, 304),
        ({"if-none-match": 'W/"2"'}, 200),
        ({"if-none-match": "1"}, 304),
        ({"if-none-match": "W/1"}, 304),
        ({"if-none-match": "W/2"}, 200),
        ({"if-modified-since": modified}, 304),
        ({"if-modified-since": "Thu, 01 Jan 1970 00:00:00 GMT"}, 200),
        ({"if-modified-since": modified, "if-none-match": 'W/"2"'}, 200),
    ]
    for headers, status in table:
        answer = await server("GET", f"/Patient/{new_id}", headers=headers)
        assert (headers, answer.status_code) == (headers, status)
        assert answer.headers["etag"] == 'W/"1"'
        assert bool(answer.content) == (status == 200)
    assert (await server("GET", f"/Patient/absent-{new_id}", headers={"if-none-match": "*"})).status_code == 404


async def test_a_deleted_resource_is_gone_until_it_is_put_again(server: Server, new_id: str) -> None:
    """http.html#delete"""
    await server.put(patient(new_id))
    path = f"/Patient/{new_id}"
    assert (await server("DELETE", path)).status_code == 204
    gone = await server("GET", path)
    assert (gone.status_code, gone.json()["issue"][0]["code"]) == (410, "deleted")
    assert (await server("GET", f"{path}/_history/2")).status_code == 410
    assert (await server("GET", f"{path}/_history/1")).status_code == 200
    again = await server.put(patient(new_id))
    assert (again.status_code, again.headers["etag"]) == (201, 'W/"3"')


async def test_deleting_what_is_not_there_looks_like_deleting(server: Server, new_id: str) -> None:
    """http.html#delete: 204, no effect, identical."""
    await server.put(patient(new_id))
    real = await server("DELETE", f"/Patient/{new_id}")
    twice = await server("DELETE", f"/Patient/{new_id}")
    absent = await server("DELETE", f"/Patient/absent-{new_id}")
    shown = [
        (
            answer.status_code,
            answer.content,
            {k: v for k, v in answer.headers.items() if k not in ("x-request-id", "date")},
        )
        for answer in (real, twice, absent)
    ]
    assert shown[0] == shown[1] == shown[2]
    assert shown[0][:2] == (204, b"")
    assert (await server("GET", f"/Patient/{new_id}/_history")).json()["total"] == 2


async def test_absent_has_one_text(server: Server, new_id: str) -> None:
    """data edges: the same 404 for whatever does not exist."""
    texts = {
        (await server("GET", path)).content
        for path in (
            f"/Patient/{new_id}",
            f"/Observation/{new_id}",
            f"/Patient/{new_id}/_history",
            f"/Patient/{new_id}/_history/1",
            f"/Binary/{new_id}",
        )
    }
    assert len(texts) == 1
    assert b"Resource not found." in texts.pop()


async def test_head_has_the_headers_of_get_and_no_body(server: Server, new_id: str) -> None:
    """http.html#3.1.0.1.4"""
    await server.put(patient(new_id))
    for path in (f"/Patient/{new_id}", f"/Patient/{new_id}/_history", "/metadata", f"/Patient/absent-{new_id}"):
        get, head = await server("GET", path), await server("HEAD", path)
        assert head.content == b""
        assert head.status_code == get.status_code
        ignored = ("x-request-id", "date")
        assert {k: v for k, v in head.headers.items() if k not in ignored} == {
            k: v for k, v in get.headers.items() if k not in ignored
        }


async def test_history_shows_every_version_and_the_newest_first(server: Server, new_id: str) -> None:
    """http.html#history: request and response of each entry; a deletion has no resource."""
    await server.put(patient(new_id))
    await server.put(patient(new_id, gender="male"))
    await server("DELETE", f"/Patient/{new_id}")
    await server.put(patient(new_id, gender="other"))
    bundle = (await server("GET", f"/Patient/{new_id}/_history")).json()
    assert (bundle["type"], bundle["total"]) == ("history", 4)
    url = f"Patient/{new_id}"
    shown = [
        (entry["request"], entry["response"]["status"], entry["response"]["etag"], "resource" in entry)
        for entry in bundle["entry"]
    ]
    assert shown == [
        ({"method": "PUT", "url": url}, "201 Created", 'W/"4"', True),
        ({"method": "DELETE", "url": url}, "204 No Content", 'W/"3"', False),
        ({"method": "PUT", "url": url}, "200 OK", 'W/"2"', True),
        ({"method": "PUT", "url": url}, "201 Created", 'W/"1"', True),
    ]
    assert {entry["fullUrl"] for entry in bundle["entry"]} == {f"{FHIR}/{url}"}


async def test_history_of_a_created_resource_begins_with_a_post(server: Server) -> None:
    made = (await server("POST", "/Patient", json=patient())).json()
    [entry] = (await server("GET", f"/Patient/{made['id']}/_history")).json()["entry"]
    assert entry["request"] == {"method": "POST", "url": "Patient"}
    assert entry["resource"] == made


@pytest.mark.parametrize("count", [1, 2, 3, 5])
async def test_history_pages_show_each_version_once(server: Server, new_id: str, count: int) -> None:
    for _ in range(5):
        await server.put(patient(new_id))
    url = f"{FHIR}/Patient/{new_id}/_history?_count={count}"
    seen: list[str] = []
    while url:
        bundle = (await server.client.get(url)).json()
        assert bundle["total"] == 5
        assert len(bundle["entry"]) <= count
        seen += [entry["resource"]["meta"]["versionId"] for entry in bundle["entry"]]
        url = next((link["url"] for link in bundle["link"] if link["relation"] == "next"), "")
    assert seen == ["5", "4", "3", "2", "1"]


async def test_history_since_and_at(server: Server, new_id: str) -> None:
    """http.html#history: _since is inclusive; _at shows what was current at some moment of that time."""
    instants = [(await server.put(patient(new_id))).json()["meta"]["lastUpdated"] for _ in range(4)]
    assert len(set(instants)) == 4, "versions of one millisecond cannot be told apart here"

    async def versions(query: str) -> list[str]:
        answer = await server("GET", f"/Patient/{new_id}/_history?{query}")
        assert answer.status_code == 200, answer.text
        return [entry["resource"]["meta"]["versionId"] for entry in answer.json().get("entry", [])]

    assert await versions(f"_since={instants[2]}") == ["4", "3"]
    assert await versions("_since=2999-01-01T00:00:00Z") == []
    assert await versions(f"_at={instants[1]}") == ["2"]
    assert await versions(f"_at={instants[1][:10]}") == ["4", "3", "2", "1"]
    assert await versions("_at=1999") == []
    assert await versions(f"_at=2999&_since={instants[0]}") == ["4"]


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("_count=x", 400),
        ("_count=-1", 400),
        ("_count=0", 200),
        ("_count=99999", 200),
        ("_since=soon", 400),
        ("_at=never", 400),
        ("_list=x", 200),
        ("_list=$current-problems", 400),
        ("_count=1&_count=2", 400),
        ("_cursor=forged", 400),
        ("_format=xml", 200),
        ("_format=ttl", 406),
        ("_pretty=perhaps", 400),
        ("_format=&_pretty=", 200),
        ("_pretty=true&_format=json", 200),
    ],
)
async def test_history_parameters_are_read_strictly(server: Server, new_id: str, query: str, status: int) -> None:
    await server.put(patient(new_id))
    assert (await server("GET", f"/Patient/{new_id}/_history?{query}")).status_code == status


async def test_a_cursor_of_one_history_opens_no_other(server: Server, new_id: str) -> None:
    for id in (new_id, f"{new_id}-b"):
        await server.put(patient(id))
        await server.put(patient(id))
    bundle = (await server("GET", f"/Patient/{new_id}/_history?_count=1")).json()
    following = next(link["url"] for link in bundle["link"] if link["relation"] == "next")
    assert (await server.client.get(following)).status_code == 200
    assert (await server.client.get(following.replace(f"{new_id}/", f"{new_id}-b/"))).status_code == 400
    assert (await server.client.get(following.replace("_count=1", "_count=2"))).status_code == 400
