"""Code systems, read once from their resource: concepts in their order, properties, and the hierarchy.

https://hl7.org/fhir/R4/codesystem.html
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, Final, NamedTuple

from fhirserver.terminology.hierarchy import Hierarchy

_CONCEPT_PROPERTIES: Final = "http://hl7.org/fhir/concept-properties#"
_SUBSUMING: Final = (None, "is-a")
"""The meanings of nesting by which the inner code is a kind of the outer one; where nothing is said, it is taken to be so."""
_FAMILY: Final = frozenset(("parent", "subsumedBy", "child"))
_DECIDING: Final = _FAMILY | {"inactive", "deprecated", "status", "notSelectable", "abstract"}
"""Properties by which it is decided what a code is good for."""
_INACTIVE: Final = frozenset(("retired", "inactive"))

Json = Mapping[str, Any]


_CHARACTERS = 1_000
"""Written in a concept of ordinary length, at most."""


class Concept(NamedTuple):
    """A code with what is said of it. `properties` are name and value, a Coding being its code; `stated` are the same as they stand
    in the resource. A tuple, because a code system makes many.
    """

    code: str
    display: str | None
    definition: str | None
    designations: Sequence[Json]
    properties: tuple[tuple[str, Any], ...]
    stated: Sequence[Json]

    def values(self, name: str) -> list[Any]:
        """The values of a property."""
        return [value for each, value in self.properties if each == name]

    def has(self, name: str, text: str = "true") -> bool:
        """Whether a property has this value, in the text that filters use."""
        return any(as_text(value) == text for value in self.values(name))

    @property
    def is_abstract(self) -> bool:
        """Whether it only groups others, and is not to be chosen."""
        return self.has("notSelectable") or self.has("abstract")

    @property
    def is_inactive(self) -> bool:
        """Whether it is no longer to be used."""
        return self.has("inactive") or any(as_text(value) in _INACTIVE for value in self.values("status"))

    def shown(self, language: str | None = None) -> str | None:
        """The display, in this language if it has one."""
        return designated(self.designations, language) or self.display


class CodeSystem:
    """A code system. `concepts` keep the order of the resource."""

    def __init__(self, resource: Json, supplements: Sequence[Json] = ()) -> None:
        self.url: str = resource.get("url", "")
        self.version: str | None = resource.get("version")
        self.name: str = resource.get("name") or resource.get("title") or self.url
        self.content: str = resource.get("content", "")
        self.folds: Final = resource.get("caseSensitive") is False
        """Whether upper and lower case are the same code. Where the resource does not say, they are not."""
        self.declared: Final = {each["code"]: each for each in resource.get("property", ()) if "code" in each}
        # A property means what its URI says, whatever its code.
        self.meaning: Final = {code: _standard(each.get("uri")) or code for code, each in self.declared.items()}
        reading = _Reading(self.meaning, resource.get("hierarchyMeaning") in _SUBSUMING)
        reading.read(resource.get("concept", ()), None)
        for each in supplements:
            _supplement(reading.concepts, each, self.version)
        self.concepts: Final[Mapping[str, Concept]] = reading.concepts
        self._parents = reading.parents

    @property
    def is_complete(self) -> bool:
        """Whether a code that is not in it is none of the code system."""
        return self.content == "complete"

    @cached_property
    def weight(self) -> int:
        """How much memory it takes, in concepts of ordinary length."""
        return max(len(self.concepts), 1) + sum(map(_characters, self.concepts.values())) // _CHARACTERS

    @cached_property
    def hierarchy(self) -> Hierarchy:
        """Which code is a kind of which."""
        return Hierarchy(self._parents)

    @cached_property
    def _folded(self) -> Mapping[str, str]:
        folded: dict[str, str] = {}
        for code in self.concepts:
            folded.setdefault(code.casefold(), code)
        return folded

    @cached_property
    def used(self) -> frozenset[str]:
        """The names of the properties that some concept has."""
        return frozenset(name for each in self.concepts.values() for name, _ in each.properties)

    def find(self, code: str) -> Concept | None:
        """The concept of a code, in another case too where case does not matter."""
        found = self.concepts.get(code)
        if found is None and self.folds:
            found = self.concepts.get(self._folded.get(code.casefold(), ""))
        return found


def _characters(concept: Concept) -> int:
    """How much is written in a concept."""
    written = len(concept.code) + len(concept.display or "") + len(concept.definition or "")
    for each in (*concept.designations, *concept.stated):
        written += len(str(each))
    return written


class _Reading:
    """Concepts that are being read: nested ones, and those that name each other as properties."""

    def __init__(self, meaning: Mapping[str, str], nesting_subsumes: bool) -> None:
        self._meaning = meaning
        self._nesting_subsumes = nesting_subsumes
        self.concepts: dict[str, Concept] = {}
        self.parents: dict[str, dict[str, None]] = {}

    def read(self, concepts: Sequence[Json], parent: str | None) -> None:
        """Take in what stands below one concept, or at the top."""
        for each in concepts:
            code = each.get("code")
            if not isinstance(code, str):
                continue
            above = self.parents.setdefault(code, {})
            if parent is not None and self._nesting_subsumes:
                above[parent] = None
            stated = each.get("property", ())
            properties = tuple([pair for one in stated for pair in self._property(one)])
            for name, value in properties:
                if name in _FAMILY:
                    self._relate(code, name, str(value))
            if code not in self.concepts:
                self.concepts[code] = Concept(
                    code, each.get("display"), each.get("definition"), each.get("designation", ()), properties, stated
                )
            if "concept" in each:
                self.read(each["concept"], code)

    def _property(self, stated: Json) -> list[tuple[str, Any]]:
        name = stated.get("code", "")
        return [
            (self._meaning.get(name, name), value.get("code", "") if isinstance(value, dict) else value)
            for key, value in stated.items()
            if key.startswith("value")
        ]

    def _relate(self, code: str, name: str, other: str) -> None:
        if name == "child":
            self.parents.setdefault(other, {})[code] = None
        else:
            self.parents[code][other] = None


def _supplement(concepts: dict[str, Concept], supplement: Json, version: str | None) -> None:
    """Add what a supplement says of the concepts: displays and properties in plain words.

    Which codes there are, what is below what, and which are still in use stays what the code system says.
    """
    stated = str(supplement.get("supplements", "")).partition("|")[2]
    if stated and stated != version:
        return
    language, waiting = supplement.get("language"), list(supplement.get("concept", ()))
    while waiting:
        each = waiting.pop()
        waiting += each.get("concept", ())
        known = concepts.get(each.get("code", ""))
        if known is None:
            continue
        shown = [{"language": language, "value": each["display"]}] if language and "display" in each else []
        stated_here = [one for one in each.get("property", ()) if one.get("code") not in _DECIDING]
        concepts[known.code] = known._replace(
            designations=(*known.designations, *each.get("designation", ()), *shown),
            stated=(*known.stated, *stated_here),
        )


def _standard(uri: Any) -> str | None:
    return (
        uri.removeprefix(_CONCEPT_PROPERTIES) if isinstance(uri, str) and uri.startswith(_CONCEPT_PROPERTIES) else None
    )


def as_text(value: Any) -> str:
    """A property's value as filters write it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def designated(designations: Sequence[Json], language: str | None) -> str | None:
    """The designation in a language; that of a region will do for the language, and the other way round."""
    if language is None:
        return None
    for each in designations:
        spoken = str(each.get("language", ""))
        if spoken.casefold() == language.casefold():
            return each.get("value")
    for each in designations:
        spoken = str(each.get("language", ""))
        if spoken and spoken.partition("-")[0].casefold() == language.partition("-")[0].casefold():
            return each.get("value")
    return None
