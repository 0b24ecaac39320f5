"""What the writer of a Consent is told that it would not do here, and where it says so.

https://hl7.org/fhir/R4/consent.html
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhirserver.access.security.consent import rule_of
from fhirserver.access.security.unenforced import unenforced
from fhirserver.model.dates import BEGINNING, END
from tests.fakes.facts import BASE
from tests.fakes.records import ACCESS, WITNESS, actor, consent, provision, reference
from tests.unit.access.security.test_consent import DOCTOR, NAMED, NOT_EVALUATED, OPT_OUT, OUTSIDE_THE_PROVISION

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
MOSCOW = timezone(timedelta(hours=3))


def told(given: dict[str, Any], zone: timezone = UTC, now: datetime = NOW) -> list[tuple[str, str | None]]:
    found = unenforced(given, BASE, zone, now)
    assert all(issue.severity == "error" and issue.diagnostics for issue in found)
    return [(issue.code, issue.expression) for issue in found]


def of(effect: str | None = "permit", /, **more: Any) -> dict[str, Any]:
    return consent("1", "a", provision(effect, DOCTOR, **more))


PLACES = {
    "purpose": "purpose",
    "class": "class",
    "code": "code",
    "securityLabel": "securityLabel",
    "data": "data",
    "dataPeriod": "dataPeriod",
    "another action": "action",
    "access and another action": "action",
    "two codings of one action": "action",
    "an action of text": "action",
    "an empty action": "action",
    "a nested permit": "provision",
    "a nested provision without a type": "provision",
    "modifierExtension": "modifierExtension",
    "an element that R4 does not know": "except",
    "the extension of an element that is not evaluated": "purpose",
    "a modifier extension of the actor": "actor[0].modifierExtension",
    "an unknown element of the actor": "actor[0].until",
    "an unknown element of the period": "period.except",
}


@pytest.mark.parametrize("effect", ["permit", "deny"])
@pytest.mark.parametrize("element", NOT_EVALUATED)
def test_what_is_not_evaluated_is_told_with_its_place(element: str, effect: str) -> None:
    """CS-25: whatever voids a permit and widens a deny."""
    assert told(of(effect, **NOT_EVALUATED[element])) == [("not-supported", f"Consent.provision.{PLACES[element]}")]


@pytest.mark.parametrize("element", OUTSIDE_THE_PROVISION)
def test_what_stands_outside_the_provision_is_told_where_it_voids_a_permit(element: str) -> None:
    more, effect = OUTSIDE_THE_PROVISION[element]
    given = of() | {name: value for name, value in more.items() if name != "dateTime"}
    assert bool(told(given)) == (effect == "nothing")


CASES: dict[str, tuple[dict[str, Any], list[tuple[str, str]]]] = {
    "a permit": (of(), []),
    "a deny": (of("deny"), []),
    "a deny of everybody": (consent("1", "a", provision("deny")), []),
    "of access": (of(action=[ACCESS]), []),
    "a document without a provision": (consent("1", "a", None), []),
    "an opt-out without a provision": (consent("1", "a", None, policyRule=OPT_OUT), []),
    "a provision without a type": (of(None), [("required", "Consent.provision.type")]),
    "an opt-out with a provision without a type": (of(None) | {"policyRule": OPT_OUT}, [("required", "Consent.provision.type")]),
    "a permit without an actor": (consent("1", "a", provision("permit")), [("required", "Consent.provision.actor")]),
    # CS-22: a witness is passed over, and is nobody to be permitted.
    "a permit with a witness alone": (
        consent("1", "a", provision("permit", actor=[actor(DOCTOR, WITNESS)])),
        [("required", "Consent.provision.actor")],
    ),
    "a permit with a witness besides": (of(actor=[actor(DOCTOR, WITNESS), actor(DOCTOR)]), []),
    "a permit with a role that cannot be read besides": (
        of(actor=[actor(DOCTOR), actor(DOCTOR, {"coding": [{"code": "IRCP"}]})]),
        [("not-supported", "Consent.provision.actor[1]")],
    ),
    "a permit with a care team besides": (
        of(actor=[actor(DOCTOR), actor("CareTeam/c")]),
        [("not-supported", "Consent.provision.actor[1]")],
    ),
    "a deny with a witness": (
        of("deny", actor=[actor(DOCTOR), actor(DOCTOR, WITNESS)]),
        [("not-supported", "Consent.provision.actor[1]")],
    ),
    "a dateTime in the future": (of() | {"dateTime": "2026-06-01T12:06:00Z"}, [("business-rule", "Consent.dateTime")]),
    "a dateTime by a clock that is ahead": (of() | {"dateTime": "2026-06-01T12:04:00Z"}, []),
    "a dateTime of now in another zone": (of() | {"dateTime": "2026-06-02T02:00:00+14:00"}, []),
    "a date that has begun somewhere": (of() | {"dateTime": "2026-06-02"}, []),
    "a date that has begun nowhere": (of() | {"dateTime": "2026-06-03"}, [("business-rule", "Consent.dateTime")]),
    "a year in the future": (of() | {"dateTime": "2027"}, [("business-rule", "Consent.dateTime")]),
    "this year": (of() | {"dateTime": "2026"}, []),
    "a dateTime that is not said": (of() | {"_dateTime": {"extension": [{"url": "x"}]}}, []),
    "a deny with a dateTime in the future": (of("deny") | {"dateTime": "2099"}, [("business-rule", "Consent.dateTime")]),
    "a document with a dateTime in the future": (
        consent("1", "a", None, dateTime="2099"),
        [("business-rule", "Consent.dateTime")],
    ),
    "a period that is over": (of(period={"end": "2026-05-31"}), [("business-rule", "Consent.provision.period.end")]),
    "a deny that is over": (of("deny", period={"end": "2025"}), [("business-rule", "Consent.provision.period.end")]),
    "a period that ends today": (of(period={"end": "2026-06-01"}), []),
    "a period that begins later": (of(period={"start": "2027"}), []),
    "a period upside down": (of(period={"start": "2028", "end": "2027"}), [("value", "Consent.provision.period")]),
    "a period whose end is not said": (
        of(period={"_end": {"extension": [{"url": "x"}]}}),
        [("value", "Consent.provision.period")],
    ),
    "no patient of this server": (of() | {"patient": reference("https://x.example/Patient/a")}, [("processing", "Consent.patient")]),
    "no patient": ({k: v for k, v in of().items() if k != "patient"}, [("processing", "Consent.patient")]),
    "a scope without a system": (of() | {"scope": {"coding": [{"code": "patient-privacy"}]}}, [("value", "Consent.scope")]),
    "a scope of another system's": (
        of() | {"scope": {"coding": [{"system": "http://hl7.org/fhir/consentscope", "code": "patient-privacy"}]}},
        [("value", "Consent.scope")],
    ),
    "a scope of text": (of() | {"scope": {"text": "research"}}, []),
    "of another scope": (of(purpose=[{"code": "x"}]) | {"scope": {"coding": [{"system": "x", "code": "research"}]}}, []),
    "everything at once": (
        of(purpose=[{"code": "x"}], period={"end": "2025"}, actor=[actor("Group/g")]) | {"dateTime": "2099"},
        [
            ("business-rule", "Consent.dateTime"),
            ("not-supported", "Consent.provision.purpose"),
            ("business-rule", "Consent.provision.period.end"),
            ("not-supported", "Consent.provision.actor[0]"),
        ],
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_what_is_told(case: str) -> None:
    stated, expected = CASES[case]
    assert told(stated) == expected


@pytest.mark.parametrize("status", ["draft", "proposed", "rejected", "inactive", "entered-in-error"])
def test_what_has_no_effect_may_say_anything(status: str) -> None:
    stated, _ = CASES["everything at once"]
    assert told(stated | {"status": status}) == []


@pytest.mark.parametrize("form", NAMED)
def test_an_actor_is_told_wherever_it_is_not_the_one_that_is_named(form: str) -> None:
    stated, permitted, denied = NAMED[form]
    assert bool(told(of(actor=[stated]))) == (permitted == "nothing")
    assert bool(told(of("deny", actor=[stated]))) == (denied == "deny")


def test_the_days_of_a_period_are_those_of_the_place() -> None:
    late = datetime(2026, 6, 1, 21, 30, tzinfo=UTC)
    stated = of(period={"end": "2026-06-01"})
    assert (told(stated, UTC, late), len(told(stated, MOSCOW, late))) == ([], 1)
    assert told(of(period={"start": "2026-06-01T22:00:00Z", "end": "2026-06-01"}), MOSCOW) == [
        ("value", "Consent.provision.period")
    ]


def nested(depth: int) -> dict[str, Any]:
    return provision("permit", DOCTOR) if depth == 1 else provision("permit", DOCTOR, provision=[nested(depth - 1)])


@pytest.mark.parametrize(
    ("stated", "code"),
    [
        (nested(5), "not-supported"),
        (nested(6), "too-costly"),
        (nested(60), "too-costly"),
        (of(provision=[provision("deny")] * 199)["provision"], "not-supported"),
        (of(provision=[provision("deny")] * 200)["provision"], "too-costly"),
    ],
)
def test_more_than_may_be_is_told_as_that(stated: dict[str, Any], code: str) -> None:
    """CS-30."""
    assert told(consent("1", "a", stated)) == [
        (code, "Consent.provision" + ("" if code == "too-costly" else ".provision"))
    ]


def test_no_more_places_are_named_than_one_reads() -> None:
    assert len(told(of(actor=[actor("Group/g")] * 1_000))) == 50


PARTS = st.fixed_dictionaries(
    {"type": st.sampled_from(["permit", "deny"])},
    optional={
        "actor": st.lists(st.sampled_from([form for form, _, _ in NAMED.values()]), min_size=1, max_size=3),
        "period": st.sampled_from([{"start": "2020"}, {"end": "2030-01-01"}, {"end": "x"}, {"start": "2028", "end": "2027"}, {"_start": {}}]),
        "action": st.sampled_from([[ACCESS], [{"text": "access"}], []]),
    },
)  # fmt: skip
MORE = st.lists(st.sampled_from(list(NOT_EVALUATED.values())), max_size=1)


@given(PARTS, MORE, st.sampled_from([{}, *(more for more, _ in OUTSIDE_THE_PROVISION.values())]))
def test_what_nothing_is_told_of_does_what_it_says(
    parts: dict[str, Any], more: list[dict[str, Any]], outside: dict[str, Any]
) -> None:
    stated = consent("1", "a", parts, **outside)
    for each in more:
        stated["provision"] = stated["provision"] | each
    if told(stated):
        return
    rule, given = rule_of(stated, BASE), stated["provision"]
    recipients = [each for each in given.get("actor", ()) if each.get("role") != WITNESS]
    [effect] = [rule["permit"]] if given["type"] == "permit" else rule["deny"]
    assert effect["actors"] == ([DOCTOR] if recipients else [])
    assert (effect["low"] == BEGINNING) == ("start" not in given.get("period", {}))
    assert (effect["high"] == END) == ("end" not in given.get("period", {}))
    if given["type"] == "permit":
        assert effect["creates"] == ("action" not in given)
    else:
        assert effect["everybody"] == (not recipients)
