"""How many Consents of one patient may be in force: as many as the setting says, of those that the writer sees.

What the writer does not see is not counted, or the refusal would say that it is there. A patient sees all of hers. A system sees
what it wrote, so its bound is its own, and it cannot keep the patient from hers. The operator has no bound.

https://hl7.org/fhir/R4/consent.html
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final
from zlib import crc32

from fhirserver.access.reasons import MANY_CONSENTS
from fhirserver.access.security.consent import patient_of
from fhirserver.interactions.context import Context
from fhirserver.model.outcome import Unprocessable
from fhirserver.model.resource import Resource
from fhirserver.search.expression import In, all_of
from fhirserver.store import Refused, Tx, Write

_BUCKETS: Final = 4096
"""Locks, so that their rows do not become as many as the patients."""


def locks(context: Context, resources: Iterable[Resource | None]) -> set[str]:
    """The locks of who writes these: whoever gives one patient's Consents effect takes turns."""
    patients = (_given_effect(context, each) for each in resources)
    return {f"consents {crc32(each.encode()) % _BUCKETS}" for each in patients if each is not None}


async def look(context: Context, tx: Tx, writes: Sequence[Write]) -> None:
    """Count, with these writes done. Raises Refused for the last one of a patient with too many."""
    most = context.services.consents_per_patient
    given = {patient: index for index, each in enumerate(writes) if (patient := _given_effect(context, each.resource))}
    for patient, index in given.items():
        hers = frozenset((patient,))
        in_force = all_of(
            In("security.owners", hers),
            In("security.rule.patient", hers),
            In("security.rule.status", frozenset(("active",))),
        )
        if len(await tx.facts("Consent", in_force, writes[index].permit, limit=most + 1)) > most:
            error = Unprocessable(MANY_CONSENTS.format(most), code="too-costly", expression="Consent.status")
            raise Refused(index, error)


def _given_effect(context: Context, resource: Resource | None) -> str | None:
    """The patient one of whose Consents would be in force by this; None where the writer has no bound."""
    if context.principal.is_operator or resource is None or resource["resourceType"] != "Consent":
        return None
    return patient_of(resource, context.services.base_url) if resource.get("status") == "active" else None
