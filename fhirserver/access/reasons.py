"""Why a permit holds what it holds: constants for the audit, never for the caller who was refused."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from fhirserver.access.security.consent import Verdict

OPEN_MODE: Final = "open mode"
FACTS: Final = "access decides: owners, roles, organisations and Consent rules"
OWN_RECORD: Final = "patient: her own record"
CONSENT: Final = "consent: an active Consent of every owner permits, and none denies"
DENIED: Final = "consent: an active Consent denies"
NO_CONSENT: Final = "consent: none permits"
WROTE: Final = "author: wrote the current version"
DIRECTORY: Final = "directory: directory and public types"
SECURITY_CONTEXT: Final = "binary: its securityContext is visible"
ROLE_DOES_NOT_COUNT: Final = "role: not active, or not hers"
NARROWED: Final = "includes: only the owners named by the search, her Consents being too many"
"""What may be included was narrowed; the answer says so (`INCLUDES_NARROWED`)."""

INCLUDES_NARROWED: Final = (
    "Only resources of the patients that the search names are included: too many patients permit this caller."
)
STEPS_NARROWED: Final = "Too many patients permit this caller for a search that follows references. Search each type by itself, with a patient."
TOO_MANY_OWNERS: Final = (
    "The search reaches too many patients. Add a patient to it, or to a search of Appointments a date."
)
TOO_MANY_FACTS: Final = "Too many roles or Consents have to be weighed for this request."
OTHER_RECORD: Final = "The resource is of one patient's record, and refers to a resource of another patient's."
NOT_THIS_CONTENT: Final = "The access token does not allow this content to be written."
NOT_THIS_TYPE: Final = "The access token does not allow resources of this type to be written."
CONSENT_EFFECT: Final = (
    "A Consent takes effect only when written by its patient, or by a system whose scope names Consent. "
    "Others may write a draft or a proposal."
)
MANY_CONSENTS: Final = "The patient has as many Consents in force as may be, {}. End one before another takes effect: give it the status inactive."
LABELS_LOWERED: Final = "Security labels may be raised, not lowered."


def of(verdicts: Collection[Verdict]) -> list[str]:
    """What the Consents of the owners came to."""
    found = [CONSENT if any(each.reads and not each.denied for each in verdicts) else NO_CONSENT]
    return [*found, DENIED] if any(each.denied for each in verdicts) else found
