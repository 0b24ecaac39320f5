"""Scopes, principals and tokens: what may be issued, and what it then allows.

https://hl7.org/fhir/smart-app-launch/scopes-and-launch-context.html
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhirserver.access.bearer import Grant, issue_token, principal_for, revoke_token
from fhirserver.access.principal import OPEN, InvalidPrincipal, Kind, Principal, allows, may_create_at
from fhirserver.access.scopes import InvalidScope, Scope, names, parse_scopes, reaches
from fhirserver.model.outcome import Unauthenticated

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)

READABLE = {
    "user/Observation.rs": (Scope("user", "Observation", "rs"),),
    "patient/*.cruds": (Scope("patient", "*", "cruds"),),
    "system/Slot.read": (Scope("system", "Slot", "rs"),),
    "system/Slot.write": (Scope("system", "Slot", "cud"),),
    "user/*.*": (Scope("user", "*", "cruds"),),
    "user/Slot.c user/Slot.d": (Scope("user", "Slot", "c"), Scope("user", "Slot", "d")),
    "openid fhirUser launch/patient offline_access user/Slot.r": (Scope("user", "Slot", "r"),),
    "openid": (),
    "": (),
}


@pytest.mark.parametrize("text", READABLE)
def test_scopes_that_can_be_read(text: str) -> None:
    assert parse_scopes(text) == READABLE[text]


@pytest.mark.parametrize(
    "text",
    [
        "user/Observation",
        "user/Observation.",
        "user/Observation.sr",
        "user/Observation.rr",
        "user/Observation.x",
        "user/Observation.rs?category=laboratory",
        "user/observation.rs",
        "user/Wardrobe.rs",
        "user/Parameters.rs",
        "users/Observation.rs",
        "User/Observation.rs",
        "user/Observation.Read",
        "user/Observation.readwrite",
        "user/**.rs",
        "*/*.rs",
        "user/Slot.r patient/Slot.r",
        "system/Slot.r user/Slot.r",
    ],
)
def test_scopes_that_are_refused(text: str) -> None:
    with pytest.raises(InvalidScope):
        parse_scopes(text)


def test_a_star_reaches_every_type_and_names_none() -> None:
    star, named = parse_scopes("system/*.cruds"), parse_scopes("system/Consent.c system/Observation.r")
    assert reaches(star, "Consent", "c")
    assert not names(star, "Consent", "c")
    assert names(named, "Consent", "c")
    assert not names(named, "Consent", "u")
    assert not reaches(named, "Observation", "c")


@given(st.text(max_size=40))
def test_whatever_is_sent_as_scopes_is_read_or_refused(text: str) -> None:
    with contextlib.suppress(InvalidScope):
        parse_scopes(text)


def principal(user: str, scope: str = "", **more: Any) -> Principal:
    return Principal(user, "client", parse_scopes(scope), **more)


@pytest.mark.parametrize(
    ("user", "scope", "more", "kind"),
    [
        ("Patient/a", "user/*.rs", {}, Kind.PATIENT),
        ("Patient/a", "patient/*.rs", {"patient": "a"}, Kind.PATIENT),
        ("Practitioner/d", "user/*.rs", {"role": "PractitionerRole/r"}, Kind.PRACTITIONER),
        ("Practitioner/d", "patient/*.rs", {"patient": "a"}, Kind.PRACTITIONER),
        ("PractitionerRole/r", "user/*.rs", {}, Kind.PRACTITIONER),
        ("PractitionerRole/r", "user/*.rs", {"role": "PractitionerRole/r"}, Kind.PRACTITIONER),
        ("Organization/o", "system/*.cruds", {}, Kind.SYSTEM),
        ("Device/x", "system/Observation.c", {}, Kind.SYSTEM),
    ],
)
def test_who_may_be_a_principal(user: str, scope: str, more: dict[str, Any], kind: Kind) -> None:
    assert principal(user, scope, **more).kind is kind


@pytest.mark.parametrize(
    ("user", "scope", "more"),
    [
        ("RelatedPerson/r", "user/*.rs", {}),
        ("Person/p", "user/*.rs", {}),
        ("operator", "user/*.rs", {}),
        ("Patient/", "user/*.rs", {}),
        ("Patient/a/_history/1", "user/*.rs", {}),
        ("https://x.example/Patient/a", "user/*.rs", {}),
        ("Patient/a\n", "user/*.rs", {}),
        ("Patient/a", "patient/*.rs", {}),
        ("Patient/a", "patient/*.rs", {"patient": "a/b"}),
        ("Patient/a", "system/*.rs", {}),
        ("Practitioner/d", "system/*.rs", {}),
        ("Organization/o", "user/*.rs", {}),
        ("Organization/o", "patient/*.rs", {"patient": "a"}),
        ("Device/x", "user/*.rs", {}),
        ("Patient/a", "user/*.rs", {"role": "PractitionerRole/r"}),
        ("Organization/o", "system/*.rs", {"role": "PractitionerRole/r"}),
        ("Practitioner/d", "user/*.rs", {"role": "Practitioner/d"}),
        ("Practitioner/d", "user/*.rs", {"role": "r"}),
        ("PractitionerRole/r", "user/*.rs", {"role": "PractitionerRole/s"}),
    ],
)
def test_who_may_not(user: str, scope: str, more: dict[str, Any]) -> None:
    with pytest.raises(InvalidPrincipal):
        principal(user, scope, **more)


@pytest.mark.parametrize(
    ("interaction", "letters"),
    [
        ("read", "r"),
        ("vread", "r"),
        ("history-instance", "r"),
        ("search-type", "s"),
        ("create", "c"),
        ("update", "u"),
        ("delete", "d"),
    ],
)
def test_each_interaction_has_its_letter(interaction: str, letters: str) -> None:
    for letter in "cruds":
        assert allows(principal("Practitioner/d", f"user/Slot.{letter}"), "Slot", interaction) is (letter in letters)


def test_an_interaction_that_nobody_knows_is_allowed_to_nobody() -> None:
    assert not allows(principal("Practitioner/d", "user/*.cruds"), "Slot", "expunge")


def test_assigning_ids_needs_the_letter_for_creating() -> None:
    assert may_create_at(principal("Organization/o", "system/Slot.cu", may_assign_ids=True), "Slot")
    assert not may_create_at(principal("Organization/o", "system/Slot.u", may_assign_ids=True), "Slot")
    assert not may_create_at(principal("Organization/o", "system/Slot.cu"), "Slot")
    assert may_create_at(OPEN, "Slot")


def test_what_is_written_bears_the_user_and_not_what_the_resource_says() -> None:
    by = principal("Practitioner/d", "user/*.rs").by("request-1")
    assert (by.request, by.principal, by.client) == ("request-1", "Practitioner/d", "client")


class Rows:
    """Rows in a dictionary."""

    def __init__(self) -> None:
        self.rows: dict[str, dict[str, Any]] = {}

    async def get(self, key: str) -> dict[str, Any] | None:
        return self.rows.get(key)

    async def put(self, document: Mapping[str, Any]) -> None:
        self.rows[document["_id"]] = dict(document)

    async def delete(self, key: str) -> bool:
        return self.rows.pop(key, None) is not None


async def issue(rows: Rows, **changes: Any) -> str:
    given: dict[str, Any] = {
        "user": "Practitioner/d",
        "scope": "user/*.rs",
        "role": "PractitionerRole/r",
        "client": "app",
        "purpose": "TREAT",
        "patient": None,
        "may": frozenset({"assign-ids"}),
    }
    minutes, now = changes.pop("minutes", 5), changes.pop("now", NOW)
    return await issue_token(rows, Grant(**(given | changes)), minutes=minutes, now=now)


async def test_a_token_becomes_the_principal_it_was_issued_for() -> None:
    rows = Rows()
    found = await principal_for(rows, await issue(rows), NOW)
    assert found == Principal(
        "Practitioner/d", "app", parse_scopes("user/*.rs"), "PractitionerRole/r", None, "TREAT", may_assign_ids=True
    )


async def test_only_the_hash_of_a_token_is_kept() -> None:
    rows = Rows()
    token = await issue(rows)
    assert token not in repr(rows.rows)
    assert len(token) >= 43
    assert token != await issue(rows)


async def test_a_token_does_not_count_when_unknown_expired_or_taken_away() -> None:
    rows = Rows()
    token = await issue(rows)
    assert await principal_for(rows, token, NOW + timedelta(minutes=4, seconds=59))
    for wrong, when in ((token + "x", NOW), ("", NOW), ("\ud800", NOW), (token, NOW + timedelta(minutes=5))):
        with pytest.raises(Unauthenticated) as refused:
            await principal_for(rows, wrong, when)
        assert refused.value.token_sent
    assert await revoke_token(rows, token)
    with pytest.raises(Unauthenticated):
        await principal_for(rows, token, NOW)


@pytest.mark.parametrize(
    "changes",
    [
        {"user": "Patient"},
        {"scope": "user/*.rs system/*.rs"},
        {"scope": None},
        {"may": ["everything"]},
        {"may": None},
        {"expires": "never"},
        {"expires": None},
        {"role": "x"},
        {"user": None},
    ],
)
async def test_a_row_that_cannot_be_read_is_no_token(changes: dict[str, Any]) -> None:
    rows = Rows()
    token = await issue(rows)
    for row in rows.rows.values():
        row.update(changes)
    with pytest.raises(Unauthenticated):
        await principal_for(rows, token, NOW)


@pytest.mark.parametrize(
    "changes",
    [
        {"minutes": 0},
        {"minutes": -1},
        {"minutes": 10**9},
        {"may": frozenset({"all"})},
        {"scope": "x"},
        {"user": "Group/g"},
    ],
)
async def test_what_cannot_be_issued_leaves_no_row(changes: dict[str, Any]) -> None:
    rows = Rows()
    with pytest.raises(ValueError):
        await issue(rows, **changes)
    assert rows.rows == {}


async def test_a_naive_expiry_is_utc() -> None:
    rows = Rows()
    token = await issue(rows)
    for row in rows.rows.values():
        row["expires"] = row["expires"].replace(tzinfo=None)
    assert await principal_for(rows, token, NOW)
