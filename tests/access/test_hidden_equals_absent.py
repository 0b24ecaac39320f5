"""A record that the caller may not see does not exist: the same status, the same bytes, the same headers.

The two worlds: each interaction is asked for a hidden record and for one that never was; only the date, the request's id, and
the id that the request itself named may differ. The documented oracles stand apart: a client that may assign ids learns that a
hidden id is taken (409), which `test_an_id_that_a_client_may_assign_is_a_documented_oracle` pins down.
"""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.access.conftest import World, observation

HIDDEN, ABSENT = "boris-0", "nobody-0"

CASES: list[tuple[str, str, dict[str, Any]]] = [
    ("GET", "/Observation/{id}", {}),
    ("HEAD", "/Observation/{id}", {}),
    ("OPTIONS", "/Observation/{id}", {}),
    ("GET", "/Observation/{id}?_pretty=true", {}),
    ("GET", "/Observation/{id}", {"headers": {"If-None-Match": 'W/"1"'}}),
    ("GET", "/Observation/{id}", {"headers": {"If-Modified-Since": "Sat, 01 Jan 2050 00:00:00 GMT"}}),
    ("GET", "/Observation/{id}/_history", {}),
    ("GET", "/Observation/{id}/_history?_count=1", {}),
    ("GET", "/Observation/{id}/_history/1", {}),
    ("GET", "/Observation/{id}/_history/2", {}),
    ("PUT", "/Observation/{id}", {"json": observation("{id}", "anna")}),
    ("PUT", "/Observation/{id}", {"json": observation("{id}", "boris")}),
    ("PUT", "/Observation/{id}", {"json": observation("{id}", "anna"), "headers": {"If-Match": 'W/"1"'}}),
    ("PUT", "/Observation/{id}", {"json": observation("{id}", "anna"), "headers": {"If-Match": 'W/"7"'}}),
    ("PUT", "/Observation/{id}", {"json": observation("{id}", "anna"), "headers": {"If-None-Match": "*"}}),
    ("PUT", "/Observation/{id}", {"json": observation("{id}", "anna"), "headers": {"Prefer": "return=minimal"}}),
    ("DELETE", "/Observation/{id}", {}),
    ("DELETE", "/Observation/{id}", {"headers": {"If-Match": 'W/"1"'}}),
    ("DELETE", "/Observation/{id}", {"headers": {"If-Match": 'W/"7"'}}),
    ("GET", "/Observation?_id={id}", {}),
    ("GET", "/Observation?_id={id}&_total=accurate", {}),
    ("GET", "/Observation?_id={id}&_summary=count", {}),
    ("GET", "/Observation?_id={id}&_count=0", {}),
    ("GET", "/Observation?_id={id}&_sort=-date&_include=Observation:subject", {}),
    ("GET", "/Patient?_id={id}&_revinclude=Observation:subject", {}),
    ("POST", "/Observation/_search", {"data": {"_id": "{id}"}}),
    ("GET", "/Patient/{id}/Observation", {}),
    ("PATCH", "/Observation/{id}", {"json": []}),
    ("PATCH", "/Observation/{id}", {"json": [], "headers": {"Content-Type": "application/json-patch+json"}}),
    ("GET", "/Observation/{id}/$meta", {}),
    ("POST", "/Observation/{id}", {"json": {}}),
    ("GET", "/Observation/{id}/$everything", {}),
]


def filled(value: Any, id: str) -> Any:
    """The case with the id in its place."""
    if isinstance(value, str):
        return value.replace("{id}", id)
    if isinstance(value, dict):
        return {name: filled(each, id) for name, each in value.items()}
    if isinstance(value, list):
        return [filled(each, id) for each in value]
    return value


def seen(answer: httpx.Response, id: str) -> tuple[int, bytes, list[tuple[str, str]]]:
    """What the caller sees, without the date, the request's id, and the id that she named herself."""
    dropped = ("date", "x-request-id")
    headers = sorted((name, value.replace(id, "{id}")) for name, value in answer.headers.items() if name not in dropped)
    body = answer.content.replace(id.encode(), b"{id}")
    return answer.status_code, _without_when(body), headers


def _without_when(body: bytes) -> bytes:
    """A searchset without its own id and instant, which every answer has anew."""
    if b'"searchset"' not in body:
        return body
    parsed = httpx.Response(200, content=body).json()
    parsed.pop("id", None)
    parsed.get("meta", {}).pop("lastUpdated", None)
    return repr(parsed).encode()


@pytest.mark.parametrize("may", ["update", "nothing"])
@pytest.mark.parametrize("case", CASES, ids=[f"{method} {path} {list(options)}" for method, path, options in CASES])
async def test_hidden_and_absent_are_one_answer(
    world: World, stranger: str, doctor: str, case: tuple[str, str, dict[str, Any]], may: str
) -> None:
    """Absent, hidden, never existed: 404 and one constant text."""
    method, path, options = case
    token = doctor if may == "update" else stranger
    assert len(HIDDEN) <= len(ABSENT)
    absent = ABSENT[: len(HIDDEN)]
    answers = [
        seen(await world.asks(token, method, filled(path, id), **filled(options, id)), id) for id in (HIDDEN, absent)
    ]
    assert answers[0] == answers[1]
    assert answers[0][0] < 500


async def test_a_hidden_record_is_untouched_by_all_of_this(world: World) -> None:
    """Whatever the answers were, the record of Boris is the first version still."""
    answer = await world.open("GET", f"/Observation/{HIDDEN}")
    assert answer.status_code == 200
    assert answer.headers["etag"] == 'W/"1"'


async def test_an_id_that_a_client_may_assign_is_a_documented_oracle(world: World) -> None:
    """Such a client creates under an absent id, and is told 409 for a hidden one."""
    trusted = await world.token("Organization/laboratory", "system/Observation.cruds", may=("assign-ids",))
    taken = await world.asks(trusted, "PUT", f"/Observation/{HIDDEN}", json=observation(HIDDEN, "anna"))
    assert taken.status_code == 409
    fresh = await world.asks(trusted, "PUT", "/Observation/lab-made", json=observation("lab-made", "anna"))
    assert fresh.status_code == 201
