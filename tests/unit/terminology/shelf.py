"""Resources at hand without a store, and the work that asks for them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from fhirserver.definitions import load_terminology
from fhirserver.terminology import Catalogue, Held, Wanted

T = TypeVar("T")
Json = dict[str, Any]


def worked(resources: Iterable[Json], work: Callable[[Catalogue], T]) -> T:
    """What the work gives, where these resources are all that is stored."""
    stored = list(resources)
    catalogue = Catalogue(load_terminology())
    while True:
        try:
            return work(catalogue)
        except Wanted as wanted:
            asked = wanted.asked
            found = next(
                (
                    each
                    for each in stored
                    if (each["resourceType"], each["url"]) == (asked.resource_type, asked.url)
                    and asked.version in (None, each.get("version"))
                ),
                None,
            )
            catalogue.add(asked, None if found is None else Held(id(found), found))


def code_system(url: str, concepts: list[Json], **more: Any) -> Json:
    return {"resourceType": "CodeSystem", "url": url, "content": "complete", "concept": concepts, **more}


def value_set(url: str, include: list[Json], exclude: list[Json] | None = None, **more: Any) -> Json:
    compose = {"include": include} | ({"exclude": exclude} if exclude else {})
    return {"resourceType": "ValueSet", "url": url, "compose": compose | more}


def filter(property: str, op: str, value: str) -> Json:
    return {"property": property, "op": op, "value": value}
