"""What a Consent says, element by element.

https://hl7.org/fhir/R4/consent.html
"""

from __future__ import annotations

from datetime import UTC, timedelta, timezone, tzinfo
from typing import Any

import pytest

from fhirserver.access.security.consent import rule_of, verdict
from fhirserver.model.dates import interval
from tests.fakes.facts import BASE
from tests.fakes.records import ACCESS, PRIVACY, WITNESS, actor, consent, provision, reference

NOW = interval("2026-06-01T12:00:00Z")[0]
DOCTOR = "Practitioner/d"
HERSELF = frozenset((DOCTOR,))
OTHER = frozenset(("Practitioner/x",))
USE = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/consentaction", "code": "use"}]}


def says(*consents: dict[str, Any], to: frozenset[str] = HERSELF, now: int = NOW, zone: tzinfo = UTC) -> str:
    found = verdict([rule_of(each, BASE, zone) for each in consents], to, to, now)
    if found.denied:
        return "deny"
    return "permit and create" if found.creates else "permit" if found.reads else "nothing"


def permit(**more: Any) -> dict[str, Any]:
    return consent("1", "a", provision("permit", DOCTOR, **more))


def deny(**more: Any) -> dict[str, Any]:
    return consent("2", "a", provision("deny", DOCTOR, **more))


