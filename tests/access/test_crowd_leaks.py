"""However many hidden resources share, mention, match or are asked for beside what is visible: that stays as it is.

The bounds of the gate are small here, so that a few hidden resources are as many as thousands.

https://hl7.org/fhir/R4/security.html#access-denied
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from fhirserver.access import matching
from fhirserver.access.gate import weighing
from tests.access.conftest import World, consent, observation
from tests.access.test_records_of_others import Family, mentioning
from tests.access.test_records_of_others import family as family
from tests.access.worlds import found, told

PATCH = {"Content-Type": "application/json-patch+json"}


@pytest.fixture
def small(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A gate to which three are a crowd, and which cannot decide for everybody who permits the doctor."""
    services = world.gated.application.services
    assert services is not None
    monkeypatch.setattr(services.gate, "_max_owners", 2)
    monkeypatch.setattr(weighing, "_ROWS", 2)
    monkeypatch.setattr(matching, "CANDIDATES", 2)


def of_all(family: Family, name: str, *owners: str) -> dict[str, Any]:
    """An Account of several patients, with the identifier of this family."""
    subjects = [{"reference": f"Patient/{each}"} for each in owners]
    numbers = [{"system": "urn:crowd", "value": family.carl}]
    return {
        "resourceType": "Account",
        "id": family.id(name),
        "status": "active",
        "identifier": numbers,
        "subject": subjects,
    }


async def unchanged(asks: Callable[[], Awaitable[list[Any]]], hide: Callable[[], Awaitable[None]]) -> list[Any]:
    """What is answered, the same before and after the hidden ones are there."""
    before = await asks()
    await hide()
    after = await asks()
    assert [told(each) for each in before] == [told(each) for each in after]
    return after


@pytest.mark.usefixtures("small")
async def test_what_is_shared_with_many_who_do_not_permit(family: Family) -> None:
    """The attack: fill a record with what strangers share, so that what friends share is no longer asked about."""
    await family.put(of_all(family, "ours", family.carl, family.dora))
    path = f"/Account?patient={family.carl}&_total=accurate"

    async def asks() -> list[Any]:
        return [await family.asks(path), await family.asks(f"/Patient/{family.carl}/Account")]

    async def hide() -> None:
        for number in range(4):
            await family.put(of_all(family, f"aa{number}", family.carl, family.emil, f"{number}-{family.emil}"))

    for answer in await unchanged(asks, hide):
        assert found(answer) == [f"Account/{family.id('ours')}"]


@pytest.mark.usefixtures("small")
async def test_what_many_who_do_not_permit_say_of_her(family: Family) -> None:
    """The same for what mentions her."""
    await family.put(mentioning("Observation", family.id("doras"), family.dora, family.carl))

    async def asks() -> list[Any]:
        query = f"{{Patient(id:%22{family.carl}%22){{ObservationList(_reference:performer){{id}}}}}}"
        return [
            await family.asks(f"/Patient/{family.carl}/Observation?_total=accurate"),
            await family.asks(f"/$graphql?query={query}"),
        ]

    async def hide() -> None:
        for number in range(4):
            of_another = mentioning("Observation", family.id(f"aa{number}"), f"{number}-{family.emil}", family.carl)
            await family.put(of_another)

    answers = await unchanged(asks, hide)
    assert found(answers[0]) == [f"Observation/{family.id('doras')}"]


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("crowds", [1, 5])
async def test_what_is_asked_for_beside_one_of_a_great_many_patients(family: Family, crowds: int) -> None:
    """The attack: a criterion, or a list of ids, that a visible resource meets and one of a crowd meets too, perhaps; or several."""
    await family.put(of_all(family, "mine", family.carl))
    criteria = f"identifier=urn:crowd|{family.carl}"

    async def asks() -> list[Any]:
        world, token, test = family.world, family.token, [{"op": "test", "path": "/status", "value": "inactive"}]
        new = {**of_all(family, "x", family.carl), "status": "on-hold"}
        del new["id"]
        bundle = {
            "resourceType": "Bundle",
            "type": "transaction",
            "entry": [
                {"resource": new, "request": {"method": "POST", "url": "Account", "ifNoneExist": criteria}},
                {
                    "resource": {"resourceType": "Patient", "gender": 1},
                    "request": {"method": "POST", "url": "Patient"},
                },
            ],
        }
        return [
            await family.asks(f"/Account?_id={family.id('mine')},{family.id('crowd')}"),
            await world.asks(token, "PATCH", f"/Account?{criteria}", json=test, headers=PATCH),
            await world.asks(token, "DELETE", f"/Account?{criteria}", headers={"If-Match": 'W/"77"'}),
            await world.asks(token, "PUT", f"/Account?{criteria}", json=new, headers={"If-Match": 'W/"77"'}),
            await world.asks(token, "POST", "", json=bundle),
        ]

    async def hide() -> None:
        for each in range(crowds):
            crowd = of_all(family, f"crowd{each or ''}", *(f"{number}-{family.emil}" for number in range(5)))
            await family.put(crowd)

    answers = await unchanged(asks, hide)
    assert found(answers[0]) == [f"Account/{family.id('mine')}"]
    assert answers[1].status_code == 422


