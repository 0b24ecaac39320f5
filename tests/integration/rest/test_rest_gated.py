"""The doors under tokens: 401, 403, and one answer for what is hidden and what is absent.

https://www.rfc-editor.org/rfc/rfc6750#section-3 and https://hl7.org/fhir/R4/http.html#Status-Codes
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from fhirserver.access.bearer import Grant, issue_token
from tests.integration.serving import Server

OWN = "gated-her"
OTHER = "gated-him"


async def token(server: Server, **grant: Any) -> str:
    """A new access token."""
    services = server.application.services
    assert services is not None
    now, minutes = grant.pop("now", datetime.now(UTC)), grant.pop("minutes", 5)
    terms = Grant(**{"client": "test", **grant})
    return await issue_token(services.store.documents("tokens"), terms, minutes=minutes, now=now)


async def headers(server: Server, **grant: Any) -> dict[str, str]:
    """The header of a new access token."""
    return {"authorization": f"Bearer {await token(server, **grant)}"}


@pytest.fixture(scope="module")
async def her(server: Server, gated: Server) -> dict[str, str]:
    """The patient, with what is hers and what is somebody else's in the database."""
    for id in (OWN, OTHER):
        await server.put({"resourceType": "Patient", "id": id})
        for number in (1, 2):
            await server.put(observation(f"{id}-o", id, number))
        await server.put(observation(f"{id}-gone", id, 1))
        assert (await server("DELETE", f"/Observation/{id}-gone")).status_code == 204
    return await headers(gated, user=f"Patient/{OWN}", scope="patient/*.cruds", patient=OWN)


def observation(id: str, patient: str, number: int = 1) -> dict[str, Any]:
    """An observation of a patient."""
    return {
        "resourceType": "Observation",
        "id": id,
        "status": "final",
        "code": {"text": f"CANARY {number}"},
        "subject": {"reference": f"Patient/{patient}"},
    }


@pytest.mark.parametrize(
    ("authorization", "challenge"),
    [
        (None, 'Bearer realm="fhir"'),
        ("Bearer nonsense", 'Bearer realm="fhir", error="invalid_token"'),
        ("Bearer", 'Bearer realm="fhir", error="invalid_token"'),
        ("Bearer a b", 'Bearer realm="fhir", error="invalid_token"'),
        ("Basic dTpw", 'Bearer realm="fhir", error="invalid_token"'),
        ("Bearer " + "a" * 5000, 'Bearer realm="fhir", error="invalid_token"'),
    ],
)
async def test_without_a_token_that_counts_nothing_is_said(
    gated: Server, authorization: str | None, challenge: str
) -> None:
    sent = {} if authorization is None else {"authorization": authorization}
    for method, path in (("GET", "/Patient/x"), ("GET", "/Patient"), ("POST", "/Patient"), ("DELETE", "/Patient/x")):
        answer = await gated(method, path, headers=sent)
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"] == challenge
        assert answer.json()["issue"][0]["code"] == "login"
        assert answer.headers["cache-control"] == "no-store"


async def test_an_expired_token_is_invalid(gated: Server) -> None:
    past = datetime.now(UTC) - timedelta(hours=1)
    sent = await headers(gated, user="Device/d", scope="system/*.rs", now=past)
    answer = await gated("GET", "/Patient/x", headers=sent)
    assert (answer.status_code, answer.headers["www-authenticate"]) == (
        401,
        'Bearer realm="fhir", error="invalid_token"',
    )


async def test_a_token_in_the_address_is_not_taken(gated: Server) -> None:
    sent = await token(gated, user="Device/d", scope="system/*.rs")
    assert (await gated("GET", f"/Patient/x?access_token={sent}")).status_code == 401


