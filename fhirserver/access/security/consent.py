"""The Consent rule: what a Consent says, reduced at the write to the few facts that the gate compares.

This is the first form: scope, status, period, actors and the action. Everything else in a provision is not evaluated: a permit
that has it never permits, a deny that has it applies as if it were absent, and so does a nested deny. Who writes such a Consent is
told so (`unenforced`); what is loaded, or was written before, is stored with it.

https://hl7.org/fhir/R4/consent.html
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, tzinfo
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
OPT_OUT: Final = frozenset(("http://terminology.hl7.org/CodeSystem/v3-ActCode", code) for code in ("OPTOUT", "OPTOUTE"))
"""The base policies that deny whatever no provision is about."""
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
_MODIFIERS: Final = frozenset(("modifierExtension", "implicitRules", "_implicitRules"))
_EVERYBODY: Final[Mapping[str, Any]] = {"actors": [], "everybody": True, "low": BEGINNING, "high": END}


def rule_of(consent: Resource, base_url: str = "", zone: tzinfo = UTC) -> dict[str, Any]:
    """The rule as it is stored in the security facts. Days without a time are those of the zone.

    `actors` are those that the permit names, for finding who permits a caller; `denies` says whether there is a deny.
    """
    permit, denies = None, list[dict[str, Any]]()
    patient = patient_of(consent, base_url)
    if patient is not None and is_in_force(consent):
        provision = consent.get("provision")
        if isinstance(provision, dict):
            permit = _permit(consent, provision, base_url, zone)
            denies = list(_denies(provision, (BEGINNING, END), base_url, zone))
        if _is_opted_out(consent):
            denies.append(dict(_EVERYBODY))
    return {
        "patient": patient,
        "status": consent.get("status") if isinstance(consent.get("status"), str) else None,
        "permit": permit,
        "actors": permit["actors"] if permit else [],
        "deny": denies,
        "denies": bool(denies),
    }


def is_in_force(consent: Resource) -> bool:
    """Whether a Consent is about privacy, and says something of now, its period aside."""
    return consent.get("status") == "active" and SCOPE in codings(consent.get("scope"))


def patient_of(consent: Resource, base_url: str) -> str | None:
    """The id of the patient of this server whose Consent it is."""
    found = local(consent.get("patient"), base_url)
    return found[8:] if found is not None and found.startswith("Patient/") else None


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


def unevaluated(consent: Resource, provision: Resource) -> Iterator[str]:
    """The places in a Consent, and in its root provision, of what is not evaluated: a permit that has any never permits."""
    place = "Consent.provision"
    yield from _unknown(consent, _CONSENT, "Consent")
    yield from _unknown(provision, _PROVISION, place)
    if "action" in provision and not is_access(provision["action"]):
        yield f"{place}.action"
    period = provision.get("period")
    yield from _unknown(period if isinstance(period, dict) else {}, _PERIOD, f"{place}.period")
    for number, actor in enumerate(objects(provision.get("actor"))):
        yield from _unknown(actor, _ACTOR, f"{place}.actor[{number}]")
    yield from _modifiers(consent, "Consent")


def is_access(actions: Any) -> bool:
    """Whether the actions of a provision are `access` and nothing else."""
    return _is_list_of_objects(actions) and bool(actions) and all(codings(each) == [ACCESS] for each in actions)


def recipient(actor: Resource, base_url: str) -> str | None:
    """The local reference of an actor in a recipient role and of a kind that is resolved; else None."""
    if not has_recipient_role(actor):
        return None
    reference = actor.get("reference")
    found = local(reference, base_url)
    kind = found.partition("/")[0] if found is not None else None
    stated = reference.get("type", kind) if isinstance(reference, dict) else None
    return found if kind in ACTORS and stated == kind else None


def has_recipient_role(actor: Resource) -> bool:
    """Whether an actor of a provision is a recipient of the data, whoever that is."""
    return any(coding in RECIPIENTS for coding in codings(actor.get("role")))


def _permit(consent: Resource, provision: Resource, base_url: str, zone: tzinfo) -> dict[str, Any] | None:
    """The root permit, if everything that it says is evaluated; None where it never permits."""
    if provision.get("type") != "permit" or next(unevaluated(consent, provision), None) is not None:
        return None
    low, high = period_bounds(provision.get("period", {}), zone)
    if low is None or high is None or not _is_list_of_objects(provision.get("actor")):
        return None
    actors = sorted({actor for each in provision["actor"] if (actor := recipient(each, base_url))})
    if not actors:
        return None
    # Who may only see may not add: without an `action` a permit is for both.
    return {"actors": actors, "low": low, "high": high, "creates": "action" not in provision}


def _unknown(node: Resource, known: frozenset[str], place: str) -> Iterator[str]:
    """The elements that are not known; `_status` holds plain extensions of `status` and is known with it."""
    for key in node:
        name = key[1:] if key.startswith("_") else key
        if name not in known and key not in _MODIFIERS:
            yield f"{place}.{name}"


def _modifiers(node: Resource, place: str) -> Iterator[str]:
    """The modifiers anywhere in it."""
    for key, value in node.items():
        if key in _MODIFIERS:
            yield f"{place}.{key.removeprefix('_')}"
        elif isinstance(value, dict):
            yield from _modifiers(value, f"{place}.{key}")
        elif isinstance(value, list):
            for number, each in enumerate(value):
                if isinstance(each, dict):
                    yield from _modifiers(each, f"{place}.{key}[{number}]")


def _is_list_of_objects(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(each, dict) for each in value)


def _is_opted_out(consent: Resource) -> bool:
    """Whether the base policy denies, and no type of the root provision stands in its place: what the provision says besides, as
    exceptions or as limits, is not evaluated."""
    provision = consent.get("provision")
    stated = provision.get("type") if isinstance(provision, dict) else None
    return stated not in ("permit", "deny") and not OPT_OUT.isdisjoint(codings(consent.get("policyRule")))


def _denies(provision: Resource, around: tuple[int, int], base_url: str, zone: tzinfo) -> Iterator[dict[str, Any]]:
    """Every deny in it, nested ones included. A period is narrowed by the one around it; one that cannot be read is open."""
    low, high = around
    if "period" in provision:
        start, end = period_bounds(provision["period"], zone)
        if start is None or end is None or start <= end:
            low, high = max(low, BEGINNING if start is None else start), min(high, END if end is None else end)
    if provision.get("type") == "deny":
        actors = _denied_actors(provision, base_url)
        yield {"actors": actors or [], "everybody": actors is None, "low": low, "high": high}
    nested = provision.get("provision")
    for each in objects(nested if isinstance(nested, list) else [nested]):
        yield from _denies(each, (low, high), base_url, zone)


def _denied_actors(provision: Resource, base_url: str) -> list[str] | None:
    """Whom a deny is for; None for everybody: no actor is stated, or one of a kind or form that is not resolved here."""
    stated = provision.get("actor")
    if not isinstance(stated, list) or not stated:
        return None
    actors = [recipient(each, base_url) if isinstance(each, dict) else None for each in stated]
    found = {actor for actor in actors if actor is not None}
    return None if None in actors else sorted(found)
