"""The effect of a stored Consent: what of its rule counts, given who wrote it and whether it is still there.

https://hl7.org/fhir/R4/consent.html
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fhirserver.access.gate.facts import Row, is_live, security


def effective(row: Row) -> Mapping[str, Any]:
    """The rule of a Consent as it counts. Of a deleted one nothing does; of one that a stranger wrote, no permit."""
    rule = security(row).get("rule")
    if not isinstance(rule, Mapping) or row.get("deleted") is True:
        return {}
    if not is_live(row) or not _may_have_effect(row, rule.get("patient")):
        return {**rule, "permit": None}
    return rule


def permit_only(rule: Mapping[str, Any]) -> Mapping[str, Any]:
    """The rule without its denies, for finding who permits at all."""
    return {"permit": rule.get("permit")}


def _may_have_effect(row: Row, patient: Any) -> bool:
    """Whether who wrote the current version could give it effect. The write was checked; this is the second lock."""
    writer = str((row.get("by") or {}).get("principal"))
    if writer.startswith("Patient/"):
        return writer == f"Patient/{patient}"
    return not writer.startswith(("Practitioner/", "PractitionerRole/"))
