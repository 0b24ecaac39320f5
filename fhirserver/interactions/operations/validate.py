"""The operation `$validate`: what is wrong with a resource, and whether a write of it would be taken.

With a mode the write itself is done, in a transaction that is never committed: its answer is that of the write by construction,
for what is hidden too. Codes and profiles are judged besides: a write is not refused for them, so they are not part of the rehearsal.

https://hl7.org/fhir/R4/resource-operation-validate.html
"""

from __future__ import annotations

from typing import Any, Final

from fhirserver.interactions.bundles import Done, Entry, Failed, rehearse
from fhirserver.interactions.context import Context
from fhirserver.interactions.operations.operation import Invocation, Level, Operation
from fhirserver.interactions.reading.read import read
from fhirserver.interactions.terminology import judged
from fhirserver.interactions.writing.candidate import identified
from fhirserver.model.json import dump
from fhirserver.model.outcome import BadRequest, FhirError, Issue, operation_outcome
from fhirserver.model.resource import Resource
from fhirserver.store.pace import beside
from fhirserver.validation import complete, error_for

_MODES: Final = ("create", "update", "delete", "profile")
_TAKEN: Final = "The write would be taken: code systems and profiles are not what a write is held against."
_NOT_THIS_ID: Final = "The id in the resource is not the id in the address."
_NO_ID: Final = "The id is missing; an update names the resource that it replaces."
_NOTHING_THERE: Final = "There is nothing to delete; a deletion is answered as if there were."


async def validate(context: Context, invocation: Invocation) -> Resource:
    """Everything that is wrong, as an OperationOutcome; one that says so where nothing is."""
    mode, resource = invocation.one("mode"), invocation.one("resource")
    _check(invocation, mode, resource)
    if mode == "delete":
        return operation_outcome(complete(await _deletion(context, invocation)))
    if resource is None:
        resource = await _stored(context, invocation)
    issues = await _issues(context, invocation, mode, resource)
    validator = context.services.validator
    profiles, now = invocation.parameters.get("profile", ()), context.services.clock()
    further = await judged(
        context, lambda known: validator.conformance(resource, issues, known, profiles, now, context.allowance)
    )
    if mode in ("create", "update") and error_for(issues) is None and error_for(further) is not None:
        further.append(Issue("information", "informational", _TAKEN))
    return operation_outcome(complete([*issues, *further]))


async def _issues(context: Context, invocation: Invocation, mode: str | None, resource: Any) -> list[Issue]:
    """What refuses a write of the resource; if nothing does, why that very write would be refused that the mode asks about."""
    type, validator = invocation.resource_type, context.services.validator
    if mode not in ("create", "update") or not isinstance(resource, dict) or resource.get("resourceType") != type:
        return await beside(len(dump(resource)), lambda: validator.validate(resource, resource_type=type))
    is_create = mode == "create"
    id = invocation.id or resource.get("id")
    # An id of a new resource is the server's to give: what was sent is not looked at.
    named = identified(resource, "new" if is_create else resource.get("id", "none"))
    issues = await beside(len(dump(named)), lambda: validator.validate(named))
    if not is_create and (id is None or resource.get("id") != id):
        issues.append(Issue("error", "value", _NOT_THIS_ID if "id" in resource else _NO_ID, f"{type}.id"))
    if error_for(issues) is None:
        entry = Entry("POST", type, body=resource) if is_create else Entry("PUT", type, id=id, body=resource)
        issues += (await _refusals(context, entry))[0]
    return issues


def _check(invocation: Invocation, mode: str | None, resource: Any) -> None:
    """Raise BadRequest for what cannot be asked."""
    profile = invocation.one("profile")
    if mode is not None and mode not in _MODES:
        raise BadRequest(f"The mode is one of {', '.join(_MODES)}.", code="value")
    if mode == "profile" and profile is None:
        raise BadRequest("The mode profile needs a profile.", code="required")
    is_instance = invocation.level is Level.INSTANCE
    if mode == "delete" and (resource is not None or not is_instance):
        raise BadRequest("Whether a resource can be deleted is asked at its own address, without a resource.")
    if mode == "create" and is_instance:
        raise BadRequest("Whether a resource can be created is asked of its type, not of an id.")
    if resource is None and not is_instance:
        raise BadRequest("A resource is needed: as the body, or as the parameter 'resource'.", code="required")


async def _stored(context: Context, invocation: Invocation) -> Resource:
    return (await read(context, invocation.resource_type, invocation.id)).parsed()


async def _deletion(context: Context, invocation: Invocation) -> list[Issue]:
    issues, done = await _refusals(context, Entry("DELETE", invocation.resource_type, id=invocation.id))
    if done is not None and done.version is None:
        issues.append(Issue("information", "not-found", _NOTHING_THERE))
    return issues


async def _refusals(context: Context, entry: Entry) -> tuple[list[Issue], Done | None]:
    """Why the write would be refused; or what would come of it."""
    try:
        return [], await rehearse(context, entry)
    except Failed as failed:
        error: FhirError = failed.failures[0][1]
        if error.status >= 500:
            raise error from None
        return list(error.issues), None


VALIDATE: Final = Operation(
    "validate",
    "http://hl7.org/fhir/OperationDefinition/Resource-validate",
    frozenset((Level.TYPE, Level.INSTANCE)),
    validate,
    parameters=frozenset(("resource", "mode", "profile")),
)