async def test_what_the_scope_does_not_name_is_forbidden_before_the_data(gated: Server) -> None:
    sent = await headers(gated, user="Device/d", scope="system/Observation.r")
    table = [
        ("GET", "/Patient/x", None),
        ("GET", "/Observation", None),
        ("POST", "/Observation", {"content": b"not even json"}),
        ("PUT", "/Observation/x", {"json": {}}),
        ("DELETE", "/Observation/x", None),
        ("GET", "/Patient/x/_history", None),
    ]
    for method, path, options in table:
        answer = await gated(method, path, headers=sent, **(options or {}))
        assert (method, path, answer.status_code) == (method, path, 403)
        assert answer.headers["www-authenticate"] == 'Bearer realm="fhir", error="insufficient_scope"'
    assert (await gated("GET", "/Observation/x", headers=sent)).status_code == 404


def shown(answer: httpx.Response, *ids: str) -> tuple[int, bytes, dict[str, str]]:
    """What a caller sees, save the date, the request's id, and the ids that she sent herself."""
    body = answer.content
    rest = {name: value for name, value in answer.headers.items() if name not in ("x-request-id", "date")}
    for id in ids:
        body = body.replace(id.encode(), b"ID" * 8)
    if body.startswith(b'{"resourceType":"Bundle"'):
        rest.pop("content-length")
        start = body.index(b'"lastUpdated"')
        body = body[:start] + body[start + 40 :]
    return answer.status_code, body, rest


@pytest.mark.parametrize(
    ("method", "path", "options"),
    [
        ("GET", "/Observation/{id}", {}),
        ("HEAD", "/Observation/{id}", {}),
        ("GET", "/Observation/{id}", {"headers": {"if-none-match": '"1"'}}),
        ("GET", "/Observation/{id}", {"headers": {"if-none-match": "*"}}),
        ("GET", "/Observation/{id}/_history", {}),
        ("GET", "/Observation/{id}/_history?_since=2020-01-01T00:00:00Z", {}),
        ("GET", "/Observation/{id}/_history/1", {}),
        ("GET", "/Observation/{id}/_history/2", {}),
        ("GET", "/Observation?_id={id}", {}),
        ("GET", "/Observation?_id={id}&_total=accurate", {}),
        ("GET", "/Observation?_id={id}&_summary=count", {}),
        ("GET", "/Observation?_id={id}&_include=Observation:subject", {}),
        ("DELETE", "/Observation/{id}", {}),
        ("DELETE", "/Observation/{id}", {"headers": {"if-match": '"1"'}}),
        ("PUT", "/Observation/{id}", {"json": True}),
        ("PUT", "/Observation/{id}", {"json": True, "headers": {"if-match": '"1"'}}),
        ("PUT", "/Observation/{id}", {"json": True, "headers": {"if-none-match": "*"}}),
        ("PUT", "/Observation/{id}", {"json": False}),
    ],
)
@pytest.mark.parametrize("hidden", [f"{OTHER}-o", f"{OTHER}-gone"])
async def test_hidden_and_absent_are_one(
    gated: Server, her: dict[str, str], method: str, path: str, options: dict[str, Any], hidden: str
) -> None:
    absent = "gated-absent-x"[: len(hidden)].ljust(len(hidden), "x")
    answers = []
    for id in (hidden, absent):
        sent: dict[str, Any] = {"headers": {**her, **options.get("headers", {})}}
        if "json" in options:
            sent["json"] = observation(id, OWN if options["json"] else OTHER)
        answers.append(shown(await gated(method, path.format(id=id), **sent), id))
    assert answers[0] == answers[1]
    assert b"CANARY" not in answers[0][1]


async def test_what_is_hers_is_there(gated: Server, her: dict[str, str]) -> None:
    assert (await gated("GET", f"/Observation/{OWN}-o", headers=her)).status_code == 200
    assert (await gated("GET", f"/Observation/{OWN}-gone", headers=her)).status_code == 410
    assert (await gated("GET", f"/Observation/{OWN}-o/_history", headers=her)).json()["total"] == 2
    found = (await gated("GET", "/Observation?_total=accurate", headers=her)).json()
    assert {entry["resource"]["subject"]["reference"] for entry in found["entry"]} == {f"Patient/{OWN}"}
    assert found["total"] == len(found["entry"])
    compartment = (await gated("GET", f"/Patient/{OTHER}/Observation", headers=her)).json()
    assert "entry" not in compartment


