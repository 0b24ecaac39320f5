"""Filters of a value set: which concepts of a code system they let through.

https://hl7.org/fhir/R4/valueset-filter-operator.html
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, Final

from fhirserver.model.outcome import BadRequest, TooCostly, Unprocessable
from fhirserver.terminology.code_system import CodeSystem, Concept, as_text

Test = Callable[[Concept], bool]
Filter = Mapping[str, Any]

_MAX_PATTERN: Final = 1_000
_MAX_TEXT: Final = 1_000
"""Characters of what a concept has that is held against a regular expression."""
_MEMORY: Final = 1 << 17
"""Bytes of a regular expression that is compiled: some characters stand for thousands of instructions."""
_IDENTITY: Final = frozenset(("concept", "code"))
"""The names by which a filter speaks of the concept itself."""
_STANDARD: Final = frozenset(("inactive", "deprecated", "notSelectable", "status"))
"""Properties that every code system may have; that no concept of it has them is an answer."""


def test_of(system: CodeSystem, filter: Filter) -> Test:
    """The test of one filter. Raises Unprocessable where the code system does not have what it speaks of."""
    name, operator, value = (str(filter.get(each, "")) for each in ("property", "op", "value"))
    if operator in _HIERARCHY and name in _IDENTITY:
        named = system.find(value)
        if named is None:
            raise Unprocessable(
                f"The filter '{operator}' names the code '{value[:100]}', which the code system '{system.url}' does not have.",
                code="not-found",
            )
        return _HIERARCHY[operator](system, named.code)
    if operator not in _PROPERTY:
        raise Unprocessable(f"The filter '{operator}' of '{name}' is not supported.", code="not-supported")
    return _PROPERTY[operator](_reader(system, name), value)


def cost_of_making(system: CodeSystem, filter: Filter) -> int:
    """The steps to make a test: those of the hierarchy go through all that is below, or above, a code."""
    return 1 + len(system.concepts) // 10 if filter.get("op") in _HIERARCHY else 1


def cost_of(filter: Filter) -> int:
    """The steps of holding one concept against a filter. A large regular expression may have to be run without its tables."""
    if filter.get("op") != "regex":
        return 1
    size: int = _pattern(str(filter.get("value", ""))).programsize
    return 5 + size**2 // 1_000


def _is_a(system: CodeSystem, value: str) -> Test:
    below = system.hierarchy.descendants(value)
    return lambda concept: concept.code in below


def _descendent_of(system: CodeSystem, value: str) -> Test:
    below = system.hierarchy.descendants(value) - {value}
    return lambda concept: concept.code in below


def _is_not_a(system: CodeSystem, value: str) -> Test:
    below = system.hierarchy.descendants(value)
    return lambda concept: concept.code not in below


def _generalizes(system: CodeSystem, value: str) -> Test:
    above = system.hierarchy.ancestors(value)
    return lambda concept: concept.code in above


_HIERARCHY: Final[Mapping[str, Callable[[CodeSystem, str], Test]]] = {
    "is-a": _is_a,
    "descendent-of": _descendent_of,
    "is-not-a": _is_not_a,
    "generalizes": _generalizes,
}


Reader = Callable[[Concept], set[str]]


def _reader(system: CodeSystem, name: str) -> Reader:
    """How the values of a property are read off a concept."""
    if name in _IDENTITY:
        return lambda concept: {concept.code}
    if name == "display":
        return lambda concept: set() if concept.display is None else {concept.display}
    meaning = system.meaning.get(name, name)
    if meaning == "parent":
        return lambda concept: set(system.hierarchy.parents.get(concept.code, ()))
    if meaning == "child":
        return lambda concept: set(system.hierarchy.children.get(concept.code, ()))
    if name not in system.declared and meaning not in system.used and meaning not in _STANDARD:
        raise Unprocessable(
            f"The code system '{system.url}' has no property '{name[:100]}' by which it could be filtered.",
            code="not-supported",
        )
    return lambda concept: {as_text(value) for value in concept.values(meaning)}


def _equals(held: Reader, value: str) -> Test:
    return lambda concept: value in held(concept)


def _in(held: Reader, value: str) -> Test:
    wanted = {each.strip() for each in value.split(",")}
    return lambda concept: not wanted.isdisjoint(held(concept))


def _not_in(held: Reader, value: str) -> Test:
    unwanted = {each.strip() for each in value.split(",")}
    return lambda concept: unwanted.isdisjoint(held(concept))


def _exists(held: Reader, value: str) -> Test:
    wanted = value.strip().lower() == "true"
    return lambda concept: bool(held(concept)) == wanted


def _regex(held: Reader, value: str) -> Test:
    pattern = _pattern(value)

    def test(concept: Concept) -> bool:
        texts = held(concept)
        if sum(map(len, texts)) > _MAX_TEXT:
            raise TooCostly(f"A regular expression is held against at most {_MAX_TEXT} characters of a concept.")
        return any(pattern.fullmatch(text) is not None for text in texts)

    return test


@lru_cache(128)
def _pattern(value: str) -> Any:
    import re2  # only who uses regular expressions waits for the library

    options = re2.Options()
    options.log_errors = False
    options.max_mem = _MEMORY
    try:
        if len(value) > _MAX_PATTERN:
            raise BadRequest(f"The regular expression of a filter has at most {_MAX_PATTERN} characters.")
        return re2.compile(value, options)
    except re2.error:
        raise Unprocessable("The regular expression of a filter is not one that is supported.") from None


_PROPERTY: Final[Mapping[str, Callable[[Reader, str], Test]]] = {
    "=": _equals,
    "in": _in,
    "not-in": _not_in,
    "exists": _exists,
    "regex": _regex,
}
