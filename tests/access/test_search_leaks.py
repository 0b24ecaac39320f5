"""Searches that reach further than their own type tell nothing of what is hidden: chains, `_has`, filters, lists, includes.

The oracle is the pair of worlds: what is asked gives the same bytes where the hidden records are and where they never were. First
what was thought of, by the rows of the design's matrix, then some hundreds of requests made up by chance.
"""

from __future__ import annotations

import random
import uuid
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from typing import Any

import pytest
from pymongo import MongoClient

from fhirserver.settings import Settings
from tests.access.conftest import World
from tests.access.worlds import NUMBER, found, hidden, pages, told, visible
from tests.integration.serving import serving


@dataclass(frozen=True)
class Worlds:
    """The world with the hidden records and the world without, and the tokens of three callers in each."""

    full: World
    bare: World
    tokens: dict[str, tuple[str, str]]

    async def same(self, who: str, path: str) -> int:
        """Ask both worlds, page after page; the status of the first page."""
        full, bare = self.tokens[who]
        answers = await pages(self.full, full, path), await pages(self.bare, bare, path)
        assert answers[0] == answers[1], path
        return answers[0][0][0]


@pytest.fixture(scope="module")
async def worlds(mongo_url: str) -> AsyncIterator[Worlds]:
    client: MongoClient[dict[str, Any]] = MongoClient(mongo_url)
    async with AsyncExitStack() as stack:
        stack.callback(client.close)
        full = await _world(stack, client, mongo_url, (*visible(), *hidden()))
        bare = await _world(stack, client, mongo_url, visible())
        tokens = {
            "doctor": ("Practitioner/doctor", "user/*.cruds", {"role": "PractitionerRole/doctor"}),
            "anna": ("Patient/anna", "patient/*.rs", {"patient": "anna"}),
            "laboratory": ("Organization/laboratory", "system/*.rs", {}),
            "narrow": (
                "Practitioner/doctor",
                "user/Patient.rs user/Organization.rs",
                {"role": "PractitionerRole/doctor"},
            ),
        }
        issued = {
            name: (await full.token(user, scope, **more), await bare.token(user, scope, **more))
            for name, (user, scope, more) in tokens.items()
        }
        yield Worlds(full, bare, issued)


async def _world(
    stack: AsyncExitStack, client: MongoClient[dict[str, Any]], mongo_url: str, records: Iterable[dict[str, Any]]
) -> World:
    database = f"worlds{uuid.uuid4().hex[:12]}"
    stack.callback(client.drop_database, database)
    settings = Settings(mongo_url, database=database, auth="none", log_requests=False)
    open_door = await stack.enter_async_context(serving(settings))
    gated = await stack.enter_async_context(serving(replace(settings, auth="smart")))
    for record in records:
        await open_door.put(record)
    return World(open_door, gated)


# What was thought of

