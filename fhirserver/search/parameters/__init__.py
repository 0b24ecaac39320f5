"""One file for each type of search parameter: what is stored of a value, and what a query asks of that.

Each module has `MODIFIERS`, `indexed(nodes, circumstances)` and `condition(term)`. `TYPES` is the one list of what is searched
by. `PHONETIC` is a string parameter whose use is phonetic. `words`, of `_text` and `_content`, has another shape.

https://hl7.org/fhir/R4/search.html#ptypes
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from fhirserver.search.expression import Expression
from fhirserver.search.parameters import (
    composite,
    date,
    near,
    number,
    phonetic,
    quantity,
    reference,
    string,
    token,
    uri,
)
from fhirserver.search.parameters.term import Circumstances, Indexed, Node, Term


@dataclass(frozen=True, slots=True)
class ParameterType:
    """Both sides of a parameter type, and its modifiers (`[type]` stands for the name of any resource type)."""

    modifiers: frozenset[str]
    condition: Callable[[Term], Expression]
    indexed: Callable[[list[Node], Circumstances], Indexed | None]


TYPES: Mapping[str, ParameterType] = {
    name: ParameterType(module.MODIFIERS, module.condition, module.indexed)
    for name, module in (
        ("number", number),
        ("token", token),
        ("string", string),
        ("reference", reference),
        ("date", date),
        ("uri", uri),
        ("quantity", quantity),
        ("composite", composite),
        ("special", near),
    )
}

PHONETIC = ParameterType(phonetic.MODIFIERS, phonetic.condition, phonetic.indexed)
