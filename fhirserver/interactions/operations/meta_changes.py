"""The operations `$meta-add` and `$meta-delete`: profiles, security labels and tags of a resource, put on and taken off.

Each makes a new version, as any other write does, and comes under the same rules: labels may be raised, not lowered.

https://hl7.org/fhir/R4/resource-operation-meta-add.html and https://hl7.org/fhir/R4/resource-operation-meta-delete.html
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from fhirserver.access.reasons import LABELS_LOWERED
from fhirserver.interactions.context import Context
from fhirserver.interactions.operations.operation import Invocation, Level, Operation
from fhirserver.interactions.reading.read import read
from fhirserver.interactions.writing.patch import patch
from fhirserver.model.outcome import BadRequest, Forbidden
from fhirserver.model.resource import Resource

KINDS: Final = ("profile", "security", "tag")
_OF_VERSION: Final = frozenset(("versionId", "lastUpdated"))
"""What a client that sends the meta it has read sends along; it says nothing here."""


async def meta_add(context: Context, invocation: Invocation) -> Resource:
    """The meta with what was put on."""
    return await _changed(context, invocation, _Change(_sent(invocation), is_addition=True, may_lower=True))


async def meta_delete(context: Context, invocation: Invocation) -> Resource:
    """The meta without what was taken off."""
    change = _Change(_sent(invocation), is_addition=False, may_lower=context.principal.is_operator)
    return await _changed(context, invocation, change)


def _sent(invocation: Invocation) -> dict[str, list[Any]]:
    meta = invocation.one("meta")
    if meta.keys() - _OF_VERSION - set(KINDS):
        raise BadRequest(f"The meta of this operation has {', '.join(KINDS)} alone.", code="not-supported")
    sent = {name: meta[name] for name in KINDS if name in meta}
    if not all(isinstance(each, list) for each in sent.values()) or not all(
        isinstance(each, str if name == "profile" else dict) for name, several in sent.items() for each in several
    ):
        raise BadRequest("Profiles are a list of canonicals, security and tag are lists of Codings.", code="structure")
    return sent


async def _changed(context: Context, invocation: Invocation, change: _Change) -> Resource:
    type, id = invocation.resource_type, invocation.id
    try:
        version = (await patch(context, type, id, change)).version
    except _NothingToDo:
        version = await read(context, type, id)
    return {"resourceType": "Parameters", "parameter": [{"name": "return", "valueMeta": version.parsed()["meta"]}]}


class _NothingToDo(Exception):
    """It is as it was asked to be: no version is made of that."""


@dataclass(frozen=True, slots=True)
class _Change:
    """The change of a meta, as a patch of the resource."""

    sent: dict[str, list[Any]]
    is_addition: bool
    may_lower: bool

    def apply(self, document: Any, *, root: str) -> Any:
        """The resource with its meta changed. Raises Forbidden where a label would go that has to stay."""
        before = document.get("meta", {})
        meta = {name: value for name, value in before.items() if name not in KINDS}
        for name in KINDS:
            if now := self._values(before.get(name, []), self.sent.get(name, [])):
                meta[name] = now
        if all(meta.get(name, []) == before.get(name, []) for name in KINDS):
            raise _NothingToDo
        if not self.may_lower and meta.get("security", []) != before.get("security", []):
            raise Forbidden(LABELS_LOWERED)
        return {**document, "meta": meta}

    def _values(self, old: list[Any], sent: list[Any]) -> list[Any]:
        known = {_key(each) for each in (old if self.is_addition else sent)}
        if not self.is_addition:
            return [each for each in old if _key(each) not in known]
        new = {_key(each): each for each in sent if _key(each) not in known}
        return [*old, *new.values()]


def _key(value: Any) -> str:
    """What makes two of them one: a canonical, or the system and code of a Coding."""
    return value if isinstance(value, str) else f"{value.get('system', '')}|{value.get('code', '')}"


META_CHANGES: Final = tuple(
    Operation(
        code,
        f"http://hl7.org/fhir/OperationDefinition/Resource-{code}",
        frozenset((Level.INSTANCE,)),
        handle,
        frozenset(("meta",)),
        affects_state=True,
    )
    for code, handle in (("meta-add", meta_add), ("meta-delete", meta_delete))
)