CASES = {
    "SC-06": [
        "/DiagnosticReport?_include=DiagnosticReport:result",
        "/DiagnosticReport?_include=*",
        "/DiagnosticReport?_id=anna-report&_include=DiagnosticReport:*&_include:iterate=Observation:*",
        "/Observation?_include:iterate=Observation:has-member&_include:iterate=Observation:performer",
        "/Patient?_include=Patient:link&_include=Patient:general-practitioner",
        "/DiagnosticReport?_id=anna-report&_include:iterate=*",
    ],
    "SC-07": [
        "/Patient?_id=anna&_revinclude=Observation:subject",
        "/Patient?_id=anna&_revinclude=Patient:link&_revinclude:iterate=Observation:patient",
        "/Observation?_id=anna-0&_revinclude=Observation:has-member&_revinclude=DiagnosticReport:result",
        "/Organization?_id=clinic&_revinclude=Patient:organization&_revinclude:iterate=Observation:*",
        "/Practitioner?_id=surgeon&_revinclude=Observation:performer&_revinclude=Provenance:*&_revinclude=List:item",
        "/Patient?_revinclude=Group:member&_revinclude=List:*",
        "/Patient?_id=anna&_revinclude=*",
        "/Observation?_id=anna-0&_revinclude=*",
        "/Organization?_id=clinic&_revinclude:iterate=*",
        "/Practitioner?_id=surgeon&_revinclude:iterate=*&_include:iterate=*",
    ],
    "SC-08": [
        "/Patient?_has:Observation:patient:code=718-7",
        "/Patient?_has:Condition:patient:code=urn:icd|B20",
        "/Practitioner?_has:Observation:performer:code=718-7",
        "/Practitioner?_has:Patient:general-practitioner:name=Godunov",
        "/Practitioner?_has:Provenance:agent:_id=boris-made",
        "/Organization?_has:Patient:organization:birthdate=1970-01-01",
        "/Organization?_has:Patient:organization:_has:Condition:patient:code=B20",
        "/Observation?_has:Observation:has-member:_id=boris-panel",
        "/Observation?_has:List:item:_id=secret",
        "/Patient?_has:Group:member:_id=secret&_total=accurate",
        "/Practitioner?_has:Observation:performer:patient.name=Godunov",
    ],
    "SC-10": [
        "/Observation?subject:Patient.name=Godunov",
        "/Observation?subject.name=Karenina",
        "/Observation?patient.organization.name=Clinic",
        "/Observation?performer:Patient.name=Godunov",
        "/Observation?focus:Patient.birthdate=1970-01-01",
        "/Patient?link.name=Godunov",
        "/Patient?link:Patient.link:Patient._id=anna",
        "/Patient?link:Patient.gender:not=male",
        "/Patient?link:Patient.name:missing=false",
        "/Patient?link:Patient._has:Observation:patient:code=718-7",
        "/DiagnosticReport?result:Observation.code=718-7",
        "/DiagnosticReport?result.performer:Patient.name=Godunov",
        f"/Observation?subject:Patient.identifier={NUMBER}|2",
    ],
    "SC-30": [
        "/Patient/anna/Observation?performer:Patient.name=Godunov",
        "/Patient/anna/Observation?has-member.subject:Patient.name=Godunov&_total=accurate",
        "/Patient/boris/Observation?subject:Patient.name=Godunov",
        "/Practitioner/surgeon/Observation?patient.name=Godunov&_include=*",
        "/Practitioner/surgeon/Patient?_has:Observation:patient:code=718-7",
        "/Encounter/boris-visit/Observation?subject.name=Godunov",
        "/Patient/anna/*?_count=5",
        "/Patient/boris/*?_total=accurate",
        "/Practitioner/surgeon/*?_id=anna-0,boris-0&_sort=-_lastUpdated",
    ],
    "SC-11": [
        *(f"/DiagnosticReport?result.value-quantity={each}" for each in ("gt7", "7.2", "gt300", "lt7", "ne118")),
        *(f"/Patient?_has:Observation:patient:value-quantity={each}" for each in ("gt300", "7.2", "lt5")),
        "/Observation?has-member.value-quantity=7.2",
        '/Patient?_filter=link.name co "godunov"',
        '/Patient?_filter=not (link.name co "godunov")',
        "/Patient?_filter=link pr true",
        '/Patient?_filter=link[name sw "god"].gender eq male',
        '/Observation?_filter=has-member.subject.name eq "godunov" or performer.name eq "x"',
        "/DiagnosticReport?_filter=not (result.value-quantity gt 300)",
        "/Patient?_has:Observation:patient:code-value-quantity=718-7$500",
        "/DiagnosticReport?result.code-value-quantity=718-7$7.2",
    ],
    "SC-32": [
        "/Patient?_list=secret",
        "/Observation?_list=secret&_summary=count",
        "/Practitioner?_list=secret",
        "/Practitioner?_list=absent",
        "?_type=Patient,Observation,Practitioner&_list=secret&_total=accurate",
        "?_type=Patient,Observation&_sort=-_lastUpdated&_count=2",
        "?_type=List,Group,Condition,Provenance,Patient&_count=1",
        "?_list=secret&_total=accurate",
        "?_id=anna-0,boris-0,boris&_sort=_lastUpdated&_count=1",
        "/Condition?_list=$current-problems&_total=accurate",
        "/Condition?patient=boris&_list=$current-problems",
        "/Patient?_has:Condition:patient:_list=$current-problems",
    ],
    "SC-36": [
        "/Patient?link.name=Godunov&_elements=name",
        "/Practitioner?_has:Observation:performer:code=718-7&_summary=text",
        "/Practitioner?_has:Observation:performer:code=718-7&_format=xml",
        "/Observation?subject.name=Karenina&_count=1&_format=xml",
    ],
    "SC-40": [
        "/Observation?subject.name=Karenina&_sort=-date&_count=1",
        "/Observation?subject.name=Karenina&_sort=subject&_count=2",
        "/Practitioner?_has:Observation:performer:code=718-7&_sort=nonsense",
        "/Patient?_has:Observation:patient:code=718-7&_sort=-_lastUpdated&_total=accurate&_count=1",
        "/Patient?link.nonsense=x",
        "/Patient?link:Practitioner.name=x",
    ],
}


