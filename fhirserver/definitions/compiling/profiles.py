"""R4's own profiles and definitions of extensions: their differentials, without prose.

https://hl7.org/fhir/R4/profilelist.html
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from fhirserver.definitions.compiling.package import Definition
from fhirserver.definitions.compiling.structures import MAX_VALUE_SET
from fhirserver.definitions.wire import WireProfiles, raw

_HEAD: Final = (
    "resourceType",
    "url",
    "version",
    "name",
    "status",
    "kind",
    "abstract",
    "type",
    "baseDefinition",
    "derivation",
    "contextInvariant",
)
_ELEMENT: Final = ("id", "path", "sliceName", "min", "max", "maxLength", "contentReference", "isModifier")
_VALUES: Final = ("fixed", "pattern", "minValue", "maxValue")
_TYPE: Final = ("code", "profile", "targetProfile")


def compile_profiles(definitions: Iterable[Definition]) -> WireProfiles:
    """The constraints on other structures, by URL."""
    chosen = (each for each in definitions if each.get("derivation") == "constraint")
    return WireProfiles({each["url"]: raw(_profile(each)) for each in chosen})


def _only(definition: Definition, names: Iterable[str]) -> Definition:
    return {name: definition[name] for name in names if name in definition}


def _profile(definition: Definition) -> Definition:
    kept = _only(definition, _HEAD)
    if "context" in definition:
        kept["context"] = [_only(each, ("type", "expression")) for each in definition["context"]]
    return kept | {"differential": {"element": [_element(each) for each in definition["differential"]["element"]]}}


def _element(element: Definition) -> Definition:
    kept = _only(element, _ELEMENT)
    kept |= {name: value for name, value in element.items() if name.startswith(_VALUES)}
    if "slicing" in element:
        kept["slicing"] = _only(element["slicing"], ("discriminator", "ordered", "rules"))
    if "type" in element:
        kept["type"] = [_only(each, _TYPE) for each in element["type"]]
    if "constraint" in element:
        kept["constraint"] = [_only(each, ("key", "severity", "expression")) for each in element["constraint"]]
    if "binding" in element:
        kept["binding"] = _binding(element["binding"])
    return kept


def _binding(binding: Definition) -> dict[str, Any]:
    kept = _only(binding, ("strength", "valueSet"))
    maximum = [each for each in binding.get("extension", ()) if each["url"] == MAX_VALUE_SET]
    return kept | ({"extension": maximum} if maximum else {})
