"""The patch interaction: an update that says only what changes.

A patch is applied to the version that was read, and stored only if that is still the current one; otherwise it is applied anew.
The resulting state passes the same door as the body of an update: validation, the rules on what is written, the permit.

https://hl7.org/fhir/R4/http.html#patch
"""

from __future__ import annotations

from typing import Any, Final, Protocol

from fhirserver.access.principal import allows
from fhirserver.fhirpath.patching import FhirPathPatch
from fhirserver.interactions.context import Context, Services
from fhirserver.interactions.reading.read import read
from fhirserver.interactions.writing.candidate import admit, identified, resource_of
from fhirserver.interactions.writing.commit import commit, stored, write_in
from fhirserver.model.json import dump, parse
from fhirserver.model.json_patch import JsonPatch
from fhirserver.model.outcome import BadRequest, Forbidden, MethodNotAllowed, NotFound, PreconditionFailed
from fhirserver.model.resource import Resource, Version
from fhirserver.store import Tx, Write, Written
from fhirserver.store.pace import beside

JSON_PATCH: Final = "application/json-patch+json"
PATCH_TYPES: Final = ("application/fhir+json", "application/fhir+xml", JSON_PATCH)
"""The forms of patches that are understood: FHIRPath Patch, as a Parameters resource, and JSON Patch."""


class Patch(Protocol):
    """What makes one state of a resource of another: a JSON Patch, a FHIRPath Patch, a change of its meta."""

    def apply(self, document: Any, /, *, root: str) -> Any:
        """The state that it makes; the one that is given may be changed. `root` begins the places of what cannot be done."""


_WRONG_VERSION: Final = "The resource's current version is not one that If-Match names."
_EXISTS: Final = "The resource exists already, and If-None-Match forbids to replace it."


async def read_json_patch(body: bytes) -> JsonPatch:
    """The JSON Patch that was sent, as a request's body or as a Binary in a Bundle. Raises BadRequest."""
    if not body:
        raise BadRequest("The body is empty; a JSON Patch is needed.", code="structure")
    return await beside(len(body), lambda: JsonPatch.read(parse(body)))


async def read_fhirpath_patch(context: Context, body: Any) -> FhirPathPatch:
    """The FHIRPath Patch that was sent, as a parsed body or in an entry of a Bundle. Raises BadRequest or Unprocessable."""
    return await beside(len(dump(body)), lambda: _read_fhirpath_patch(context.services, body))


def _read_fhirpath_patch(services: Services, body: Any) -> FhirPathPatch:
    parameters = resource_of(body, "Parameters")
    services.validator.check(parameters, "Parameters")
    return FhirPathPatch.read(services.definitions, parameters)


def patched(version: Version, patch: Patch) -> Resource:
    """The state that the patch makes of a version, without what is the server's own, within the bounds of any resource.

    Raises Unprocessable where the patch does not fit, BadRequest where it changes what a resource is.
    """
    result = patch.apply(version.parsed(), root=version.resource_type)
    try:
        result = parse(dump(result))
    except RecursionError:
        raise BadRequest("The patched resource is nested too deeply.", code="structure") from None
    resource = resource_of(result, version.resource_type)
    if resource.get("id") != version.id:
        raise BadRequest("A patch cannot change the id.", expression=f"{version.resource_type}.id")
    return identified(resource, version.id)


async def patch(
    context: Context,
    resource_type: str,
    id: str,
    changes: Patch,
    *,
    if_match: tuple[str, ...] | None = None,
    if_none_match_any: bool = False,
) -> Written:
    """Store the patched resource as the next version. What is absent, hidden or deleted is as for a read."""
    check_scope(context, resource_type)
    version, resource = await next_state(
        context, resource_type, id, changes, if_match, if_none_match_any=if_none_match_any
    )
    try:
        return stored(await commit(context, await _write(context, version, resource)))
    except (PreconditionFailed, MethodNotAllowed):
        # Another write came first, or hid it: what it is now is read anew, under the permit of now. Those who meet here take
        # turns, or each round of them would have one winner.
        return await _in_turn(context, resource_type, id, changes, if_match, if_none_match_any=if_none_match_any)


async def next_state(
    context: Context,
    resource_type: str,
    id: str,
    changes: Patch,
    if_match: tuple[str, ...] | None,
    *,
    if_none_match_any: bool,
) -> tuple[Version, Resource]:
    """The current version, and the state that the patch makes of it. What is absent, hidden or deleted is as for a read."""
    version = await read(context, resource_type, id, interaction="patch")
    if if_match is not None and version.version_id not in if_match and "*" not in if_match:
        raise PreconditionFailed(_WRONG_VERSION)
    if if_none_match_any:
        raise PreconditionFailed(_EXISTS)
    await context.pace.step()
    return version, await beside(len(version.json or b""), lambda: patched(version, changes))


def check_scope(context: Context, resource_type: str) -> None:
    """Raise Forbidden unless the token may read as well: a patch tests, and answers with, what is stored."""
    if not allows(context.principal, resource_type, "read"):
        raise Forbidden(scope=True)


async def _write(context: Context, version: Version, resource: Resource) -> Write:
    """The write that replaces this version, and no other, by the patched state. Raises what forbids that state."""
    admitted = await admit(context, "patch", resource, exists=True)
    return admitted.write(context.by(), if_match=(version.version_id,))


async def _in_turn(
    context: Context,
    resource_type: str,
    id: str,
    changes: Patch,
    if_match: tuple[str, ...] | None,
    *,
    if_none_match_any: bool,
) -> Written:
    """The patch, read and written in one transaction: who changes the resource meanwhile makes it run again."""

    async def body(tx: Tx) -> Written:
        inside = context.inside(tx)
        version, resource = await next_state(
            inside, resource_type, id, changes, if_match, if_none_match_any=if_none_match_any
        )
        write = await _write(inside, version, resource)
        try:
            return stored(await write_in(context, tx, write))
        except MethodNotAllowed:  # hidden since it was read
            raise NotFound from None

    key = f"patch {resource_type}/{id}"
    return await context.services.store.transact(body, types=(resource_type,), keys=(key,))
