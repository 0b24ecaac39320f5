"""What is of one patient's record does not refer to what is of another's: WG-05.

Judged of what the sender itself writes, and, with the setting `referential_integrity`, of what it sees; a target that is hidden
is never told from one that is absent.
"""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.access.conftest import World, observation
from tests.access.test_exchange_leaks import bundle, entry, patch
from tests.access.test_referential_integrity import strict, to

__all__ = ["strict"]

ONE, TWO = (f"urn:uuid:00000000-0000-4000-8000-00000000000{number}" for number in (1, 2))
SENTENCE = "The resource is of one patient's record, and refers to a resource of another patient's."


def made(patient: str, url: str, **elements: Any) -> dict[str, Any]:
    resource = {name: value for name, value in observation("x", patient, **elements).items() if name != "id"}
    return {"fullUrl": url, **entry("POST", "Observation", resource)}


async def sender(of: World) -> str:
    """A laboratory that may write for every patient."""
    return await of.token("Organization/laboratory", "system/Observation.crus system/Encounter.crus")


def judged(answer: httpx.Response) -> tuple[int, Any, Any]:
    if answer.status_code == 200:
        return 200, None, None
    [issue] = answer.json()["issue"]
    return answer.status_code, issue["expression"], issue["diagnostics"]


@pytest.mark.parametrize(
    ("second", "is_refused"),
    [
        (made("boris", TWO, hasMember=[to(ONE)]), True),
        (made("boris", TWO, extension=[{"url": "http://x.example", "valueReference": to(ONE)}]), True),
        (made("anna", TWO, hasMember=[to(ONE)]), False),
        (made("boris", TWO), False),
        # Of both records; and who only performed something is in no record by that.
        (made("boris", TWO, hasMember=[to(ONE)], focus=[to("Patient/anna")]), False),
        (made("boris", TWO, performer=[to("Patient/anna")]), False),
    ],
    ids=["a member", "an extension", "of the same", "no reference", "of both", "a performer"],
)
async def test_an_entry_for_one_patient_refers_to_one_for_another(
    world: World, second: dict[str, Any], is_refused: bool
) -> None:
    """WG-05: all of it is refused, and says which entry it is for."""
    token = await sender(world)
    wanted = (422, ["Bundle.entry[1]"], SENTENCE) if is_refused else (200, None, None)
    entries = bundle(made("anna", ONE), second)
    assert judged(await world.asks(token, "POST", "", json=entries)) == wanted
    # The operator's own data are taken as they are.
    assert (await world.open("POST", "", json=entries)).status_code == 200


async def test_a_patient_who_is_made_beside_it_may_have_performed_it(world: World) -> None:
    """WG-05: whom a resource names by the way is no part of its record, and is no target that could be of another's."""
    token = await world.token("Organization/registry", "system/Patient.crus system/Observation.crus")
    parent = {"fullUrl": ONE, **entry("POST", "Patient", {"resourceType": "Patient"})}
    entries = bundle(parent, made("boris", TWO, performer=[to(ONE)]))
    assert judged(await world.asks(token, "POST", "", json=entries)) == (200, None, None)


async def test_a_patch_does_not_get_round_it(world: World) -> None:
    """WG-05: it is the state after the patch that is judged."""
    token = await sender(world)
    mine = observation("x", "boris")
    stored = (await world.asks(token, "POST", "/Observation", json=mine)).json()
    there = (await world.asks(token, "POST", "/Observation", json=observation("x", "anna"))).json()
    change = [{"op": "add", "path": "/hasMember", "value": [to(f"Observation/{there['id']}")]}]
    entries = [entry("PATCH", f"Observation/{stored['id']}", patch(*change))]
    entries.append(entry("PUT", f"Observation/{there['id']}", {**there, "status": "amended"}))
    assert judged(await world.asks(token, "POST", "", json=bundle(*entries))) == (422, ["Bundle.entry[0]"], SENTENCE)


async def test_what_is_stored_and_hidden_is_no_oracle(world: World, doctor: str) -> None:
    """WG-05 beside SC-21: a reference to what is hidden, of whomever, is taken as one to nothing is."""
    answers = []
    for id in ("boris-0", "absent-0"):
        sent = bundle(made("anna", ONE, hasMember=[to(f"Observation/{id}")]))
        answers.append((await world.asks(doctor, "POST", "", json=sent)).status_code)
    assert answers == [200, 200]


async def test_with_integrity_what_the_writer_sees_is_judged_too(strict: World) -> None:
    """WG-05 with the setting on: by a create alone as well."""
    token = await strict.token("Organization/registry", "system/Patient.crus system/Observation.crus")
    she, he = [
        (await strict.asks(token, "POST", "/Patient", json={"resourceType": "Patient"})).json()["id"] for _ in range(2)
    ]
    hers = (await strict.asks(token, "POST", "/Observation", json=observation("x", she))).json()
    target = to(f"Observation/{hers['id']}")
    answers = [
        await strict.asks(token, "POST", "/Observation", json=observation("x", patient, hasMember=[target]))
        for patient in (she, he)
    ]
    assert [answer.status_code for answer in answers] == [201, 422]
    assert answers[1].json()["issue"][0]["diagnostics"] == SENTENCE
