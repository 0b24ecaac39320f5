"""Composite parameters: values that belong together, as the two sides of one observation do.

Stored is one subdocument for each element that the composite starts from, if it has a value for every component; the components
stand in it as `a`, `b`, `c`, each as its own type stores it. The parts of a query's value are divided by `$`.

https://hl7.org/fhir/R4/search.html#composite
"""

from __future__ import annotations

from dataclasses import replace

from fhirserver.search.expression import Expression, Some, all_of, any_of
from fhirserver.search.parameters.term import Circumstances, Indexed, Node, Term
from fhirserver.search.query.escaping import divide

MODIFIERS = frozenset({"missing"})

_FEW = 50
_LISTED = ("token", "reference")
PLACES = "abcdefgh"
"""The names of the components in what is stored."""


def condition(term: Term) -> Expression:
    """What the query asks."""
    return any_of(*(_together(term, text) for text in term.alternatives))


def _together(term: Term, text: str) -> Expression:
    parts = divide(text, "$")
    if len(parts) != len(term.parts) or not all(parts):
        raise term.refuse(f"it has {len(term.parts)} parts, none of them empty, with '$' between.")
    within, alone = [], []
    for place, part, value in zip(PLACES, term.parts, parts, strict=False):
        asked = replace(term, targets=part.targets, alternatives=(value,), parts=())
        within.append(part.condition(replace(asked, path=place, scalars=None)))
        if part.path and (part.type in _LISTED or part.scalars is not None):
            alone.append(part.condition(replace(asked, path=part.path, scalars=part.scalars)))
    # What each part asks alone changes no answer, and is what indexes are for.
    return all_of(*alone, Some(term.path, all_of(*within)))


def indexed(nodes: list[Node], _: Circumstances) -> Indexed | None:
    """What is stored for these values, each the subdocument of one element."""
    found: list[dict[str, object]] = []
    for _kind, value in nodes:
        # One by one compared, a great many would take long.
        if len(found) > _FEW or value not in found:
            found.append(value)
    return (found, None, None) if found else None
