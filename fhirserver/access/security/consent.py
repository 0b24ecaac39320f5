"""The Consent rule: what a Consent says, reduced at the write to the few facts that the gate compares.

This is the first form: scope, status, period, actors and the action. Everything else in a provision is not evaluated: a permit
that has it never permits, a deny that has it applies as if it were absent, and so does a nested deny.

https://hl7.org/fhir/R4/consent.html
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from fhirserver.access.security.elements import codings, local, objects, period_bounds
from fhirserver.model.dates import BEGINNING, END
from fhirserver.model.resource import Resource

SCOPE: Final = ("http://terminology.hl7.org/CodeSystem/consentscope", "patient-privacy")
ACCESS: Final = ("http://terminology.hl7.org/CodeSystem/consentaction", "access")
_PARTICIPATION: Final = "http://terminology.hl7.org/CodeSystem/v3-ParticipationType"
_ROLE: Final = "http://terminology.hl7.org/CodeSystem/v3-RoleCode"
_SIGNER: Final = "http://terminology.hl7.org/CodeSystem/contractsignertypecodes"
RECIPIENTS: Final = frozenset(
    {(_PARTICIPATION, code) for code in ("IRCP", "PRCP")}
    | {(system, code) for system in (_ROLE, _SIGNER) for code in ("GRANTEE", "DELEGATEE", "HPOWATT", "RESPRSN")}
)
"""The roles in which an actor of a provision is a recipient of the data."""
ACTORS: Final = ("Practitioner", "PractitionerRole", "Organization")
"""The kinds of actor that are resolved."""
WITHOUT_EFFECT: Final = frozenset(("draft", "proposed"))
"""The states in which anybody who may write for the patient may write a Consent."""

# `implicitRules` and `modifierExtension` are modifiers that nobody evaluates; they are absent on purpose.
_ELEMENTS: Final = (
    "resourceType id meta language text contained extension identifier status scope category patient dateTime performer "
    "organization sourceAttachment sourceReference policy policyRule verification provision"
)
_CONSENT: Final = frozenset(_ELEMENTS.split())
_PROVISION: Final = frozenset(("id", "extension", "type", "period", "actor", "action"))
_ACTOR: Final = frozenset(("id", "extension", "role", "reference"))
_PERIOD: Final = frozenset(("id", "extension", "start", "end"))


def rule_of(consent: Resource, base_url: str = "") -> dict[str, Any]:
    """The rule as it is stored in the security facts.

    `actors` are those that the permit names, for finding who permits a caller; `denies` says whether there is a deny.
    """
    permit, denies = None, list[dict[str, Any]]()
    patient = _patient(consent, base_url)
    if patient is not None and consent.get("status") == "active" and SCOPE in codings(consent.get("scope")):
        provision = consent.get("provision")
        if isinstance(provision, dict):
            permit = _permit(consent, provision, base_url)
            denies = list(_denies(provision, BEGINNING, END, base_url))
    return {
        "patient": patient,
        "status": consent.get("status") if isinstance(consent.get("status"), str) else None,
        "permit": permit,
        "actors": permit["actors"] if permit else [],
        "deny": denies,
        "denies": bool(denies),
    }


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the Consents of one patient say to one caller."""

    reads: bool = False
    creates: bool = False
    denied: bool = False


def verdict(rules: Iterable[Mapping[str, Any]], permits: frozenset[str], denies: frozenset[str], now: int) -> Verdict:
    """Weigh the rules of one patient's Consents: deny wins, and without a permit nothing is permitted.

    `permits` are the references under which the caller may be permitted, `denies` those under which she may be denied;
    `now` is in microseconds.
    """
    reads = creates = False
    for rule in rules:
        for deny in rule.get("deny") or ():
            if _is_now(deny, now) and (deny.get("everybody") is not False or not denies.isdisjoint(deny["actors"])):
                return Verdict(denied=True)
        permit = rule.get("permit")
        if permit and _is_now(permit, now) and not permits.isdisjoint(permit["actors"]):
            reads = True
            creates = creates or permit.get("creates") is True
    return Verdict(reads=reads, creates=creates)


