"""What a Consent in force says that this server would not do: told to who writes it, so that nobody relies on it.

A permit that is not evaluated permits nobody, and a deny that is not denies more than it says (`consent`). Both are stored where
they come by a load, or were there before.

https://hl7.org/fhir/R4/consent.html
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta, tzinfo
from typing import Final

from fhirserver.access.security.consent import (
    SCOPE,
    has_recipient_role,
    is_in_force,
    patient_of,
    recipient,
    unevaluated,
)
from fhirserver.access.security.elements import codings, objects, period_bounds
from fhirserver.model.dates import interval, moment
from fhirserver.model.outcome import Issue
from fhirserver.model.resource import Resource

PROVISIONS: Final = 200
"""Provisions of one Consent, the root's included."""
DEPTH: Final = 5
"""Levels of them."""
_ISSUES: Final = 50
"""Places that are named at once."""
_CLOCKS: Final = timedelta(minutes=5)
"""How far a writer's clock may be ahead of ours."""
_EASTERNMOST: Final = timedelta(hours=14)
"""How far the clocks of a place are ahead of UTC at most: there a day begins first."""

_AS_DRAFT: Final = "Leave it out, or store the Consent without effect (status draft or proposed)."
NO_PATIENT: Final = "A Consent in force names its patient by a reference to this server (Patient/[id]); without one it would have no effect."
NOT_EVALUATED: Final = (
    "This server does not evaluate this element: a permit with it would permit nobody, a deny with it would deny more than it "
    f"says. {_AS_DRAFT}"
)
ACTION: Final = f"Of the actions this server evaluates access alone; without an action a permit is for reading and creating. {_AS_DRAFT}"
NESTED: Final = f"Nested provisions are not evaluated: write a Consent of its own for each, a deny wins over every permit. {_AS_DRAFT}"
ACTOR: Final = (
    "This actor is not resolved: a recipient (role IRCP) is named by a reference to a Practitioner, a PractitionerRole or an "
    "Organization of this server, Practitioner/[id]."
)
NO_RECIPIENT: Final = (
    "A permit names whom it permits: an actor with the role of a recipient (IRCP). Without one it would permit nobody."
)
NO_TYPE: Final = "The type is missing: permit or deny. What the policyRule says of a provision is not evaluated."
PERIOD: Final = "The period cannot be read, or ends before it begins."
ENDED: Final = "The period has ended, so the Consent would have no effect. Give it an end to come; or the status inactive, to end it."
FUTURE: Final = (
    "The dateTime is in the future: it says when the Consent was given. For when it begins there is provision.period."
)
SCOPE_UNREAD: Final = (
    f"The code {SCOPE[1]} is read with its system alone, {SCOPE[0]}: without it the Consent would have no effect."
)
TOO_MANY_PROVISIONS: Final = f"A Consent has at most {PROVISIONS} provisions, on at most {DEPTH} levels."
_WORDS: Final[Mapping[str, str]] = {"Consent.provision.action": ACTION, "Consent.provision.provision": NESTED}


def unenforced(consent: Resource, base_url: str, zone: tzinfo, now: datetime) -> list[Issue]:
    """Why an active Consent would not do what it says; empty where it would, and where it is to have no effect at all."""
    if not is_in_force(consent):
        return list(_of_scope(consent))
    provision = consent.get("provision")
    if isinstance(provision, dict) and not _is_small(provision):
        return [Issue("error", "too-costly", TOO_MANY_PROVISIONS, "Consent.provision")]
    found = list(_of_date(consent, now))
    if patient_of(consent, base_url) is None:
        found.append(Issue("error", "processing", NO_PATIENT, "Consent.patient"))
    # Without a provision it is a document; what opts out denies without one.
    if isinstance(provision, dict):
        found += _of_provision(consent, provision)
        found += _of_period(provision, zone, now)
        found += _of_actors(provision, base_url)
    return found[:_ISSUES]


def _of_scope(consent: Resource) -> Iterator[Issue]:
    """Of another scope it has no effect here, and is not meant to have; but this is the right code, written so that nobody reads it."""
    if consent.get("status") == "active" and any(code == SCOPE[1] for _, code in codings(consent.get("scope"))):
        yield Issue("error", "value", SCOPE_UNREAD, "Consent.scope")


def _of_date(consent: Resource, now: datetime) -> Iterator[Issue]:
    stated = consent.get("dateTime")
    if not isinstance(stated, str):
        return
    latest = now + (_CLOCKS if "T" in stated else _EASTERNMOST)
    if moment(interval(stated)[0]) > latest:
        yield Issue("error", "business-rule", FUTURE, "Consent.dateTime")


def _of_provision(consent: Resource, provision: Resource) -> Iterator[Issue]:
    if "type" not in provision:
        yield Issue("error", "required", NO_TYPE, "Consent.provision.type")
    for each in dict.fromkeys(unevaluated(consent, provision)):
        yield Issue("error", "not-supported", _WORDS.get(each, NOT_EVALUATED), each)


def _of_period(provision: Resource, zone: tzinfo, now: datetime) -> Iterator[Issue]:
    low, high = period_bounds(provision.get("period", {}), zone)
    if low is None or high is None or low > high:
        yield Issue("error", "value", PERIOD, "Consent.provision.period")
    elif high < now.timestamp() * 1_000_000:
        yield Issue("error", "business-rule", ENDED, "Consent.provision.period.end")


def _of_actors(provision: Resource, base_url: str) -> Iterator[Issue]:
    """A deny with an actor that is not resolved is for everybody; a permit passes over who is no recipient, as a witness."""
    place, is_permit = "Consent.provision.actor", provision.get("type") == "permit"
    actors = objects(provision.get("actor"))
    if is_permit and not any(map(has_recipient_role, actors)):
        yield Issue("error", "required", NO_RECIPIENT, place)
    for number, actor in enumerate(actors):
        has_other_role = not has_recipient_role(actor) and any(map(all, codings(actor.get("role"))))
        if not (is_permit and has_other_role) and recipient(actor, base_url) is None:
            yield Issue("error", "not-supported", ACTOR, f"{place}[{number}]")


def _is_small(provision: Resource) -> bool:
    """Whether its provisions are within the bounds."""
    level, count = [provision], 0
    for _ in range(DEPTH):
        count += len(level)
        level = [nested for each in level for nested in objects(each.get("provision"))]
        if count + len(level) > PROVISIONS:
            return False
    return not level
