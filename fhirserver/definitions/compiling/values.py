"""Expanding value sets from the package's code systems.

https://hl7.org/fhir/R4/valueset.html#compositions
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from fhirserver.definitions.codes import currencies
from fhirserver.definitions.codes.grammars import GRAMMARS, MEDIA_TYPES
from fhirserver.definitions.codes.values import unversioned
from fhirserver.definitions.compiling.package import Definition

# A maximum value set that the package names by its RFC.
_ELSEWHERE = {"http://www.rfc-editor.org/bcp/bcp13.txt": MEDIA_TYPES}

Code = tuple[str, str]


class CannotExpandError(Exception):
    """The package does not say which codes these are; the argument is the canonical that is missing or not complete."""


@dataclass(frozen=True, slots=True)
class Expansion:
    """The codes of a value set as (system, code), and the systems included whole and known by grammar."""

    codes: frozenset[Code] = frozenset()
    grammars: frozenset[str] = frozenset()

    def by_system(self) -> dict[str, list[str]]:
        """The codes sorted, by system."""
        sorted_codes: dict[str, list[str]] = {}
        for system, code in sorted(self.codes):
            sorted_codes.setdefault(system, []).append(code)
        return sorted_codes


@dataclass(frozen=True, slots=True)
class CodeSystem:
    """A code system's codes with their parents and their properties."""

    parents: dict[str, set[str]] = field(default_factory=dict)
    properties: dict[str, dict[str, set[str]]] = field(default_factory=dict)

    def is_a(self, code: str, ancestor: str) -> bool:
        """Whether the code is the ancestor or below it."""
        seen, waiting = set(), [code]
        while waiting:
            each = waiting.pop()
            if each == ancestor:
                return True
            if each not in seen:
                seen.add(each)
                waiting.extend(self.parents.get(each, ()))
        return False

    def matches(self, code: str, name: str, operator: str, value: str) -> bool:
        """Whether the code passes a filter."""
        if name in ("concept", "code") and operator in _HIERARCHY:
            return _HIERARCHY[operator](self, code, value)
        held = {code} if name in ("concept", "code") else self.properties.get(code, {}).get(name, set())
        if operator not in _PROPERTY:
            raise CannotExpandError(f"filter {operator}")
        return _PROPERTY[operator](held, value)


_HIERARCHY: Mapping[str, Callable[[CodeSystem, str, str], bool]] = {
    "is-a": lambda system, code, value: system.is_a(code, value),
    "descendent-of": lambda system, code, value: code != value and system.is_a(code, value),
    "is-not-a": lambda system, code, value: not system.is_a(code, value),
}

_PROPERTY: Mapping[str, Callable[[set[str], str], bool]] = {
    "=": lambda held, value: value in held,
    "in": lambda held, value: bool(held & {each.strip() for each in value.split(",")}),
    "not-in": lambda held, value: not held & {each.strip() for each in value.split(",")},
    "exists": lambda held, value: bool(held) == (value == "true"),
}


class Expander:
    """Expands value sets of one package."""

    def __init__(self, value_sets: Iterable[Definition], code_systems: Iterable[Definition]) -> None:
        self._value_sets = {definition["url"]: definition for definition in value_sets}
        self._code_systems = {
            definition["url"]: definition for definition in code_systems if definition["content"] == "complete"
        }

    def expand(self, canonical: str, within: tuple[str, ...] = ()) -> Expansion:
        """The expansion of a value set, or CannotExpandError."""
        url = unversioned(canonical)
        if url in _ELSEWHERE:
            return Expansion(grammars=frozenset({_ELSEWHERE[url]}))
        compose = self._value_sets.get(url, {}).get("compose")
        if compose is None or url in within:
            raise CannotExpandError(url)
        within = (*within, url)
        codes: set[Code] = set()
        grammars: set[str] = set()
        for include in compose["include"]:
            part = self._part(include, within)
            codes |= part.codes
            grammars |= part.grammars
        for exclude in compose.get("exclude", []):
            part = self._part(exclude, within)
            if part.grammars or grammars:
                raise CannotExpandError(url)
            codes -= part.codes
        return Expansion(frozenset(codes), frozenset(grammars))

    def _part(self, include: Definition, within: tuple[str, ...]) -> Expansion:
        """One include or exclude: its system and each of its value sets, intersected."""
        parts = [self.expand(canonical, within) for canonical in include.get("valueSet", [])]
        if "system" in include:
            parts.insert(0, self._of_system(include))
        if len(parts) == 1:
            return parts[0]
        if any(part.grammars for part in parts):
            raise CannotExpandError(within[-1])
        return Expansion(frozenset.intersection(*(part.codes for part in parts)))

    def _of_system(self, include: Definition) -> Expansion:
        url: str = include["system"]
        if "concept" in include:
            return Expansion(frozenset((url, concept["code"]) for concept in include["concept"]))
        if url in GRAMMARS and "filter" not in include:
            return Expansion(grammars=frozenset({url}))
        if url == currencies.SYSTEM and "filter" not in include:
            return Expansion(frozenset((url, code) for code in currencies.CODES))
        if url not in self._code_systems:
            raise CannotExpandError(url)
        system = read_code_system(self._code_systems[url])
        filters = [(each["property"], each["op"], each["value"]) for each in include.get("filter", [])]
        chosen = (code for code in system.parents if all(system.matches(code, *each) for each in filters))
        return Expansion(frozenset((url, code) for code in chosen))


def read_code_system(definition: Definition) -> CodeSystem:
    """The codes of a code system: nested ones, and those that name their parents as properties."""
    system = CodeSystem()
    _read_concepts(definition.get("concept", []), None, system)
    return system


def _read_concepts(concepts: Iterable[Definition], parent: str | None, system: CodeSystem) -> None:
    for concept in concepts:
        code: str = concept["code"]
        parents = system.parents.setdefault(code, set())
        if parent is not None:
            parents.add(parent)
        properties = system.properties.setdefault(code, {})
        for each in concept.get("property", []):
            value = _text(next(value for key, value in each.items() if key.startswith("value")))
            properties.setdefault(each["code"], set()).add(value)
            if each["code"] in ("parent", "subsumedBy"):
                parents.add(value)
        _read_concepts(concept.get("concept", []), code, system)


def _text(value: object) -> str:
    if isinstance(value, dict):
        return str(value["code"])
    return str(value).lower() if isinstance(value, bool) else str(value)