def _is_now(period: Mapping[str, Any], now: int) -> bool:
    return bool(period["low"] <= now <= period["high"])


def _permit(consent: Resource, provision: Resource, base_url: str) -> dict[str, Any] | None:
    """The root permit, if everything that it says is evaluated; None where it never permits."""
    if provision.get("type") != "permit" or not _is_evaluated(consent, provision):
        return None
    low, high = _period(provision)
    if low is None or high is None:
        return None
    creates = _creates(provision)
    actors = sorted({actor for each in objects(provision.get("actor")) if (actor := _actor(each, base_url))})
    if creates is None or not actors:
        return None
    return {"actors": actors, "low": low, "high": high, "creates": creates}


def _is_evaluated(consent: Resource, provision: Resource) -> bool:
    """Whether there is nothing in it that is not understood, and no modifier extension anywhere."""
    period = provision.get("period", {})
    return (
        _has_only(consent, _CONSENT)
        and _has_only(provision, _PROVISION)
        and isinstance(period, dict)
        and _has_only(period, _PERIOD)
        and _is_list_ofobjects(provision.get("actor"))
        and all(_has_only(actor, _ACTOR) for actor in objects(provision.get("actor")))
        and not _has_modifier(consent)
    )


def _has_only(node: Resource, known: frozenset[str]) -> bool:
    """Whether every element is known; `_status` holds plain extensions of `status` and is known with it."""
    return all((key[1:] if key.startswith("_") else key) in known for key in node)


def _is_list_ofobjects(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(each, dict) for each in value)


def _has_modifier(node: Any) -> bool:
    if isinstance(node, dict):
        return any(
            key in ("modifierExtension", "implicitRules", "_implicitRules") or _has_modifier(value)
            for key, value in node.items()
        )
    return isinstance(node, list) and any(_has_modifier(each) for each in node)


def _creates(provision: Resource) -> bool | None:
    """Whether the permit is also for creating: without `action`; with `access` alone it is not; else it is not evaluated."""
    if "action" not in provision:
        return True
    actions = provision["action"]
    if not _is_list_ofobjects(actions) or not actions:
        return None
    return False if all(codings(each) == [ACCESS] for each in actions) else None


def _denies(provision: Resource, low: int, high: int, base_url: str) -> Iterator[dict[str, Any]]:
    """Every deny in it, nested ones included. A period is narrowed by the one around it; one that cannot be read is open."""
    if "period" in provision:
        start, end = _period(provision)
        if start is None or end is None or start <= end:
            low, high = max(low, BEGINNING if start is None else start), min(high, END if end is None else end)
    if provision.get("type") == "deny":
        actors = _denied_actors(provision, base_url)
        yield {"actors": actors or [], "everybody": actors is None, "low": low, "high": high}
    nested = provision.get("provision")
    for each in objects(nested if isinstance(nested, list) else [nested]):
        yield from _denies(each, low, high, base_url)


def _denied_actors(provision: Resource, base_url: str) -> list[str] | None:
    """Whom a deny is for; None for everybody: no actor is stated, or one of a kind or form that is not resolved here."""
    stated = provision.get("actor")
    if not isinstance(stated, list) or not stated:
        return None
    actors = [_actor(each, base_url) if isinstance(each, dict) else None for each in stated]
    found = {actor for actor in actors if actor is not None}
    return None if None in actors else sorted(found)


def _actor(actor: Resource, base_url: str) -> str | None:
    """The local reference of an actor in a recipient role and of a kind that is resolved; else None."""
    if not any(coding in RECIPIENTS for coding in codings(actor.get("role"))):
        return None
    reference = actor.get("reference")
    found = local(reference, base_url)
    kind = found.partition("/")[0] if found is not None else None
    stated = reference.get("type", kind) if isinstance(reference, dict) else None
    return found if kind in ACTORS and stated == kind else None


def _patient(consent: Resource, base_url: str) -> str | None:
    found = local(consent.get("patient"), base_url)
    return found[8:] if found is not None and found.startswith("Patient/") else None


def _period(provision: Resource) -> tuple[int | None, int | None]:
    return period_bounds(provision.get("period", {}))
