"""Search parameters that R4 does not have: a SearchParameter resource judged, and read as a definition of each of its base types.

What may be asked of an expression is what costs no more than a walk over the resource: it sees the resource that is stored and
nothing else, it does not depend on when it runs, and nothing in it multiplies. One that fails on a resource selects nothing of it.
Published ones that call a choice of types by its name in JSON (`extension.valueDateTime`) are read as what they mean.

https://hl7.org/fhir/R4/searchparameter.html
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from types import MappingProxyType
from typing import Any, Final

from fhirserver.definitions import Component, Definitions, SearchParameter
from fhirserver.definitions.compiling.parameters import expression_for
from fhirserver.fhirpath import FhirPathError, compile_path, parse
from fhirserver.fhirpath.language.syntax import Call, External
from fhirserver.model.outcome import Issue, Unprocessable
from fhirserver.search.endings import branches, elements_at
from fhirserver.search.parameters import TYPES
from fhirserver.search.parameters.composite import PLACES

STEPS: Final = 20_000
"""What one expression may do of one resource."""
EXPRESSION_LENGTH: Final = 2_000
BASES: Final = 32

_CODE: Final = re.compile(r"[a-z][a-z0-9-]{0,63}", re.ASCII)
_RESERVED: Final = frozenset(("patient", "subject", "code", "telecom", "name", "partof", "part-of"))
"""Codes of R4 that mean more to this server than their values: a type that has none of that code gets none."""
_FUNCTIONS: Final = frozenset(
    (
        *(
            "where",
            "exists",
            "empty",
            "not",
            "all",
            "first",
            "last",
            "tail",
            "skip",
            "take",
            "single",
            "count",
            "select",
        ),
        *("ofType", "as", "is", "extension", "resolve", "hasValue", "iif"),
        *("startsWith", "endsWith", "contains", "substring", "length", "lower", "upper", "toString", "abs", "round"),
    )
)
_ELEMENTS: Final = ("url", "code", "type", "base", "expression", "target", "component")
_NEEDED: Final = frozenset(("url", "code", "type", "base"))
"""Those that R4 asks for: validation says if one is missing."""
_PART: Final = ("definition", "expression")
_NAME: Final = re.compile(r"'(?:[^'\\]|\\.)*'|\.\w+\b(?!\s*\()")
"""An element behind a dot; or a text, in which there is none."""
_NO_PARTS: Final = frozenset(("composite", "special"))


@dataclass(frozen=True, slots=True)
class Custom:
    """A search parameter of somebody's own: the elements of its resource that count, and what it is to each base type."""

    id: str
    stated: Mapping[str, Any]
    parameters: Mapping[str, SearchParameter]

    @property
    def code(self) -> str:
        """The name by which it is asked."""
        code: str = self.stated["code"]
        return code

    @property
    def bases(self) -> tuple[str, ...]:
        """The types that have it."""
        return tuple(self.parameters)


def custom(definitions: Definitions, resource: Mapping[str, Any]) -> Custom | None:
    """What a SearchParameter resource adds; None if nothing, because it is not in force or says what R4 does.

    Raises Unprocessable with all that is wrong with it."""
    if resource.get("status") != "active" or not resource.keys() >= _NEEDED or _is_of_r4(definitions, resource):
        return None
    stated = {name: resource[name] for name in _ELEMENTS if name in resource}
    if "component" in stated:
        stated["component"] = [{name: each[name] for name in _PART if name in each} for each in stated["component"]]
    issues = list(_issues(definitions.core, stated))
    if issues:
        raise Unprocessable.of(issues)
    return read(definitions, resource.get("id", ""), stated)


def read(definitions: Definitions, id: str, stated: Mapping[str, Any]) -> Custom:
    """The parameter of a resource that was judged."""
    bases = stated["base"]
    parameters = {base: _parameter(definitions.core, stated, base, bases) for base in bases}
    return Custom(id, MappingProxyType(dict(stated)), MappingProxyType(parameters))


def _is_of_r4(definitions: Definitions, resource: Mapping[str, Any]) -> bool:
    """Whether it is one of R4's, or narrows one of the same code: R4's own stands."""
    origins = (resource.get("url"), resource.get("derivedFrom"))
    return any(
        each.url in origins and (each.url == origins[0] or each.code == resource.get("code"))
        for base in resource.get("base", ())
        if base in definitions.structures
        for each in _known(definitions.core, base).values()
    )


def _known(definitions: Definitions, base: str) -> Mapping[str, SearchParameter]:
    return definitions.search_parameters(base) if definitions.structures[base].kind == "resource" else {}


def _issues(definitions: Definitions, stated: Mapping[str, Any]) -> Iterator[Issue]:
    bases, type = stated["base"], stated["type"]
    yield from _about_code(definitions, stated["code"], bases)
    if type not in TYPES or type == "special":
        yield _issue("type", f"Parameters of the type {type} cannot be added to this server.", "not-supported")
        return
    unknown = [base for base in bases if base not in definitions.resource_types]
    if unknown:
        yield _issue("base", "A parameter is of resource types: name each of them, instead of one that is abstract.")
        return
    if len(set(bases)) != len(bases) or len(bases) > BASES:
        yield _issue("base", f"A parameter is of at most {BASES} resource types, each named once.", "too-costly")
        return
    yield from _about_expression(definitions, stated, bases)


