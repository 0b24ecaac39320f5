"""Translation of codes by concept maps, forwards and backwards.

https://hl7.org/fhir/R4/conceptmap.html and https://hl7.org/fhir/R4/conceptmap-operation-translate.html
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from fhirserver.definitions.codes.values import unversioned
from fhirserver.model.outcome import Unprocessable
from fhirserver.terminology.catalogue import Catalogue, Json
from fhirserver.terminology.coded import Coded
from fhirserver.terminology.value_set import asked_for

MAX_MAPS: Final = 16
"""Maps that send on to one another."""
UNMATCHED: Final = frozenset(("unmatched", "disjoint"))
"""Equivalences that say that there is no translation."""
_BACKWARDS: Final[Mapping[str, str]] = {
    "wider": "narrower",
    "narrower": "wider",
    "subsumes": "specializes",
    "specializes": "subsumes",
}


@dataclass(frozen=True, slots=True)
class Match:
    """A translation: how near it is, the code, what comes with it, and the map it is from."""

    equivalence: str
    concept: Mapping[str, Any] | None
    source: str | None
    products: tuple[Json, ...] = ()
    depends: tuple[Json, ...] = ()
    """What it hangs on: elements of the source and the values that they must have."""

    @property
    def translates(self) -> bool:
        """Whether the code means something like the one that was asked for."""
        return self.equivalence not in UNMATCHED


def translated(
    catalogue: Catalogue, concept_map: Json, coded: Coded, *, target_system: str | None = None, reverse: bool = False
) -> list[Match]:
    """What the map makes of the code; to one system, if it is named. Backwards, from its targets to its sources."""
    translate = _backwards if reverse else _forwards
    found = list(translate(catalogue, concept_map, coded, ()))
    if target_system is None:
        return found
    return [each for each in found if each.concept is None or each.concept.get("system") == target_system]


def is_met(match: Match, dependencies: Mapping[str, Sequence[Json]]) -> bool:
    """Whether the elements that a match hangs on have its values; they are sent as concepts by the element's URI."""
    return all(
        any(_has_value(concept, each) for concept in dependencies.get(str(each.get("property")), ()))
        for each in match.depends
    )


def _has_value(concept: Json, depends: Json) -> bool:
    value, system = depends.get("value"), depends.get("system")
    codings = concept.get("coding", ())
    if system is None and concept.get("text") == value:
        return True
    return any(each.get("code") == value and system in (None, each.get("system")) for each in codings)


def is_between(concept_map: Json, source: str | None, target: str | None, *, reverse: bool) -> bool:
    """Whether the map is from the one value set to the other, as far as they are named."""
    ends = _end(concept_map, "source"), _end(concept_map, "target")
    has_source, has_target = reversed(ends) if reverse else ends
    return (source is None or unversioned(source) == has_source) and (
        target is None or unversioned(target) == has_target
    )


def _end(concept_map: Json, name: str) -> str | None:
    stated = concept_map.get(f"{name}Canonical") or concept_map.get(f"{name}Uri")
    return unversioned(stated) if isinstance(stated, str) else None


def _forwards(catalogue: Catalogue, concept_map: Json, coded: Coded, within: tuple[str, ...]) -> Iterator[Match]:
    url = concept_map.get("url")
    for group in concept_map.get("group", ()):
        catalogue.spend(1 + len(group["element"]) // 10)
        if group.get("source") not in (None, coded.system):
            continue
        stated = [each for each in group["element"] if each.get("code") == coded.code]
        for target in (target for element in stated for target in element.get("target", ())):
            yield Match(
                target.get("equivalence", "relatedto"),
                _coding(group, target),
                url,
                tuple(target.get("product", ())),
                tuple(target.get("dependsOn", ())),
            )
        if not stated and "unmapped" in group:
            yield from _unmapped(catalogue, concept_map, group, coded, within)


def _coding(group: Json, target: Json) -> Mapping[str, Any] | None:
    if "code" not in target:
        return None
    found = {"system": group.get("target"), "version": group.get("targetVersion")}
    found |= {"code": target["code"], "display": target.get("display")}
    return {name: value for name, value in found.items() if value is not None}


def _unmapped(
    catalogue: Catalogue, concept_map: Json, group: Json, coded: Coded, within: tuple[str, ...]
) -> Iterator[Match]:
    """What the group says of codes that it does not list."""
    unmapped, url = group["unmapped"], concept_map.get("url")
    match unmapped.get("mode"):
        case "provided":
            yield Match("equivalent", _coding(group, {"code": coded.code, "display": coded.display}), url)
        case "fixed":
            # The one code that stands for all the others: how near it is, nobody said.
            yield Match("relatedto", _coding(group, unmapped), url)
        case "other-map":
            asked = asked_for("ConceptMap", unmapped.get("url"))
            if asked.canonical in within or len(within) >= MAX_MAPS:
                raise Unprocessable("The concept maps send on to one another without end.")
            other = catalogue.resource(asked)
            if other is None:
                raise asked.absent()
            yield from _forwards(catalogue, other, coded, (*within, asked.canonical))


def _backwards(catalogue: Catalogue, concept_map: Json, coded: Coded, within: tuple[str, ...]) -> Iterator[Match]:
    url = concept_map.get("url")
    for group in concept_map.get("group", ()):
        catalogue.spend(1 + len(group["element"]) // 10)
        if group.get("target") not in (None, coded.system):
            continue
        for element in group["element"]:
            for target in element.get("target", ()):
                if target.get("code") == coded.code:
                    stated = target.get("equivalence", "relatedto")
                    yield Match(_BACKWARDS.get(stated, stated), _source(group, element), url)


def _source(group: Json, element: Json) -> Mapping[str, Any] | None:
    turned = {"target": group.get("source"), "targetVersion": group.get("sourceVersion")}
    return _coding(turned, element)
