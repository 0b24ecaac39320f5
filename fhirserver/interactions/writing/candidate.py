"""The candidate: a version that somebody wants to write, from the body as sent to admitted or refused.

Whatever way a resource comes in, it passes here: the server's own elements are taken out, every rule of the structure is
checked, the derived facts are computed, and the gate is asked about the version as it would be stored.

https://hl7.org/fhir/R4/http.html#create and https://hl7.org/fhir/R4/http.html#update
"""

from __future__ import annotations

import re
from typing import Any, Final, Literal

from msgspec import Struct

from fhirserver.access.gate.decide import Granted
from fhirserver.access.gate.request import Request
from fhirserver.access.writes import check_candidate, check_enforced, keep_labels, keeping
from fhirserver.interactions.context import Context
from fhirserver.interactions.parameters import judge
from fhirserver.interactions.writing.carried import SUBSETTED, carries
from fhirserver.interactions.writing.interpretation import interpreted
from fhirserver.model.json import dump
from fhirserver.model.json import texts as texts_of
from fhirserver.model.outcome import BadRequest, Unprocessable
from fhirserver.model.resource import Resource
from fhirserver.search.permit import Permit
from fhirserver.store import By, Derived, Write
from fhirserver.store.pace import beside

CONDITIONAL = (
    "A reference by search criteria is resolved in a transaction only. Send one, or name the resource by its id."
)

_CRITERIA = re.compile(r"[A-Z][A-Za-z]+\?")
_NOT_WHOLE: Final = "The tag SUBSETTED says that this is a part of the resource; an update takes all of it."
_SERVER_META = frozenset(("versionId", "_versionId", "lastUpdated", "_lastUpdated"))


class Examined(Struct, frozen=True):
    """A candidate that is well-formed, with its derived facts. The gate was not asked."""

    resource: Resource
    derived: Derived


class Admitted(Struct, frozen=True):
    """A candidate that may be written: its derived facts, and the permit that the store needs for the old version."""

    resource: Resource
    derived: Derived
    permit: Permit

    def write(
        self,
        by: By,
        *,
        method: Literal["POST", "PUT"] = "PUT",
        if_match: tuple[str, ...] | None = None,
        if_none_match_any: bool = False,
        may_create: bool = False,
        forward: bool = False,
    ) -> Write:
        """The write of it, under these conditions. `forward`: tags and labels of the version before it are carried forward."""
        return Write(
            method=method,
            resource_type=self.resource["resourceType"],
            id=self.resource["id"],
            resource=self.resource,
            derived=self.derived,
            by=by,
            permit=self.permit,
            if_match=if_match,
            if_none_match_any=if_none_match_any,
            may_create=may_create,
            carries=carries(self.resource) if forward else None,
        )


def resource_of(body: Any, resource_type: str) -> Resource:
    """The body as a resource of this type. Raises BadRequest where it is something else."""
    if not isinstance(body, dict):
        raise BadRequest("The body is not a resource: a JSON object is needed.", code="structure")
    sent = body.get("resourceType")
    if not isinstance(sent, str):
        raise BadRequest(f'The body has no resourceType; "{resource_type}" is needed.', code="structure")
    if sent != resource_type:
        raise BadRequest(
            f"The resourceType of the body is not the type in the address, {resource_type}.",
            expression=f"{sent}.resourceType" if sent.isidentifier() else None,
        )
    return body


def check_id(resource: Resource, id: str) -> None:
    """Raise BadRequest unless the resource states the id of the address."""
    if resource.get("id") != id:
        problem = "is not the id in the address" if "id" in resource else "is missing; it must be the id in the address"
        raise BadRequest(f"The id in the body {problem}.", expression=f"{resource['resourceType']}.id")


def identified(resource: Resource, id: str) -> Resource:
    """A copy under this id, without `meta.versionId` and `meta.lastUpdated`: those are the server's to say."""
    copy: Resource = {"resourceType": resource["resourceType"], "id": id}
    for name, value in resource.items():
        if name == "meta" and isinstance(value, dict) and not _SERVER_META.isdisjoint(value):
            if kept := {key: item for key, item in value.items() if key not in _SERVER_META}:
                copy["meta"] = kept
        elif name not in ("resourceType", "id"):
            copy[name] = value
    return copy


