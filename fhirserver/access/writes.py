"""The rules on what is written: on the candidate, as it would be stored, whatever way it came in.

The permit's `writes` already holds most of them; what stands here are those with an answer of their own, and the labels, which
an update keeps.

https://hl7.org/fhir/R4/consent.html and https://hl7.org/fhir/R4/security-labels.html
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, tzinfo
from typing import Any, Final

from fhirserver.access.gate.facts import Row, security
from fhirserver.access.principal import Kind, Principal
from fhirserver.access.reasons import CONSENT_EFFECT, LABELS_LOWERED, NOT_THIS_CONTENT
from fhirserver.access.scopes import LETTERS, names
from fhirserver.access.security.compartments import CONFIDENTIALITY, CONFIDENTIALITY_SYSTEM, UNRESOLVED, confidentiality
from fhirserver.access.security.consent import WITHOUT_EFFECT
from fhirserver.access.security.elements import objects
from fhirserver.access.security.unenforced import unenforced
from fhirserver.model.outcome import Forbidden, Unprocessable
from fhirserver.model.resource import Resource
from fhirserver.search.expression import Exists, Expression, Range, Within, all_of, any_of, negate
from fhirserver.search.match import match
from fhirserver.search.permit import Permit

_REQUESTED: Final = frozenset(("proposed", "pending"))


def check_candidate(principal: Principal, interaction: str, resource_type: str, candidate: Row, permit: Permit) -> None:
    """Refuse with Forbidden what this principal may not write. `candidate` is the document as it would be stored."""
    if principal.is_operator:
        return
    if resource_type == "Consent":
        _check_consent(principal, interaction, candidate)
    if principal.kind is Kind.PATIENT:
        _check_patient(principal, interaction, resource_type, candidate)
    if not match(permit.writes(resource_type), candidate):
        raise Forbidden(NOT_THIS_CONTENT)


def _check_consent(principal: Principal, interaction: str, candidate: Row) -> None:
    """A Consent takes effect only in the hands of its patient, or of a system whose scope names it."""
    rule: Mapping[str, Any] = security(candidate).get("rule") or {}
    letter = LETTERS.get(interaction, "")
    if rule.get("status") in WITHOUT_EFFECT:
        return
    is_hers = principal.kind is Kind.PATIENT and rule.get("patient") == principal.id
    is_named = principal.kind is Kind.SYSTEM and bool(letter) and names(principal.scopes, "Consent", letter)
    if not is_hers and not is_named:
        raise Forbidden(CONSENT_EFFECT)


def check_enforced(principal: Principal, consent: Resource, base_url: str, zone: tzinfo, now: datetime) -> None:
    """Refuse with Unprocessable a Consent in force that would not do here what it says. Its days are those of the zone.

    Who brings in what another system holds, as the operator, may store it: it permits nothing, and denies whatever it may mean to.
    """
    found = [] if principal.is_operator else unenforced(consent, base_url, zone, now)
    if found:
        raise Unprocessable.of(found)


def _check_patient(principal: Principal, interaction: str, resource_type: str, candidate: Row) -> None:
    """A patient speaks of herself and of nobody else, and asks for an Appointment rather than books it."""
    facts = security(candidate)
    if facts.get("owners") not in ([], [principal.id]):
        raise Forbidden(NOT_THIS_CONTENT)
    if resource_type == "Appointment" and interaction == "create" and facts.get("status") not in _REQUESTED:
        raise Forbidden(NOT_THIS_CONTENT)


def is_of_another(target: Mapping[str, Any], owners: Iterable[str]) -> bool:
    """Whether a resource with these security facts belongs to somebody else than these patients, so that nothing of theirs alone
    refers to it. What is not a patient's, or of nobody known, is nobody else's."""
    theirs = frozenset(target.get("owners") or ())
    return target.get("class") == "patient" and UNRESOLVED not in theirs and not theirs <= frozenset(owners)


def keep_labels(resource: Resource, old: Iterable[str]) -> Resource:
    """The resource with the labels of the version before it, those `system|code` that it leaves out put back.

    Raises Forbidden where it states a lower confidentiality than it had.
    """
    # An update carries labels forward in the store as well, whole, as the version before it said them (interactions.writing.carried).
    # That way alone would not do here. A patch carries nothing, and still lowers no label. Of a deleted version the text is gone, and
    # with it its meta, while the facts remain: what comes back under its id has its labels. And a label that is left out is refused
    # where the permit is matched (`keeping`), so that none is lost to a write at the same time.
    before = list(old)
    meta = resource.get("meta")
    stated = objects(meta.get("security")) if isinstance(meta, dict) else []
    now = {f"{each.get('system', '')}|{each.get('code')}" for each in stated}
    says_confidentiality = any(label.startswith(CONFIDENTIALITY_SYSTEM + "|") for label in now)
    if says_confidentiality and confidentiality(now) < confidentiality(before):
        raise Forbidden(LABELS_LOWERED)
    missing = [
        label
        for label in before
        if label not in now and not (says_confidentiality and label.startswith(CONFIDENTIALITY_SYSTEM + "|"))
    ]
    if not missing:
        return resource
    kept = [*stated, *(_coding(label) for label in missing)]
    return {**resource, "meta": {**(meta if isinstance(meta, dict) else {}), "security": kept}}


def keeping(permit: Permit, labels: Iterable[str]) -> Permit:
    """The permit, for a version with these labels: what it replaces may have no other ones, nor a higher confidentiality.

    The store matches it inside the transaction, so a label raised meanwhile is not lost either.
    """
    if permit.is_system:
        return permit
    return Permit(permit.reasons, permit.reads, _Keeping(permit, frozenset(labels)))


@dataclass(frozen=True, slots=True)
class _Keeping:
    permit: Permit
    labels: frozenset[str]

    def __call__(self, resource_type: str) -> Expression:
        rank = confidentiality(self.labels)
        lower = {f"{CONFIDENTIALITY_SYSTEM}|{code}" for code, each in CONFIDENTIALITY.items() if each <= rank}
        return all_of(
            self.permit.writes(resource_type),
            any_of(negate(Exists("security.labels")), Within("security.labels", self.labels | lower)),
            Range("security.confidentiality", None, rank),
        )


def _coding(label: str) -> dict[str, str]:
    system, _, code = label.rpartition("|")
    return {"system": system, "code": code} if system else {"code": code}