@pytest.mark.usefixtures("small")
async def test_old_versions_of_many_who_do_not_permit(family: Family) -> None:
    """Each version is shown where its own owner permits it, however many others the resource had."""
    id = family.id("moved")
    await family.put(observation(id, family.carl))
    for number in range(5):
        await family.put(observation(id, f"{number}-{family.emil}"))
    await family.put(observation(id, family.dora))
    history = (await family.asks(f"/Observation/{id}/_history")).json()
    assert [each["resource"]["meta"]["versionId"] for each in history["entry"]] == ["7", "1"]


async def test_a_flood_of_consents_hides_whose_they_are_alone(family: Family, monkeypatch: pytest.MonkeyPatch) -> None:
    """The attack: give so many Consents that nobody beside her can be decided upon any more."""
    monkeypatch.setattr(weighing, "MAX_RULES", 5)
    monkeypatch.setattr(weighing, "RULES_OF_ONE", 4)
    for name in (family.carl, family.dora):
        await family.put(observation(f"o-{name}", name))
    paths = [
        f"/Observation?patient={family.carl},{family.dora}",
        f"/Observation?_id=o-{family.carl},o-{family.dora}",
    ]
    for path in paths:
        assert len(found(await family.asks(path))) == 2
    for number in range(6):
        await family.put(consent(f"{number}-{family.dora}", family.dora, "Organization/elsewhere"))
    for path in paths:
        assert found(await family.asks(path)) == [f"Observation/o-{family.carl}"]
    assert (await family.asks(f"/Observation/o-{family.dora}")).status_code == 404


@pytest.mark.usefixtures("small")
async def test_a_binary_whose_context_is_visible_beside_many_that_are_not(family: Family) -> None:
    """The attack: give hidden Binaries the tag of a visible one, until its context is no longer looked at."""
    await family.put(observation(family.id("shown"), family.carl), observation(family.id("hidden"), family.emil))
    criteria = f"_tag=urn:crowd|{family.carl}"

    def binary(name: str, context: str) -> dict[str, Any]:
        return {
            "resourceType": "Binary",
            "id": family.id(name),
            "meta": {"tag": [{"system": "urn:crowd", "code": family.carl}]},
            "contentType": "text/plain",
            "securityContext": {"reference": f"Observation/{family.id(context)}"},
        }

    async def asks() -> list[Any]:
        matching = {"If-Match": 'W/"77"'}
        entries = [
            {"request": {"method": "DELETE", "url": f"Binary?{asked}", "ifMatch": 'W/"77"'}}
            for asked in (criteria, f"_id={family.id('mine')}")
        ]
        bundle = {"resourceType": "Bundle", "type": "transaction", "entry": entries}
        return [
            await family.world.asks(family.token, "DELETE", f"/Binary?{criteria}", headers=matching),
            await family.world.asks(family.token, "POST", "", json=bundle),
        ]

    async def hide() -> None:
        await family.put(*(binary(f"crowd{number}", "hidden") for number in range(4)))

    await family.put(binary("mine", "shown"))
    await unchanged(asks, hide)


@pytest.mark.usefixtures("small")
async def test_a_directory_entry_of_a_patient_beside_many_that_are_hidden(family: Family) -> None:
    """The same for what is a patient's though its type is everybody's: of these types a search past the bound shows less."""
    await family.put(consent(f"{family.emil}-x", family.emil, "Organization/clinic"))

    def schedule(name: str, *owners: str) -> dict[str, Any]:
        actors = [{"reference": f"Patient/{each}"} for each in owners]
        numbers = [{"system": "urn:crowd", "value": family.carl}]
        return {"resourceType": "Schedule", "id": family.id(name), "identifier": numbers, "actor": actors}

    async def asks() -> list[Any]:
        path = f"/Schedule?identifier=urn:crowd|{family.carl}"
        return [
            await family.world.asks(family.token, "PATCH", path, json=[], headers=PATCH),
            await family.world.asks(family.token, "DELETE", path, headers={"If-Match": 'W/"77"'}),
        ]

    async def hide() -> None:
        await family.put(*(schedule(f"crowd{number}", f"{number}-{family.emil}") for number in range(4)))

    await family.put(schedule("mine", family.carl))
    answers = await unchanged(asks, hide)
    assert answers[0].status_code in (403, 422)