@pytest.mark.parametrize("row", CASES)
async def test_what_is_hidden_changes_no_byte(worlds: Worlds, row: str) -> None:
    """By the rows of the matrix of leaks."""
    for who in ("doctor", "anna", "laboratory"):
        for path in CASES[row]:
            assert await worlds.same(who, path) in (200, 400), path


async def test_the_cases_find_what_is_visible_and_would_find_what_is_hidden(worlds: Worlds) -> None:
    """A case that finds nothing in either world for the operator would prove nothing."""
    bearer = worlds.tokens["doctor"][0]
    assert found(await worlds.full.asks(bearer, "GET", "/Observation?patient.organization.name=Clinic&_sort=date")) == [
        *(f"Observation/anna-{number}" for number in range(3)),
        "Observation/anna-panel",
    ]
    for path in (path for paths in CASES.values() for path in paths if "nonsense" not in path and "xml" not in path):
        if "_list=absent" in path or "link:Practitioner" in path:
            continue
        seen = await worlds.full.open("GET", path)
        assert seen.status_code == 200, (path, seen.text)
        is_found = "entry" in seen.json() or seen.json().get("total", 0) > 0
        assert is_found or "lt7" in path or "not (result" in path, path


CRITERIA = [
    "/Observation?subject:Patient.name=Godunov",
    "/Observation?_has:List:item:_id=secret&_id=boris-0",
    "/Observation?_filter=subject.birthdate lt 1975",
    "/Condition?patient.identifier=urn:oid:1.2.643.100.3|2",
    "/Observation?_list=secret&patient._id=boris",
]


@pytest.mark.parametrize("path", CRITERIA)
async def test_criteria_that_lead_through_what_is_hidden_find_nothing(worlds: Worlds, path: str) -> None:
    """SC-18: as zero matches, and nothing is done to what is hidden."""
    patch = {"json": [], "headers": {"Content-Type": "application/json-patch+json"}}
    for who in ("doctor", "laboratory"):
        for method, options in (("DELETE", {}), ("PATCH", patch)):
            full, bare = worlds.tokens[who]
            answers = [
                told(await world.asks(token, method, path, **options))
                for world, token in ((worlds.full, full), (worlds.bare, bare))
            ]
            assert answers[0] == answers[1]
    assert (await worlds.full.open("GET", "/Observation/boris-0")).status_code == 200
    assert (await worlds.full.open("GET", "/Condition/boris-ill")).status_code == 200


# What the token rules out

