"""With the setting `referential_integrity`: a hidden target is an absent one, and a hidden reference holds nothing up.

SC-19.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from fhirserver.settings import Settings
from tests.access.conftest import World, observation
from tests.access.test_hidden_equals_absent import ABSENT, HIDDEN, filled, seen
from tests.integration.serving import serving

MISSING = ABSENT[: len(HIDDEN)]


@pytest.fixture(scope="module")
async def strict(world: World, _settings: Settings) -> AsyncIterator[World]:
    """The same world behind doors with the setting on."""
    settings = replace(_settings, referential_integrity=True)
    async with serving(settings) as open_door, serving(replace(settings, auth="smart")) as gated:
        yield World(open_door, gated)


def to(reference: str) -> dict[str, Any]:
    return {"reference": reference}


@pytest.mark.parametrize(
    "elements",
    [
        {"hasMember": [to("Observation/{id}")]},
        {"derivedFrom": [to("Observation/{id}/_history/1")]},
        {"focus": [to("Patient/{id}")]},
        {"extension": [{"url": "http://x.example", "valueReference": to("Observation/{id}")}]},
    ],
    ids=["a member", "a version", "a patient", "an extension"],
)
@pytest.mark.parametrize("who", ["doctor", "laboratory", "anna"])
async def test_a_reference_to_the_hidden_is_one_to_the_absent(
    strict: World, doctor: str, laboratory: str, anna: str, who: str, elements: dict[str, Any]
) -> None:
    """SC-19: the same refusal, in every byte."""
    token = {"doctor": doctor, "laboratory": laboratory, "anna": anna}[who]
    answers = []
    for id in (HIDDEN, MISSING):
        named = id.removesuffix("-0") if "focus" in elements else id
        sent = observation("x", "anna", **filled(elements, named))
        answers.append(seen(await strict.asks(token, "POST", "/Observation", json=sent), id))
    assert answers[0] == answers[1]
    assert answers[0][0] in (403, 422)


async def test_what_the_writer_sees_can_be_referred_to(strict: World, doctor: str) -> None:
    """And a test of the tests above: it is the target that they are refused for."""
    sent = observation("x", "anna", hasMember=[to("Observation/anna-0")])
    assert (await strict.asks(doctor, "POST", "/Observation", json=sent)).status_code == 201
    sent = observation("x", "anna", hasMember=[to(f"Observation/{HIDDEN}")])
    refused = await strict.asks(doctor, "POST", "/Observation", json=sent)
    assert refused.status_code == 422
    assert refused.json()["issue"][0]["diagnostics"] == "The resource refers to one that does not exist."


async def test_a_hidden_reference_does_not_hold_a_deletion_up(strict: World, stranger: str) -> None:
    """That somebody refers to it is as hidden as who refers to it."""
    answers = []
    for number in range(2):
        made = await strict.asks(
            stranger, "POST", "/Basic", json={"resourceType": "Basic", "id": "x", "code": {"text": "a"}}
        )
        assert made.status_code == 201, made.text
        id = made.json()["id"]
        if number:
            extension = [{"url": "http://x.example", "valueReference": to(f"Basic/{id}")}]
            await strict.open.put(observation("refers", "boris", extension=extension))
        answers.append(seen(await strict.asks(stranger, "DELETE", f"/Basic/{id}"), id))
    assert answers[0] == answers[1]
    assert answers[0][0] == 204


async def test_a_visible_reference_does(strict: World, stranger: str) -> None:
    one = await strict.asks(stranger, "POST", "/Basic", json={"resourceType": "Basic", "code": {"text": "a"}})
    subject = to(f"Basic/{one.json()['id']}")
    two = await strict.asks(
        stranger, "POST", "/Basic", json={"resourceType": "Basic", "code": {"text": "b"}, "subject": subject}
    )
    assert (await strict.asks(stranger, "DELETE", f"/Basic/{one.json()['id']}")).status_code == 409
    assert (await strict.asks(stranger, "DELETE", f"/Basic/{two.json()['id']}")).status_code == 204
    assert (await strict.asks(stranger, "DELETE", f"/Basic/{one.json()['id']}")).status_code == 204
