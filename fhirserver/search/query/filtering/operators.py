"""The operators of `_filter`, by parameter type: each is a search value with its prefix or modifier, or made of what they ask.

R4 says of most operators that "an item" has to compare. `ne` is so too, but of tokens: a token says nothing of what it is not,
so there is one, and none of them is equal.

https://hl7.org/fhir/R4/search_filter.html
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from fhirserver.model.dates import interval, moment
from fhirserver.model.outcome import BadRequest
from fhirserver.search.expression import (
    Containing,
    Exists,
    Expression,
    In,
    Prefixed,
    Suffixed,
    Within,
    all_of,
    negate,
)
from fhirserver.search.parameters.string import fold
from fhirserver.search.parameters.term import MAX_PATTERN, Term
from fhirserver.search.query.criteria.plain import condition
from fhirserver.search.query.filtering.language import Comparison
from fhirserver.search.query.unsupported import Unsupported
from fhirserver.search.registry import Registry, Searchable

if TYPE_CHECKING:
    from fhirserver.search.query.criteria import Reader

Ask = Callable[[Registry, Searchable, Term], Expression]

_PREFIXES: Final = ("eq", "ne", "gt", "lt", "ge", "le", "ap", "sa", "eb")
_MODIFIERS: Final = {"in": "in", "ni": "not-in", "ss": "below", "sb": "above"}
"""A value that subsumes a concept is above it: `:below` finds what stands below the value."""


def compared(reader: Reader, known: Registry, searchable: Searchable, node: Comparison) -> Expression:
    """What a comparison asks of this parameter. Raises Unsupported where its type has no such operator, or BadRequest."""
    asks = _OPERATORS.get(searchable.type, {})
    if node.operator != "pr" and node.operator not in asks:
        raise Unsupported(f"'{node.operator}' does not compare a parameter of the type {searchable.type}.")
    # A filter's values are divided by its own grammar: only the backslash would mean something once more.
    term = reader.term(node.name, searchable, "", (node.value.replace("\\", "\\\\"),))
    try:
        return (_present if node.operator == "pr" else asks[node.operator])(known, searchable, term)
    except BadRequest as refusal:
        reason = refusal.issues[0].diagnostics
        raise BadRequest(f"The filter cannot be read at character {node.place}: {reason}") from None


def _present(known: Registry, searchable: Searchable, term: Term) -> Expression:
    if term.alternatives not in (("true",), ("false",)):
        raise term.refuse("'pr' is followed by true or false.")
    is_missing = "false" if term.alternatives == ("true",) else "true"
    return condition(known, searchable, replace(term, modifier="missing", alternatives=(is_missing,)))


def _prefixed(prefix: str) -> Ask:
    return lambda known, searchable, term: condition(
        known, searchable, replace(term, alternatives=(prefix + term.alternatives[0],))
    )


def _modified(modifier: str) -> Ask:
    def ask(known: Registry, searchable: Searchable, term: Term) -> Expression:
        if modifier not in searchable.modifiers:
            raise Unsupported(f"The parameter '{searchable.code}' has no modifier ':{modifier}' on this server.")
        return condition(known, searchable, replace(term, modifier=modifier))

    return ask


def _no_token(known: Registry, searchable: Searchable, term: Term) -> Expression:
    return all_of(Exists(searchable.path), negate(searchable.condition(term)))


def _listed(_: Registry, searchable: Searchable, term: Term) -> Expression:
    return searchable.condition(term)


def _other(equal: Ask) -> Ask:
    """Some value that is not among those that are equal."""

    def ask(known: Registry, searchable: Searchable, term: Term) -> Expression:
        found = equal(known, searchable, term)
        if not isinstance(found, In):
            raise Unsupported(f"'ne' does not compare the parameter '{searchable.code}'.")
        return all_of(Exists(found.path), negate(Within(found.path, found.values)))

    return ask


def _overlaps(known: Registry, searchable: Searchable, term: Term) -> Expression:
    """`ap` widens by the distance from now: measured from the value's own middle it asks for an overlap and no more."""
    text = term.texts()[0]
    try:
        now = moment(sum(interval(text)) // 2)
    except ValueError as error:
        raise term.refuse(str(error)) from None
    return condition(known, searchable, replace(term, alternatives=(f"ap{text}",), now=now))


def _text(node: Callable[[str, str], Expression]) -> Ask:
    """A comparison with the folded text, or with the text as written where nothing of it is left."""

    def ask(known: Registry, searchable: Searchable, term: Term) -> Expression:
        text = term.texts()[0]
        folded = fold(text)
        path, wanted = (f"{searchable.path}.f", folded) if folded else (f"{searchable.path}.s", text)
        return node(path, _short(term, wanted))

    return ask


def _ends(known: Registry, searchable: Searchable, term: Term) -> Expression:
    """What ends with a text contains it: where that has an index, this has."""
    return all_of(_modified("contains")(known, searchable, term), _text(Suffixed)(known, searchable, term))


def _uri(node: Callable[[str, str], Expression]) -> Ask:
    return lambda _, searchable, term: node(searchable.path, _short(term, term.texts()[0]))


def _short(term: Term, text: str) -> str:
    if len(text) > MAX_PATTERN:
        raise term.refuse(f"a text to search for has at most {MAX_PATTERN} characters.")
    return text


def _same(path: str, text: str) -> Expression:
    return In(path, frozenset((text,)))


_ordered: Final[Mapping[str, Ask]] = {prefix: _prefixed(prefix) for prefix in _PREFIXES}
_OPERATORS: Final[Mapping[str, Mapping[str, Ask]]] = {
    "string": {
        "eq": _text(_same),
        "ne": _other(_text(_same)),
        "co": _modified("contains"),
        "sw": condition,
        "ew": _ends,
    },
    "token": {
        "eq": condition,
        "ne": _no_token,
        **{name: _modified(modifier) for name, modifier in _MODIFIERS.items()},
    },
    "reference": {"eq": condition, "ne": _other(_listed), "re": condition},
    "uri": {
        "eq": condition,
        "ne": _other(_listed),
        "co": _uri(Containing),
        "sw": _uri(Prefixed),
        "ew": _uri(Suffixed),
    },
    "date": {**_ordered, "po": _overlaps},
    "number": _ordered,
    "quantity": _ordered,
}
"""The operators beside `pr`, which every type has."""
