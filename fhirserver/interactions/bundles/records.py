"""Whose records the entries of a transaction are: what is of one patient's record does not refer to what is of another's.

Judged by what the sender wrote itself, so it tells nothing that is stored. A reference to a patient is not looked at: whom a
resource names as subject or participant is an owner of it, and who only performed or asserted something is no part of the record.

https://hl7.org/fhir/R4/compartmentdefinition-patient.html
"""

from __future__ import annotations

from collections.abc import Iterable

from fhirserver.access.reasons import OTHER_RECORD
from fhirserver.access.writes import is_of_another
from fhirserver.interactions.context import Context
from fhirserver.model.outcome import FhirError, Unprocessable
from fhirserver.model.reference import local_references
from fhirserver.store import Write


def strangers(context: Context, writes: Iterable[tuple[int, Write]]) -> list[tuple[int, FhirError]]:
    """The refusals of the writes that refer across records, with the numbers of their entries."""
    if context.principal.is_operator:
        return []
    facts = {
        f"{write.resource_type}/{write.id}": write.derived.security
        for _, write in writes
        if write.derived is not None and write.resource_type != "Patient" and write.derived.security.get("owners")
    }
    if len({tuple(each["owners"]) for each in facts.values()}) < 2:
        return []
    return [
        (index, Unprocessable(OTHER_RECORD, code="business-rule"))
        for index, write in writes
        if (own := facts.get(f"{write.resource_type}/{write.id}")) is not None
        and any(
            (target := facts.get(reference)) is not None and is_of_another(target, own["owners"])
            for reference in local_references(write.resource, context.services.base_url)
        )
    ]