def check_references(resource: Resource, base_url: str) -> None:
    """Raise Unprocessable for a reference by criteria: only a transaction resolves it, and elsewhere it would lead nowhere."""
    if b"?" not in dump(resource) or resource["resourceType"] == "Bundle":  # a Bundle keeps what it holds as it is
        return
    place = _conditional(resource, resource["resourceType"], base_url)
    if place is not None:
        raise Unprocessable(CONDITIONAL, code="value", expression=place)


def _conditional(value: Any, place: str, base_url: str) -> str | None:
    """Where the first such reference stands."""
    for key, each in value.items() if isinstance(value, dict) else enumerate(value):
        if isinstance(each, dict | list):
            inner = f"{place}[{key}]" if isinstance(value, list) else f"{place}.{key}"
            if (found := _conditional(each, inner, base_url)) is not None:
                return found
        elif key == "reference" and isinstance(each, str) and _CRITERIA.match(each.removeprefix(f"{base_url}/")):
            return f"{place}.reference"
    return None


async def admit(context: Context, interaction: str, resource: Resource, *, exists: bool) -> Admitted:
    """Check the candidate against the rules and the gate. `exists`: the id was named by the client."""
    found = await beside(len(dump(resource)), lambda: examined(context, interaction, resource))
    return await let_in(context, interaction, found, exists=exists)


def examined(context: Context, interaction: str, resource: Resource) -> Examined:
    """Check the candidate against the rules, and compute what is derived of it. Nothing is read; any thread may do it."""
    services = context.services
    resource_type = resource["resourceType"]
    texts = texts_of(resource)
    services.validator.check(resource, resource_type, texts)
    check_references(resource, services.base_url)
    if interaction == "update":
        _check_whole(resource)
    if context.principal.derives_interpretation and resource_type == "Observation":
        resource = interpreted(resource)
        texts = texts_of(resource)
    return Examined(resource, services.derive(resource_type, resource, texts))


async def let_in(context: Context, interaction: str, found: Examined, *, exists: bool) -> Admitted:
    """Ask the gate about a candidate that was examined."""
    services, principal = context.services, context.principal
    resource, derived = found.resource, found.derived
    resource_type, id = resource["resourceType"], resource["id"]
    permit = await context.decide(
        Request(
            interaction,
            resource_type,
            ids=(id,) if exists else (),
            candidate_owners=frozenset(derived.security.get("owners") or ()),
        )
    )
    if isinstance(permit, Granted) and permit.labels:
        resource = keep_labels(resource, permit.labels)
        await context.pace.step()
        labelled = resource
        derived = await beside(len(dump(resource)), lambda: services.derive(resource_type, labelled))
    check_candidate(principal, interaction, resource_type, as_stored(context, id, derived), permit)
    if resource_type == "Consent":
        check_enforced(principal, resource, services.base_url, services.zone, services.clock())
    await judge(services.parameters, resource)  # which takes its time, for those alone who may write one
    if exists:
        permit = keeping(permit, derived.security.get("labels") or ())
    return Admitted(resource, derived, permit)


def _check_whole(resource: Resource) -> None:
    """Raise Unprocessable for a part of a resource: it would take the place of the whole."""
    for tag in resource.get("meta", {}).get("tag", ()):
        if (tag.get("system"), tag.get("code")) == SUBSETTED:
            raise Unprocessable(_NOT_WHOLE, expression=f"{resource['resourceType']}.meta.tag")


def as_stored(context: Context, id: str, derived: Derived) -> dict[str, Any]:
    """The candidate as it would be stored, as far as a permit can look."""
    by = context.by()
    return {
        "_id": id,
        "deleted": False,
        "by": {"request": by.request, "principal": by.principal, "client": by.client},
        "index": derived.index,
        "security": derived.security,
    }
