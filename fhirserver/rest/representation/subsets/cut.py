"""A resource, cut down to its summary or to some of its elements, and marked as cut.

Whatever is left out, what stays is a resource that says nothing false: elements that must be there, and elements that change what
others mean, are always kept.

https://hl7.org/fhir/R4/search.html#summary and https://hl7.org/fhir/R4/search.html#elements
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, Final

from fhirserver.definitions import Definitions
from fhirserver.definitions.structures import Element
from fhirserver.interactions.writing.carried import SUBSETTED
from fhirserver.model.json import dump
from fhirserver.model.resource import Resource, Version
from fhirserver.search.request import WHOLE, Subset, Summary
from fhirserver.store.pace import beside

_TAG: Final = dict(zip(("system", "code"), SUBSETTED, strict=True))
_ALWAYS: Final = frozenset(("resourceType", "id", "meta"))
_TEXT: Final = frozenset(("text",))


async def subsetted(
    definitions: Definitions, subset: Subset, versions: Iterable[Version], *, is_match: bool = True
) -> list[Version]:
    """The versions with their texts cut. Large pages are cut beside the event loop, which has others to serve meanwhile."""
    whole = list(versions)
    if subset == WHOLE:
        return whole

    def work() -> list[Version]:
        return [_version(definitions, subset, version, is_match=is_match) for version in whole]

    return await beside(sum(len(version.json or b"") for version in whole), work)


def _version(definitions: Definitions, subset: Subset, version: Version, *, is_match: bool) -> Version:
    elements = subset.of(version.resource_type, is_match=is_match)
    if version.json is None or not (elements or subset.summary):
        return version
    return version._replace(json=dump(cut(definitions, version.parsed(), subset.summary, elements)))


def cut(definitions: Definitions, resource: Resource, summary: Summary | None, elements: frozenset[str]) -> Resource:
    """What is left of a resource, with the tag that says so."""
    resource_type = resource["resourceType"]
    if summary == "data":
        left = {name: value for name, value in resource.items() if name not in ("text", "_text")}
    elif summary == "true":
        left = _summarised(definitions, resource_type, resource)
    else:
        kept = _top(definitions, resource_type, _TEXT if summary == "text" else elements)
        left = {name: value for name, value in resource.items() if name.removeprefix("_") in kept}
    # The head is not a matter of flags: without it nothing else can be told whose it is.
    head: Resource = {name: resource[name] for name in ("resourceType", "id", "meta") if name in resource}
    return {**head, "meta": _tagged(head.get("meta", {})), **{k: v for k, v in left.items() if k not in _ALWAYS}}


def _tagged(meta: Mapping[str, Any]) -> dict[str, Any]:
    tags = meta.get("tag", [])
    if any((tag.get("system"), tag.get("code")) == SUBSETTED for tag in tags):
        return dict(meta)
    return {**meta, "tag": [*tags, _TAG]}


@lru_cache(maxsize=1024)
def _top(definitions: Definitions, resource_type: str, wanted: frozenset[str]) -> frozenset[str]:
    """The JSON names of the wanted elements of a type, and of those that are never left out."""
    kept = set(_ALWAYS)
    for element in definitions.children(resource_type):
        for name, _ in element.json_names():
            if _is_needed(element) or not wanted.isdisjoint((name, element.name, element.stem)):
                kept.add(name)
    return frozenset(kept)


def _is_needed(element: Element) -> bool:
    return element.min > 0 or element.is_modifier


def _summarised(definitions: Definitions, path: str, value: Mapping[str, Any]) -> dict[str, Any]:
    """The elements of the summary at a path, and inside of them those that their types count to it."""
    fields = _summary_fields(definitions, path)
    left: dict[str, Any] = {}
    for name, each in value.items():
        below = fields.get(name.removeprefix("_"))
        if below is None:
            continue
        if name.startswith("_") or not below:
            left[name] = each
        elif isinstance(each, list):
            left[name] = [_inside(definitions, below, item) for item in each]
        else:
            left[name] = _inside(definitions, below, each)
    return left


def _inside(definitions: Definitions, path: str, value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    # An element without content is none: what has nothing of the summary in it stays as it is.
    return _summarised(definitions, path, value) or value


@lru_cache(maxsize=4096)
def _summary_fields(definitions: Definitions, path: str) -> Mapping[str, str]:
    """The JSON names of the summary at a path, each with the path of what is inside: empty where that is kept whole."""
    fields: dict[str, str] = {}
    for element in definitions.children(path):
        if not (element.is_summary or _is_needed(element)):
            continue
        for name, type in element.json_names():
            if definitions.children(element.path):
                fields[name] = element.path
            else:
                fields[name] = type.code if type is not None and _has_inside(definitions, type.code) else ""
    return fields


def _has_inside(definitions: Definitions, type: str) -> bool:
    """Whether a type has elements of its own that may be left out. Resources in resources are kept whole, and extensions too."""
    structure = definitions.structures.get(type)
    return structure is not None and structure.kind == "complex-type" and type != "Extension"
