"""The entries of a batch are independent: none of them refers to what another one creates.

Such a reference would be stored as it was sent and lead nowhere, since what is created has its id only when it is answered.

https://hl7.org/fhir/R4/http.html#brules
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from fhirserver.interactions.bundles.links import Links, link_key
from fhirserver.interactions.context import Services
from fhirserver.model.json import dump
from fhirserver.model.outcome import Unprocessable
from fhirserver.store.pace import beside

_DEPENDENT: Final = (
    "This refers to what another entry of the batch creates. Entries of a batch are independent: send a transaction."
)


def created_by(services: Services, full_urls: Mapping[int, str]) -> Links:
    """The entries that create a resource, by their number, as what a reference may lead to."""
    targets = {link_key(url, services.base_url): str(index) for index, url in full_urls.items()}
    return Links(services.definitions, services.base_url, targets, {})


async def check_independent(created: Links, resource: Any, full_url: str | None) -> None:
    """Raise Unprocessable for a reference in the resource of an entry to what another entry creates."""
    if not created.targets or not isinstance(resource, dict):
        return
    text = dump(resource)
    place = await beside(len(text), lambda: created.place_of_link(resource, full_url, text))
    if place is not None:
        raise Unprocessable(_DEPENDENT, code="business-rule", expression=f"{resource.get('resourceType')}{place}")
