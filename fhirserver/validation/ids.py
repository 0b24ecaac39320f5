"""Ids of elements that are given twice in one resource: what refers to such an element refers to none.

HL7's own StructureDefinitions have each id of an element in the snapshot and in the differential, and writes are taken with
repeated ids. So this is advice, and those two are looked at apart.

https://hl7.org/fhir/R4/element.html
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from fhirserver.model.outcome import Issue
from fhirserver.model.resource import Resource

_APART: Final = frozenset(("contained", "resource", "snapshot", "differential"))
"""What has ids of its own: other resources, and the two forms of a StructureDefinition."""
_TWICE: Final = "The id of this element is that of another one in this resource; it must be unique within it."


def repeated(resource: Resource) -> list[Issue]:
    """A warning for each element that has the id of one before it."""
    return list(_in_scope(resource, str(resource.get("resourceType", ""))))


def _in_scope(node: dict[str, Any], place: str) -> Iterator[Issue]:
    seen: set[str] = set()
    for id, where in _ids(node, place, is_top=True):
        if isinstance(id, Issue):
            yield id
        elif id in seen:
            yield Issue("warning", "duplicate", _TWICE, f"{where}.id")
        else:
            seen.add(id)


def _ids(node: dict[str, Any], place: str, *, is_top: bool = False) -> Iterator[tuple[str | Issue, str]]:
    """The ids below a node with their places, and what is found in the scopes inside of it."""
    id = node.get("id")
    if isinstance(id, str) and not is_top:
        yield id, place
    for name, value in node.items():
        many = isinstance(value, list)
        for number, each in enumerate(value if many else (value,)):
            if not isinstance(each, dict):
                continue
            below = f"{place}.{name.removeprefix('_')}{f'[{number}]' if many else ''}"
            if name in _APART:
                yield from ((issue, below) for issue in _in_scope(each, below))
            else:
                yield from _ids(each, below)