def _about_code(definitions: Definitions, code: str, bases: list[str]) -> Iterator[Issue]:
    if _CODE.fullmatch(code) is None:
        text = "A code is at most 64 lower-case letters, digits and hyphens, a letter first."
        yield _issue("code", text)
        return
    for base in bases:
        if base not in definitions.resource_types:
            continue
        if code in definitions.search_parameters(base):
            yield _issue("code", f"R4 has a parameter '{code}' of {base}: choose another code.", "duplicate")
        elif code in _RESERVED or code in _in_compartments(definitions, base):
            yield _issue("code", f"The code '{code}' has a meaning of its own: choose another.", "business-rule")


def _in_compartments(definitions: Definitions, base: str) -> set[str]:
    return {code for each in definitions.compartments.values() for code in each.resources.get(base, ())}


def _about_expression(definitions: Definitions, stated: Mapping[str, Any], bases: list[str]) -> Iterator[Issue]:
    expression = stated.get("expression")
    if expression is None:
        text = "A parameter without an expression has no values here: give one, or store it as a draft."
        yield _issue("expression", text, "required")
        return
    fault = _fault(expression)
    if fault is not None:
        yield _issue("expression", fault, "not-supported")
        return
    for base in bases:
        own = _expression(definitions, expression, base, bases)
        if not own:
            yield _issue("expression", f"The expression says nothing of {base}.")
            continue
        try:
            compile_path(definitions, own, base)
        except FhirPathError as error:
            yield _issue("expression", f"Of {base} the expression cannot be read: {error}")
            continue
        if stated["type"] == "composite":
            yield from _about_components(definitions, stated, base, own)


def _expression(definitions: Definitions, expression: str, base: str, bases: list[str]) -> str:
    """What the expression says of this type."""
    own = expression_for(expression, base, bases)
    try:
        compile_path(definitions, own, base)
    except FhirPathError:
        choices = _choices(definitions)
        return _NAME.sub(lambda name: choices.get(name[0], name[0]), own)
    return own


def _choices(definitions: Definitions) -> dict[str, str]:
    """What the choices of types are called in JSON, and in FHIRPath."""
    return {
        f".{stem}{type.code[0].upper()}{type.code[1:]}": f".{stem}.ofType({type.code})"
        for structure in definitions.structures.values()
        for element in structure.elements
        if (stem := element.name.removesuffix("[x]")) != element.name
        for type in element.types
    }


def _about_components(
    definitions: Definitions, stated: Mapping[str, Any], base: str, expression: str
) -> Iterator[Issue]:
    components = stated.get("component", [])
    if not 2 <= len(components) <= len(PLACES):
        yield _issue("component", f"A composite has two to {len(PLACES)} components.")
        return
    places: list[str] = []
    for branch in branches(expression):
        found = {element.path for element in elements_at(definitions, branch)}
        if branch != base and len(found) != 1:
            text = f"A composite starts from {base} itself or from one of its elements, written as a plain path."
            yield _issue("expression", text, "not-supported")
            return
        places += found or {base}
    known = {each.url: each for each in definitions.search_parameters(base).values()}
    for number, component in enumerate(components):
        part = known.get(component["definition"])
        if part is None or part.type in _NO_PARTS:
            text = f"A component is a plain parameter that R4 has of {base}."
            yield _issue(f"component[{number}].definition", text, "not-supported")
        fault = _fault(component["expression"])
        if fault is not None:
            yield _issue(f"component[{number}].expression", fault, "not-supported")
            continue
        try:
            for place in places:
                compile_path(definitions, component["expression"], place)
        except FhirPathError as error:
            yield _issue(f"component[{number}].expression", f"The expression cannot be read: {error}")


def _fault(expression: str) -> str | None:
    """What an expression asks that it may not."""
    if len(expression) > EXPRESSION_LENGTH:
        return f"An expression has at most {EXPRESSION_LENGTH} characters."
    try:
        tree = parse(expression)
    except FhirPathError as error:
        return f"The expression cannot be read: {error}"
    for part in _parts(tree):
        if isinstance(part, External):
            return f"%{part.name} is not known to the expression of a search parameter."
        if isinstance(part, Call) and part.name not in _FUNCTIONS:
            return f"{part.name}() is not for the expression of a search parameter; there are {', '.join(sorted(_FUNCTIONS))}."
    return None


def _parts(tree: Any) -> Iterator[Any]:
    """Every part of a syntax tree."""
    pending = [tree]
    while pending:
        part = pending.pop()
        if isinstance(part, tuple):
            pending += part
        elif is_dataclass(part):
            yield part
            pending += [getattr(part, each.name) for each in fields(part)]


def _parameter(definitions: Definitions, stated: Mapping[str, Any], base: str, bases: list[str]) -> SearchParameter:
    known = {each.url: each for each in definitions.search_parameters(base).values()}
    components = stated.get("component", []) if stated["type"] == "composite" else []
    return SearchParameter(
        code=stated["code"],
        url=stated["url"],
        type=stated["type"],
        expression=_expression(definitions, stated["expression"], base, bases),
        base=tuple(bases),
        targets=tuple(stated.get("target", ())) if stated["type"] == "reference" else (),
        components=tuple(
            Component(part.url, part.code, part.type, each["expression"])
            for each in components
            if (part := known.get(each["definition"])) is not None
        ),
    )


def _issue(element: str, sentence: str, code: str = "invalid") -> Issue:
    return Issue("error", code, sentence, f"SearchParameter.{element}")
