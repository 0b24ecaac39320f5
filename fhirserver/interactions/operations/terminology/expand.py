"""The operation `$expand`: the codes of a value set, filtered and in pages.

https://hl7.org/fhir/R4/valueset-operation-expand.html
"""

from __future__ import annotations

from typing import Any, Final

from fhirserver.interactions.context import Context
from fhirserver.interactions.operations.operation import Invocation, Level, Operation
from fhirserver.interactions.operations.terminology.subject import Subject, at_hand, needed, subject
from fhirserver.interactions.terminology import worked
from fhirserver.model.outcome import BadRequest, Unprocessable
from fhirserver.model.resource import Resource
from fhirserver.terminology import Catalogue, ValueSet
from fhirserver.terminology.expansion import Choice, expanded

_SHAPING: Final = {
    "filter": "String",
    "date": "DateTime",
    "offset": "Integer",
    "count": "Integer",
    "includeDesignations": "Boolean",
    "designation": "String",
    "activeOnly": "Boolean",
    "excludeNotForUI": "Boolean",
    "displayLanguage": "Code",
    "exclude-system": "Uri",
    "system-version": "Uri",
    "check-system-version": "Uri",
    "force-system-version": "Uri",
}
"""Parameters that the expansion names, because it is as it is by them, with the types of their values there."""


async def expand(context: Context, invocation: Invocation) -> Resource:
    """The value set with its expansion."""
    found = needed(await subject(context, invocation, carried="valueSet", version="valueSetVersion"), "valueSet")
    choice = _choice(invocation)
    now, identifier = context.now(), f"urn:uuid:{context.services.new_id()}"

    def work(catalogue: Catalogue) -> Resource:
        value_set = _with_versions(catalogue, found, invocation)
        return expanded(value_set, choice, identifier=identifier, now=now, asked=_asked(invocation))

    return await worked(context, work, invocation.one("date"))


def _choice(invocation: Invocation) -> Choice:
    offset, count = invocation.one("offset") or 0, invocation.one("count")
    if offset < 0 or (count is not None and count < 0):
        raise BadRequest("'offset' and 'count' are not negative.")
    return Choice(
        filter=invocation.one("filter") or "",
        offset=offset,
        count=count,
        designations=bool(invocation.one("includeDesignations") or invocation.one("designation")),
        designation=tuple(invocation.parameters.get("designation", ())),
        definition=bool(invocation.one("includeDefinition")),
        active_only=bool(invocation.one("activeOnly")),
        selectable_only=bool(invocation.one("excludeNotForUI")),
        language=invocation.one("displayLanguage"),
        nested=invocation.one("excludeNested") is False,
        without_systems=frozenset(invocation.parameters.get("exclude-system", ())),
    )


def _with_versions(catalogue: Catalogue, found: Subject, invocation: Invocation) -> ValueSet:
    """The value set, its code systems of the versions that the request asks for."""
    default, checked, forced = (
        _versions(invocation, name) for name in ("system-version", "check-system-version", "force-system-version")
    )
    catalogue.versions = default | checked
    catalogue.forced = forced
    value_set = ValueSet(catalogue, at_hand(catalogue, found))
    for system, wanted in checked.items():
        for each in value_set.members():
            if each.system == system and each.version not in (None, wanted):
                raise Unprocessable(
                    f"The value set uses version '{each.version}' of '{system[:300]}', not '{wanted[:100]}'."
                )
    return value_set


def _versions(invocation: Invocation, name: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for each in invocation.parameters.get(name, ()):
        system, _, version = each.partition("|")
        if not version:
            raise BadRequest(f"'{name}' is written system|version.")
        found[system] = version
    return found


def _asked(invocation: Invocation) -> list[dict[str, Any]]:
    nested = invocation.one("excludeNested") is False
    asked: list[dict[str, Any]] = [{"name": "excludeNested", "valueBoolean": not nested}]
    for name, type in _SHAPING.items():
        asked += [{"name": name, f"value{type}": each} for each in invocation.parameters.get(name, ())]
    return asked


EXPAND: Final = Operation(
    "expand",
    "http://hl7.org/fhir/OperationDefinition/ValueSet-expand",
    frozenset((Level.TYPE, Level.INSTANCE)),
    expand,
    parameters=frozenset(_SHAPING)
    | {
        "url",
        "context",
        "contextDirection",
        "valueSet",
        "valueSetVersion",
        "includeDefinition",
        "excludeNested",
        "excludePostCoordinated",
    },
    resource_types=frozenset(("ValueSet",)),
)
