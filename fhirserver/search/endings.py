"""The elements at which a search parameter's expression ends, where it is made of plain paths.

The definitions of those elements say what the expression itself does not: which value set a `code` is bound to, and which types
a reference may point to. Choice and filter expressions are left out; who asks must do without them.

https://hl7.org/fhir/R4/searchparameter-definitions.html#SearchParameter.expression
"""

from __future__ import annotations

import re

from fhirserver.definitions import Definitions, Element

_PLAIN = re.compile(r"\(?([A-Z]\w*(?:\.\w+)+)(?: as \w+)?\)?")

_AS = re.compile(r"\.as\(\w+\)$")


def branches(expression: str) -> list[str]:
    """The parts of a union."""
    return [branch.strip() for branch in expression.split(" | ")]


def elements_at(definitions: Definitions, branch: str) -> list[Element]:
    """The elements that a plain path leads to; none if the branch is not a plain path."""
    plain = _PLAIN.fullmatch(branch)
    if plain is None:
        return []
    start, *names = plain[1].split(".")
    places, elements = [start], list[Element]()
    for name in names:
        elements = [element for place in places for element in definitions.children(place) if element.stem == name]
        places = [place for element in elements for place in (element.path, *(type.code for type in element.types))]
    return elements


def is_single(definitions: Definitions, expression: str) -> bool:
    """Whether the expression is one plain path, or a choice of types at its end, of which a resource has at most one value."""
    paths = {plain and plain[1] for plain in (_PLAIN.fullmatch(_AS.sub("", part)) for part in branches(expression))}
    path = paths.pop()
    if path is None or paths:
        return False
    start, *names = path.split(".")
    places = [start]
    for name in names:
        elements = [element for place in places for element in definitions.children(place) if element.stem == name]
        if not elements or any(element.max != 1 for element in elements):
            return False
        places = [place for element in elements for place in (element.path, *(type.code for type in element.types))]
    return True