async def test_a_cursor_of_one_caller_opens_nothing_for_another(gated: Server, her: dict[str, str]) -> None:
    path = "/Observation?_count=1"
    for id in ("c1", "c2"):
        body = observation(id, OWN)
        del body["id"]
        assert (await gated("POST", "/Observation", headers=her, json=body)).status_code == 201
    bundle = (await gated("GET", path, headers=her)).json()
    following = next(link["url"] for link in bundle["link"] if link["relation"] == "next")
    assert (await gated.client.get(following, headers=her)).status_code == 200
    him = await headers(gated, user=f"Patient/{OTHER}", scope="patient/*.cruds", patient=OTHER)
    assert (await gated.client.get(following, headers=him)).status_code == 400
    again = await headers(gated, user=f"Patient/{OWN}", scope="patient/*.cruds", patient=OWN, client="another")
    assert (await gated.client.get(following, headers=again)).status_code == 400


async def test_metrics_are_for_a_system_token_from_anywhere(gated: Server) -> None:
    transport = httpx.ASGITransport(gated.application, client=("192.0.2.7", 1))  # type: ignore[arg-type]
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8000") as client:
        system = await headers(gated, user="Device/d", scope="system/*.rs")
        person = await headers(gated, user="Practitioner/p", scope="user/*.rs")
        assert (await client.get("/metrics", headers=system)).status_code == 200
        assert (await client.get("/metrics", headers=person)).status_code == 401
        assert (await client.get("/metrics")).status_code == 401


async def test_loopback_answers_under_each_of_its_names(gated: Server) -> None:
    assert (await gated("GET", "/metadata", headers={"host": "localhost:8000"})).status_code == 200
    assert (await gated("GET", "/metadata", headers={"host": "localhost.evil.example:8000"})).status_code == 421


async def test_a_header_sent_twice_is_one_list(gated: Server, her: dict[str, str]) -> None:
    """RFC 9110, 5.3: two tokens are no token, two hosts are not ours, two Accepts are read together."""
    path = f"/Observation/{OWN}-o"
    token = her["authorization"]
    table: list[tuple[list[tuple[str, str]], int]] = [
        ([("authorization", token), ("authorization", token)], 401),
        ([("authorization", token), ("host", "127.0.0.1:8000"), ("host", "127.0.0.1:8000")], 421),
        ([("authorization", token), ("accept", "text/html"), ("accept", "application/fhir+json")], 200),
        ([("authorization", token), ("if-none-match", 'W/"9"'), ("if-none-match", 'W/"2"')], 304),
    ]
    await gated("PUT", path, headers=her, json=observation(f"{OWN}-o", OWN))
    for sent, status in table:
        assert (sent, (await gated("GET", path, headers=sent)).status_code) == (sent, status)


async def test_an_update_keeps_the_labels_of_the_version_before(gated: Server) -> None:
    """Labels may be raised, never lowered."""
    system = "http://terminology.hl7.org/CodeSystem/v3-Confidentiality"
    sent = await headers(gated, user="Device/labels", scope="system/Observation.cru")
    body = observation("ignored", OWN)
    label = {"system": system, "code": "R"}
    made = (await gated("POST", "/Observation", headers=sent, json={**body, "meta": {"security": [label]}})).json()
    path = f"/Observation/{made['id']}"
    body["id"] = made["id"]
    kept = await gated("PUT", path, headers=sent, json=body)
    assert (kept.status_code, kept.json()["meta"]["security"]) == (200, [label])
    lower = {**body, "meta": {"security": [{"system": system, "code": "N"}]}}
    assert (await gated("PUT", path, headers=sent, json=lower)).status_code == 403
    higher = {**body, "meta": {"security": [{"system": system, "code": "V"}]}}
    assert (await gated("PUT", path, headers=sent, json=higher)).json()["meta"]["security"][0]["code"] == "V"
