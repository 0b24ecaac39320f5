"""The first resource of a document or a message, in what is stored of its Bundle: kept as if the Bundle contained it.

So `Bundle:composition` and `Bundle:message` are references to it, and chains through them find what a chain to a contained resource
finds. Who sees the Bundle sees what it holds.

https://hl7.org/fhir/R4/bundle.html#search
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from fhirserver.search.index.contained import FRAGMENTS, Extract, Fields, gathered

BUNDLE: Final = "Bundle"
_FIRST: Final = {"document": ("composition", "Composition"), "message": ("message", "MessageHeader")}
_NAMELESS: Final = "first"
"""What stands for an id where the resource has none."""


def opened(extract: Extract, known: frozenset[str], bundle: Mapping[str, Any]) -> Fields:
    """What is stored of the first resource of a Bundle, if a search parameter leads to it."""
    code, resource_type = _FIRST.get(bundle.get("type", ""), ("", ""))
    entries = bundle.get("entry") or [{}]
    first = entries[0].get("resource", {})
    if not code or first.get("resourceType") != resource_type:
        return {}
    inner = {"id": _NAMELESS, **first}
    leading: Fields = {code: {FRAGMENTS: [inner["id"]]}}
    container = {"resourceType": BUNDLE, "contained": [inner]}
    return {**leading, **gathered(extract, known, container, leading)}