NOT_EVALUATED: dict[str, dict[str, Any]] = {
    "purpose": {"purpose": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ActReason", "code": "TREAT"}]},
    "class": {"class": [{"system": "http://hl7.org/fhir/resource-types", "code": "Observation"}]},
    "code": {"code": [{"text": "x"}]},
    "securityLabel": {"securityLabel": [{"code": "N"}]},
    "data": {"data": [{"meaning": "instance", "reference": reference("Observation/1")}]},
    "dataPeriod": {"dataPeriod": {"start": "2024"}},
    "another action": {"action": [USE]},
    "access and another action": {"action": [ACCESS, USE]},
    "two codings of one action": {"action": [{"coding": [*ACCESS["coding"], *USE["coding"]]}]},
    "an action of text": {"action": [{"text": "access"}]},
    "an empty action": {"action": []},
    "a nested permit": {"provision": [provision("permit", DOCTOR)]},
    "a nested provision without a type": {"provision": [{}]},
    "modifierExtension": {"modifierExtension": [{"url": "x", "valueBoolean": True}]},
    "an element that R4 does not know": {"except": [{}]},
    "the extension of an element that is not evaluated": {"_purpose": [{"extension": []}]},
    "a modifier extension of the actor": {"actor": [actor(DOCTOR) | {"modifierExtension": [{"url": "x"}]}]},
    "an unknown element of the actor": {"actor": [actor(DOCTOR) | {"until": "2027"}]},
    "an unknown element of the period": {"period": {"start": "2026", "except": "2026-06"}},
}


@pytest.mark.parametrize("element", NOT_EVALUATED)
def test_a_permit_that_has_what_is_not_evaluated_never_permits(element: str) -> None:
    assert says(permit(**NOT_EVALUATED[element])) == "nothing"


@pytest.mark.parametrize("element", NOT_EVALUATED)
def test_a_deny_that_has_what_is_not_evaluated_applies_as_if_it_were_absent(element: str) -> None:
    assert says(permit(), deny(**NOT_EVALUATED[element])) == "deny"


OUTSIDE_THE_PROVISION: dict[str, tuple[dict[str, Any], str]] = {
    "modifierExtension": ({"modifierExtension": [{"url": "x"}]}, "nothing"),
    "a modifier extension of the policy": ({"policy": [{"uri": "x", "modifierExtension": [{"url": "x"}]}]}, "nothing"),
    "a modifier extension of the verification": ({"verification": [{"modifierExtension": [{"url": "x"}]}]}, "nothing"),
    "implicitRules": ({"implicitRules": "http://x"}, "nothing"),
    "an element that R4 does not know": ({"controller": [reference("Organization/o")]}, "nothing"),
    "policy": ({"policy": [{"uri": "http://x"}]}, "permit and create"),
    "policyRule": ({"policyRule": {"coding": [{"code": "OPTOUT"}]}}, "permit and create"),
    "category": ({"category": [{"coding": [{"code": "any"}]}]}, "permit and create"),
    "dateTime": ({"dateTime": "2099"}, "permit and create"),
    "performer": ({"performer": [reference("Patient/b")]}, "permit and create"),
    "organization": ({"organization": [reference("Organization/x")]}, "permit and create"),
    "source": ({"sourceReference": reference("DocumentReference/x")}, "permit and create"),
    "verification": ({"verification": [{"verified": False}]}, "permit and create"),
    "extension": ({"extension": [{"url": "x", "valueBoolean": False}]}, "permit and create"),
    "text": ({"text": {"status": "generated", "div": "<div>never</div>"}}, "permit and create"),
    "language": ({"language": "ru"}, "permit and create"),
    "identifier": ({"identifier": [{"value": "x"}]}, "permit and create"),
}


@pytest.mark.parametrize("element", OUTSIDE_THE_PROVISION)
def test_what_stands_outside_the_provision(element: str) -> None:
    more, expected = OUTSIDE_THE_PROVISION[element]
    assert says(permit() | more) == expected


@pytest.mark.parametrize("element", OUTSIDE_THE_PROVISION)
def test_a_deny_applies_whatever_stands_outside_its_provision(element: str) -> None:
    assert says(permit(), deny() | OUTSIDE_THE_PROVISION[element][0]) == "deny"


@pytest.mark.parametrize("more", [{"extension": [{"url": "x"}]}, {"id": "p"}, {"_type": {"id": "t"}}])
def test_plain_extensions_in_the_provision_neither_grant_nor_void(more: dict[str, Any]) -> None:
    assert says(permit(**more)) == "permit and create"


CASES: dict[str, tuple[list[dict[str, Any]], str]] = {
    "no Consent": ([], "nothing"),
    "a permit": ([permit()], "permit and create"),
    "a deny": ([deny()], "deny"),
    "a deny wins over a permit": ([permit(), deny()], "deny"),
    "in either order": ([deny(), permit()], "deny"),
    "a permit of access reads only": ([permit(action=[ACCESS])], "permit"),
    "twice access is access": ([permit(action=[ACCESS, ACCESS])], "permit"),
    "a deny of access denies": ([permit(), deny(action=[ACCESS])], "deny"),
    "a permit without an actor permits nobody": ([consent("1", "a", provision("permit"))], "nothing"),
    "a permit with an empty list of actors": ([consent("1", "a", provision("permit", actor=[]))], "nothing"),
    "a deny without an actor denies everybody": ([permit(), consent("2", "a", provision("deny"))], "deny"),
    "no provision": ([consent("1", "a", None)], "nothing"),
    "a provision without a type": ([consent("1", "a", provision(None, DOCTOR))], "nothing"),
    "a provision of another type": ([consent("1", "a", provision("maybe", DOCTOR))], "nothing"),
    "without a patient": ([{k: v for k, v in permit().items() if k != "patient"}], "nothing"),
    "with another server's patient": ([permit() | {"patient": reference("https://x.example/Patient/a")}], "nothing"),
    "of another scope": ([permit() | {"scope": {"coding": [{"code": "patient-privacy"}]}}], "nothing"),
    "a deny of another scope": ([permit(), deny() | {"scope": {"text": "patient-privacy"}}], "permit and create"),
    "of two scopes": (
        [permit() | {"scope": {"coding": [{"system": "x", "code": "research"}, *PRIVACY["coding"]]}}],
        "permit and create",
    ),
    "in its period": ([permit(period={"start": "2026-06-01", "end": "2026-06-01"})], "permit and create"),
    "before its period": ([permit(period={"start": "2026-06-01T12:00:01Z"})], "nothing"),
    "after its period": ([permit(period={"end": "2026-05"})], "nothing"),
    "at the last minute": ([permit(period={"end": "2026-06-01T12:00:00Z"})], "permit and create"),
    "a year is whole": ([permit(period={"start": "2026", "end": "2026"})], "permit and create"),
    "a period upside down": ([permit(period={"start": "2027", "end": "2025"})], "nothing"),
    "a period that cannot be read": ([permit(period={"end": "some day"})], "nothing"),
    "a period that is no object": ([permit(period="always")], "nothing"),
    "a period whose end is not said": ([permit(period={"_end": {"extension": [{"url": "x"}]}})], "nothing"),
    "a deny outside its period": ([permit(), deny(period={"end": "2026-05"})], "permit and create"),
    "a deny in a period that cannot be read": ([permit(), deny(period={"end": "some day"})], "deny"),
    "a deny in a period upside down": ([permit(), deny(period={"start": "2027", "end": "2025"})], "deny"),
    "a nested deny": ([permit(provision=[provision("deny", DOCTOR)])], "deny"),
    "a nested deny of somebody else": ([permit(provision=[provision("deny", "Practitioner/x")])], "nothing"),
    "a nested deny without an actor": ([permit(), permit(provision=[provision("deny")])], "deny"),
    "a nested deny in a root without a type": (
        [permit(), consent("2", "a", {"provision": [provision("deny", DOCTOR)]})],
        "deny",
    ),
    "a deny nested three deep": (
        [permit(), permit(provision=[{"provision": [{"type": "permit", "provision": [provision("deny", DOCTOR)]}]}])],
        "deny",
    ),
    "a nested deny with a criterion": (
        [permit(provision=[provision("deny", DOCTOR, **NOT_EVALUATED["code"])])],
        "deny",
    ),
    "a nested deny whose root's period is over": (
        [permit(), permit(period={"end": "2025"}, provision=[provision("deny", DOCTOR)])],
        "permit and create",
    ),
    "a nested deny whose own period is over": (
        [permit(), permit(provision=[provision("deny", DOCTOR, period={"end": "2025"})])],
        "permit and create",
    ),
    "a nested deny cannot widen its root's period": (
        [permit(), permit(period={"end": "2025"}, provision=[provision("deny", DOCTOR, period={"end": "2099"})])],
        "permit and create",
    ),
    "a nested permit in a deny": ([permit(), deny(provision=[provision("permit", DOCTOR)])], "deny"),
    "a nested provision that is no list": ([permit(), permit(provision=provision("deny", DOCTOR))], "deny"),
}
OPT_OUT = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "OPTOUT"}]}
OPT_IN = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "OPTIN"}]}
CASES |= {
    "an opt-out without a provision": ([permit(), consent("2", "a", None, policyRule=OPT_OUT)], "deny"),
    "an opt-out with exceptions": (
        [permit(), consent("2", "a", None, policyRule={"coding": [OPT_OUT["coding"][0] | {"code": "OPTOUTE"}]})],
        "deny",
    ),
    "an opt-out of others by a provision without a type": (
        [permit(), consent("2", "a", provision(None, "Practitioner/x", period={"end": "2025"}), policyRule=OPT_OUT)],
        "deny",
    ),
    "an opt-out by a provision that is none": (
        [permit(), consent("2", "a", None, provision=[], policyRule=OPT_OUT)],
        "deny",
    ),
    "an opt-out whose type permits": ([permit() | {"policyRule": OPT_OUT}], "permit and create"),
    "an opt-out of another scope": (
        [permit(), consent("2", "a", None, policyRule=OPT_OUT, scope={"text": "research"})],
        "permit and create",
    ),
    "an opt-out that has ended": (
        [permit(), consent("2", "a", None, policyRule=OPT_OUT, status="inactive")],
        "permit and create",
    ),
    "an opt-in without a provision": ([consent("2", "a", None, policyRule=OPT_IN)], "nothing"),
    "an opt-in by a provision without a type": (
        [consent("2", "a", provision(None, DOCTOR), policyRule=OPT_IN)],
        "nothing",
    ),
}
CASES |= {
    f"status {status}": ([permit() | {"status": status}, deny() | {"status": status}], "nothing")
    for status in ("draft", "proposed", "rejected", "inactive", "entered-in-error")
}


