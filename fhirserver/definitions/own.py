"""This server's own profiles, extensions, value sets and code systems, as the folder `profiles/` has them: by canonical URL.

https://hl7.org/fhir/R4/profiling.html
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

import msgspec

from fhirserver.definitions.registry import Lazy
from fhirserver.definitions.shipping import shipped
from fhirserver.definitions.wire import decode
from fhirserver.model.json import parse

Resources = Mapping[str, dict[str, Any]]
"""Resources by their canonical URL without version; they are not to be changed."""


@cache
def load_own(resource_type: str) -> Resources:
    """Those of one resource type; read when somebody first needs them."""
    paths = sorted(shipped("profiles").glob(f"*/{resource_type}-*.json"))
    return {each["url"]: each for each in (parse(path.read_bytes()) for path in paths)}


def beside(own: Resources, sections: Mapping[str, msgspec.Raw]) -> Resources:
    """What is compiled of R4 and what is this server's own, together. What is R4's stays R4's."""

    def made(url: str) -> dict[str, Any]:
        return decode(sections[url], dict[str, Any]) if url in sections else own[url]

    return Lazy({**own, **sections}, made)


def own_profiles(resource_type: str) -> list[str]:
    """The canonical URLs of the profiles on a resource type."""
    return sorted(url for url, each in load_own("StructureDefinition").items() if each["type"] == resource_type)
