"""What a terminology operation is about: an instance, a canonical, or a resource that the request carries; and the codes it names.

https://hl7.org/fhir/R4/terminology-service.html
"""

from __future__ import annotations

from typing import Any

from fhirserver.access.gate.request import Request
from fhirserver.interactions.context import Context
from fhirserver.interactions.operations.operation import Invocation, Level
from fhirserver.interactions.operations.terminology.context import bound_value_set
from fhirserver.interactions.reading.read import read
from fhirserver.interactions.terminology import check_unchanged, worked
from fhirserver.model.outcome import BadRequest
from fhirserver.model.resource import Resource
from fhirserver.terminology import Asked, Catalogue, asked_for
from fhirserver.terminology.coded import Coded

Subject = Resource | Asked


async def subject(context: Context, invocation: Invocation, *, carried: str, version: str) -> Subject | None:
    """The resource, or the canonical under which it is looked up; None where nothing is named.

    `carried` is the parameter that holds a resource, `version` the one with the version of the canonical. Raises Forbidden where the
    token does not reach the type.
    """
    resource_type, url, resource = invocation.resource_type, invocation.one("url"), invocation.one(carried)
    if invocation.level is Level.INSTANCE:
        if url is not None or resource is not None:
            raise BadRequest(
                f"The address names the {resource_type}; 'url' and '{carried}' are for the operation on the type."
            )
        version_read = await read(context, resource_type, invocation.id)
        check_unchanged(context, version_read.updated, invocation.one("date"), f"{resource_type}/{invocation.id}")
        return version_read.parsed()
    await context.decide(Request("search-type", resource_type, patients=frozenset()))
    element = _context(invocation)
    if sum(each is not None for each in (url, resource, element)) > 1:
        raise BadRequest(f"One of 'url', 'context' and '{carried}' is sent.")
    if element is not None:
        validator = context.services.validator
        return await worked(context, lambda catalogue: bound_value_set(catalogue, validator, element))
    if resource is not None:
        return _valid(context, resource, resource_type)
    return None if url is None else asked_for(resource_type, url, invocation.one(version))


def _context(invocation: Invocation) -> str | None:
    """The element whose value set is meant. Its direction changes nothing: here one value set is bound both ways."""
    found, direction = invocation.one("context"), invocation.one("contextDirection")
    if direction is not None and (found is None or direction not in ("incoming", "outgoing")):
        raise BadRequest("'contextDirection' is incoming or outgoing, and comes with a 'context'.")
    return None if found is None else str(found)


def needed(found: Subject | None, carried: str) -> Subject:
    """The subject. Raises BadRequest where nothing is named."""
    if found is None:
        raise BadRequest(
            f"Name it by 'url', send it as '{carried}', or ask the operation of an instance.", code="required"
        )
    return found


def at_hand(catalogue: Catalogue, subject: Subject) -> Any:
    """The resource itself. Raises `Wanted`, or Unresolved where it is not here."""
    if not isinstance(subject, Asked):
        return subject
    found = catalogue.resource(subject)
    if found is None:
        raise subject.absent()
    return found


def codings(invocation: Invocation, *, system: str | None, version: str) -> list[Coded]:
    """The code, coding or codeableConcept that is sent. Raises BadRequest unless it is one of them.

    `system` is that of a bare code where the request does not say another; `version` the parameter with the version of the system.
    """
    code, coding, concept = (invocation.one(each) for each in ("code", "coding", "codeableConcept"))
    if sum(each is not None for each in (code, coding, concept)) != 1:
        raise BadRequest("Send one of 'code', 'coding' and 'codeableConcept'.", code="required")
    if code is not None:
        stated = invocation.one("system") or system
        if stated is None and invocation.one("context") is None:
            raise BadRequest("A 'code' is sent with its 'system'.", code="required")
        return [Coded(stated, code, invocation.one("display"), invocation.one(version))]
    stated_codings = [coding] if coding is not None else concept.get("coding", [])
    if not isinstance(stated_codings, list):
        raise BadRequest("The codings of 'codeableConcept' are a list.")
    return [coded(each) for each in stated_codings]


def coded(coding: Any) -> Coded:
    """A Coding that is sent, which has a code."""
    if not isinstance(coding, dict):
        raise BadRequest("A coding is an object.", code="structure")
    system, code, display, version = (_text(coding, each) for each in ("system", "code", "display", "version"))
    if not code:
        raise BadRequest("A coding has a code.", code="required")
    return Coded(system, code, display, version)


def _text(coding: dict[str, Any], name: str) -> str | None:
    found = coding.get(name)
    if found is None or isinstance(found, str):
        return found or None
    raise BadRequest(f"The {name} of a coding is a text.", code="structure")


def _valid(context: Context, resource: Any, resource_type: str) -> Resource:
    context.services.validator.check(resource, resource_type)
    found: Resource = resource
    return found


def parameters(*parts: dict[str, Any] | None) -> Resource:
    """A Parameters resource of what there is."""
    return {"resourceType": "Parameters", "parameter": [each for each in parts if each is not None]}


def value(name: str, type: str, given: Any) -> dict[str, Any] | None:
    """A parameter with its value; None where there is none."""
    return None if given is None else {"name": name, f"value{type}": given}