@pytest.mark.parametrize("case", CASES)
def test_what_consents_say(case: str) -> None:
    consents, expected = CASES[case]
    assert says(*consents) == expected


@pytest.mark.parametrize("effect", ["permit", "deny"])
@pytest.mark.parametrize(
    ("zone", "moment", "is_in_force"),
    [
        (timezone(timedelta(hours=3)), "2026-06-01T23:59:00+03:00", True),
        (timezone(timedelta(hours=3)), "2026-06-02T00:01:00+03:00", False),
        (UTC, "2026-06-02T00:01:00+03:00", True),
        (timezone(timedelta(hours=-8)), "2026-06-01T00:01:00-08:00", True),
        (timezone(timedelta(hours=-8)), "2026-05-31T23:59:00-08:00", False),
    ],
)
def test_the_days_of_a_period_are_those_of_the_place(zone: tzinfo, moment: str, is_in_force: bool, effect: str) -> None:
    """CS-33."""
    stated = consent("1", "a", provision(effect, DOCTOR, period={"start": "2026-06-01", "end": "2026-06-01"}))
    now = interval(moment)[0]
    said = "permit and create" if effect == "permit" else "deny"
    assert says(stated, now=now, zone=zone) == (said if is_in_force else "nothing")


NAMED: dict[str, tuple[dict[str, Any], str, str]] = {
    # form of the actor: what a permit says to the doctor, what a deny says to somebody else
    "a recipient": (actor(DOCTOR), "permit and create", "nothing"),
    "versioned": (actor(f"{DOCTOR}/_history/3"), "permit and create", "nothing"),
    "absolute on our base": (actor(f"{BASE}/{DOCTOR}"), "permit and create", "nothing"),
    "absolute elsewhere": (actor(f"https://elsewhere.example/{DOCTOR}"), "nothing", "deny"),
    "a witness": (actor(DOCTOR, WITNESS), "nothing", "deny"),
    "no role": ({"reference": reference(DOCTOR)}, "nothing", "deny"),
    "a role of text": (actor(DOCTOR, {"text": "IRCP"}), "nothing", "deny"),
    "a role of another system": (actor(DOCTOR, {"coding": [{"system": "x", "code": "IRCP"}]}), "nothing", "deny"),
    "a role without a system": (actor(DOCTOR, {"coding": [{"code": "IRCP"}]}), "nothing", "deny"),
    "a Group": (actor("Group/g"), "nothing", "deny"),
    "a CareTeam": (actor("CareTeam/c"), "nothing", "deny"),
    "a RelatedPerson": (actor("RelatedPerson/r"), "nothing", "deny"),
    "a Patient": (actor("Patient/b"), "nothing", "deny"),
    "a Device": (actor("Device/d"), "nothing", "deny"),
    "a contained resource": (actor("#d"), "nothing", "deny"),
    "an identifier": (actor(DOCTOR) | {"reference": {"identifier": {"value": "1"}}}, "nothing", "deny"),
    "a urn": (actor("urn:uuid:0b8e2b50-4e1c-4a0e-9d2c-0a4f0f4d1a11"), "nothing", "deny"),
    "nothing": ({}, "nothing", "deny"),
    "a type that is not the reference's": (
        actor(DOCTOR) | {"reference": reference(DOCTOR) | {"type": "Group"}},
        "nothing",
        "deny",
    ),
    "a type that is": (
        actor(DOCTOR) | {"reference": reference(DOCTOR) | {"type": "Practitioner"}},
        "permit and create",
        "nothing",
    ),
}