BEYOND = [
    "/Patient?_has:Observation:patient:code={}",
    "/Patient?_has:Observation:patient:code:not={}",
    "/Organization?_filter=endpoint.name eq {}",
    "/Patient?general-practitioner:Practitioner.name={}",
    "/Patient?organization._has:PractitionerRole:organization:specialty={}",
    "/Patient?_list={}",
    "?_type=Patient,Observation&_id={}",
    "/Organization?_filter=not (partof._id eq x) and name eq y&_has:Location:organization:name={}",
]


@pytest.mark.parametrize("path", BEYOND)
async def test_a_step_through_a_type_out_of_reach_is_refused(
    worlds: Worlds, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SC-09: 403 for a value that is there and for one that is not, before any data is asked."""
    services = worlds.full.gated.application.services
    assert services is not None
    asked: list[str] = []
    real = services.store._mongo.find

    async def find(collection: str, query: Any) -> Any:
        asked.append(collection)
        return await real(collection, query)

    monkeypatch.setattr(services.store._mongo, "find", find)
    answers = [
        told(await worlds.full.asks(worlds.tokens["narrow"][0], "GET", path.format(value)))
        for value in ("true", "absent")
    ]
    assert [answer[0] for answer in answers] == [403, 403]
    assert answers[0][1] == answers[1][1]
    # The server's own rows are looked at behind every request.
    records = {each for each in asked if each[:1].isupper()}
    assert records <= {"PractitionerRole", "Organization", "Consent"}


async def test_of_an_ambiguous_step_the_reachable_types_count(worlds: Worlds) -> None:
    """`general-practitioner` points to an Organization too: the doctors are as if they were not there."""
    token = worlds.tokens["narrow"][0]
    answer = await worlds.full.asks(token, "GET", "/Patient?general-practitioner.name=Doctor")
    assert found(answer) == []
    reached = await worlds.full.asks(token, "GET", "/Patient?organization.name=Clinic")
    assert found(reached) == ["Patient/anna"]


@pytest.mark.parametrize("scope", ["user/Patient.rs user/Observation.s", "user/Patient.rs user/Observation.r"])
async def test_a_step_needs_to_be_read_and_searched(worlds: Worlds, scope: str) -> None:
    """Its finding is a search, and what it finds has to be readable like whatever comes along."""
    token = await worlds.full.token("Practitioner/doctor", scope, role="PractitionerRole/doctor")
    answer = await worlds.full.asks(token, "GET", "/Patient?_has:Observation:patient:code=718-7")
    assert answer.status_code == 403


# What the gate could not decide for


@pytest.mark.parametrize(
    "path",
    [
        "/Observation?patient=anna&subject:Patient.name=Karenina",
        "/Observation?patient=anna&_filter=not (subject.name eq karenina)",
        "/Practitioner?_has:Observation:performer:code=718-7",
        "/Practitioner?_filter=not (_id eq x)&_has:Patient:general-practitioner:_id=anna",
        "/Patient?_list=secret",
        "?_type=Practitioner,Organization&_has:Patient:general-practitioner:_id=anna",
    ],
)
async def test_a_search_that_the_gate_narrowed_follows_nothing(
    worlds: Worlds, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Less would be found, or under `not` more, and nobody told."""
    services = worlds.full.gated.application.services
    assert services is not None
    monkeypatch.setattr(services.gate, "_max_owners", 0)
    answer = await worlds.full.asks(worlds.tokens["doctor"][0], "GET", path)
    assert (answer.status_code, answer.json()["issue"][0]["code"]) in [(400, "too-costly"), (400, "not-supported")]
    plain = await worlds.full.asks(worlds.tokens["doctor"][0], "GET", "/Practitioner?name=Doctor")
    assert plain.status_code == 200


# By chance


class Chance:
    """Makes up searches out of everything that reaches further than its type, with values of both worlds."""

    TYPES = ("Patient", "Observation", "DiagnosticReport", "Encounter", "Practitioner", "Organization", "List", "Group")
    FORWARD = (
        ("Observation", "subject:Patient", "Patient"),
        ("Observation", "patient", "Patient"),
        ("Observation", "performer", ""),
        ("Observation", "has-member:Observation", "Observation"),
        ("DiagnosticReport", "result", "Observation"),
        ("DiagnosticReport", "patient", "Patient"),
        ("Encounter", "participant:Practitioner", "Practitioner"),
        ("Encounter", "patient", "Patient"),
        ("Patient", "link:Patient", "Patient"),
        ("Patient", "organization", "Organization"),
        ("Patient", "general-practitioner:Practitioner", "Practitioner"),
        ("Organization", "partof", "Organization"),
        ("List", "item:Patient", "Patient"),
    )
    PLAIN = (
        ("Patient", "name", ("Karenina", "Godunov", "Anna", "B")),
        ("Patient", "gender", ("male", "female")),
        ("Patient", "birthdate", ("1970-01-01", "lt1975", "ge1980")),
        ("Patient", "identifier", (f"{NUMBER}|1", f"{NUMBER}|2")),
        ("Observation", "code", ("718-7", "http://loinc.org|718-7", "x")),
        ("Observation", "value-quantity", ("7.2", "gt100", "gt300", "118")),
        ("Observation", "date", ("2026-01-01", "gt2026-01-05", "lt2026-01-03")),
        ("DiagnosticReport", "code", ("58410-2", "x")),
        ("Encounter", "date", ("2026-01-02", "2026-01-03")),
        ("Practitioner", "name", ("Doctor", "Surgeon")),
        ("Organization", "name", ("Clinic", "Laboratory", "Trust")),
        ("List", "title", ("secret",)),
        ("Group", "type", ("person",)),
    )
    IDS = ("anna", "boris", "anna-0", "boris-0", "boris-panel", "both-0", "surgeon", "secret", "clinic", "absent")
    MORE = (
        *("_total=accurate", "_summary=count", "_sort=-_lastUpdated", "_sort=_id", "_count=1", "_count=2", "_count=3"),
        *("_include=*", "_include:iterate=*", "_elements=id", "_sort=-_id&_count=2"),
    )

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def path(self) -> str:
        """A search."""
        if self._random.random() < 0.1:
            types = ",".join(self._random.sample(self.TYPES[:6], 3))
            return f"?_type={types}&{self._common()}&{self._random.choice(self.MORE[:7])}"
        resource_type = self._random.choice(self.TYPES[:6])
        asked = [self._criterion(resource_type, 0) for _ in range(self._random.choice((1, 1, 2)))]
        if self._random.random() < 0.3:
            asked.append(f"_filter={self._filter(resource_type, 0)}")
        if self._random.random() < 0.6:
            asked.append(self._random.choice(self.MORE))
        if self._random.random() < 0.2:
            whatever = self._random.choice(("Observation:*", "Observation:*", "*"))
            asked.append(f"_revinclude{self._random.choice(('', ':iterate'))}={whatever}")
        return f"/{resource_type}?{'&'.join(asked)}"

    def _common(self) -> str:
        return self._random.choice((f"_id={self._ids()}", f"_list={self._ids()}", f"_has:List:item:_id={self._ids()}"))

    def _ids(self) -> str:
        return ",".join(self._random.sample(self.IDS, 2))

    def _criterion(self, resource_type: str, depth: int) -> str:
        chance = self._random.random()
        forward = [each for each in self.FORWARD if each[0] == resource_type and each[2]]
        backward = [each for each in self.FORWARD if each[2] == resource_type]
        if depth < 2 and chance < 0.35 and forward:
            _, code, target = self._random.choice(forward)
            return f"{code}.{self._criterion(target, depth + 1)}"
        if depth < 2 and chance < 0.7 and backward:
            source, code, _ = self._random.choice(backward)
            return f"_has:{source}:{code.partition(':')[0]}:{self._criterion(source, depth + 1)}"
        if chance < 0.8:
            return self._common()
        plain = [each for each in self.PLAIN if each[0] == resource_type]
        if not plain:
            return f"_id={self._ids()}"
        _, code, values = self._random.choice(plain)
        if self._random.random() < 0.15:
            return f"{code}:missing={self._random.choice(('true', 'false'))}"
        modifier = ":not" if code in ("gender", "code") and self._random.random() < 0.4 else ""
        return f"{code}{modifier}={self._random.choice(values)}"

    def _filter(self, resource_type: str, depth: int) -> str:
        forward = [each for each in self.FORWARD if each[0] == resource_type and each[2]]
        chance = self._random.random()
        if depth < 2 and chance < 0.3:
            return f"not ({self._filter(resource_type, depth + 1)})"
        if depth < 2 and chance < 0.5:
            word = self._random.choice(("and", "or"))
            return f"({self._filter(resource_type, depth + 1)}) {word} ({self._filter(resource_type, depth + 1)})"
        if chance < 0.9 and forward:
            _, code, target = self._random.choice(forward)
            return f"{code.partition(':')[0]}.{self._comparison(target)}"
        return self._comparison(resource_type)

    def _comparison(self, resource_type: str) -> str:
        names = {"Patient", "Practitioner", "Organization"}
        choices = [f"_id eq {self._random.choice(self.IDS)}"]
        if resource_type in names:
            operator = self._random.choice(("eq", "ne", "co", "sw", "ew"))
            choices.append(f"name {operator} {self._random.choice(('karenina', 'god', 'doctor', 'clinic'))}")
        if resource_type == "Observation":
            choices.append(f"value-quantity {self._random.choice(('gt', 'lt'))} {self._random.choice((7, 300))}")
        if resource_type == "Patient":
            choices.append(f"gender {self._random.choice(('eq', 'ne'))} male")
        return self._random.choice(choices)


def test_chance_reaches_far() -> None:
    """What is made up holds chains, reverse chains, filters and lists in good number."""
    made = [Chance(seed).path() for seed in range(200)]
    for part in ("_has:", ".name", "_filter=", "_list=", "_type=", "not (", "_revinclude", ":not=", "_include=*"):
        assert sum(part in each for each in made) >= 5, part


def _searches(seeds: range) -> Iterator[tuple[str, str]]:
    for seed in seeds:
        yield ("doctor", "doctor", "anna", "laboratory")[seed % 4], Chance(seed).path()


async def test_two_worlds_are_one_to_who_may_not_see_the_difference(worlds: Worlds) -> None:
    """SC-46 for searches: a few hundred made-up ones."""
    statuses = [await worlds.same(who, path) for who, path in _searches(range(240))]
    assert statuses.count(200) > len(statuses) // 2


@pytest.mark.slow
async def test_two_worlds_are_one_for_thousands_of_searches(worlds: Worlds) -> None:
    """The same, for longer."""
    for who, path in _searches(range(1_000, 4_000)):
        await worlds.same(who, path)


async def test_a_page_of_everything_is_good_for_the_types_that_the_token_reached(worlds: Worlds) -> None:
    """SC-09: two tokens of one doctor that reach different types."""
    wide, narrow = worlds.tokens["doctor"][0], worlds.tokens["narrow"][0]
    for one, other in ((wide, narrow), (narrow, wide)):
        first = await worlds.full.asks(one, "GET", "?_count=1")
        following = next(each["url"] for each in first.json()["link"] if each["relation"] == "next").partition("/fhir")[
            2
        ]
        assert (await worlds.full.asks(one, "GET", following)).status_code == 200
        assert (await worlds.full.asks(other, "GET", following)).status_code == 400
    types = {
        each["resource"]["resourceType"]
        for each in (await worlds.full.asks(narrow, "GET", "?_count=50")).json()["entry"]
    }
    assert types <= {"Patient", "Organization"}