@pytest.mark.parametrize("form", NAMED)
def test_the_forms_of_an_actor(form: str) -> None:
    stated, permitted, denied = NAMED[form]
    assert says(consent("1", "a", provision("permit", actor=[stated]))) == permitted
    assert says(consent("2", "a", provision("deny", actor=[stated])), to=OTHER) == denied
    # Whatever its form, it denies the one that it names.
    assert says(permit(), consent("2", "a", provision("deny", actor=[stated]))) == "deny"


def test_one_actor_that_is_not_resolved_makes_a_deny_everybodys() -> None:
    stated = provision("deny", actor=[actor("Practitioner/x"), actor("Group/g")])
    assert says(permit(), consent("2", "a", stated)) == "deny"


def test_one_actor_that_is_not_resolved_does_not_void_a_permit() -> None:
    stated = provision("permit", actor=[actor(DOCTOR), actor("Group/g"), actor("Practitioner/w", WITNESS)])
    assert says(consent("1", "a", stated)) == "permit and create"
    assert says(consent("1", "a", stated), to=frozenset(("Practitioner/w", "Group/g"))) == "nothing"


@pytest.mark.parametrize(
    "malformed",
    [
        {"actor": "Practitioner/d"},
        {"actor": [None, "x"]},
        {"actor": [{"role": 1, "reference": 2}]},
        {"actor": [{"role": {"coding": [{"system": ["x"], "code": {}}]}, "reference": {"reference": 1}}]},
        {"action": "access"},
        {"period": [1]},
    ],
)
def test_what_is_malformed_never_permits_and_always_denies(malformed: dict[str, Any]) -> None:
    assert says(consent("1", "a", provision("permit", DOCTOR) | malformed)) == "nothing"
    if "actor" in malformed:
        assert says(consent("2", "a", provision("deny") | malformed), to=OTHER) == "deny"
    else:
        assert says(consent("2", "a", provision("deny", DOCTOR) | malformed)) == "deny"
