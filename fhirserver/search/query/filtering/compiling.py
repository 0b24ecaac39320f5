"""A filter as an Expression: each comparison through the parameter types' own conditions, each path through the chains' own steps.

https://hl7.org/fhir/R4/search_filter.html
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from fhirserver.model.outcome import BadRequest
from fhirserver.search.expression import Expression, all_of, any_of, negate
from fhirserver.search.query.criteria import plain
from fhirserver.search.query.filtering import language
from fhirserver.search.query.filtering.language import Both, Comparison, Either, Negation, Node, Step
from fhirserver.search.query.filtering.operators import compared
from fhirserver.search.query.unsupported import Unsupported
from fhirserver.search.registry import registry

if TYPE_CHECKING:
    from fhirserver.search.query.criteria import Reader


def filtered(reader: Reader, resource_type: str, text: str) -> Expression:
    """What a filter asks of resources of this type. Raises BadRequest, with the place of what is wrong, or TooCostly."""

    def asked(comparison: Comparison) -> Expression:
        try:
            return _compared(reader, resource_type, comparison, comparison.steps)
        except Unsupported as reason:
            raise BadRequest(f"The filter, at character {comparison.place}: {reason}", code="not-supported") from None

    return _joined(language.parse(text), asked)


def _joined(node: Node, asked: Callable[[Comparison], Expression]) -> Expression:
    """The conditions, joined as the filter joins them."""
    match node:
        case Both(left, right):
            return all_of(_joined(left, asked), _joined(right, asked))
        case Either(left, right):
            return any_of(_joined(left, asked), _joined(right, asked))
        case Negation(term):
            return negate(_joined(term, asked))
        case Comparison():
            return asked(node)


def _compared(reader: Reader, resource_type: str, node: Comparison, steps: tuple[Step, ...]) -> Expression:
    if not steps:
        searchable, _ = plain.looked_up(reader.definitions, resource_type, node.name)
        return compared(reader, registry(reader.definitions, resource_type), searchable, node)
    step, rest = steps[0], steps[1:]

    def build(target: str) -> Expression:
        further = _compared(reader, target, node, rest)
        return further if step.within is None else all_of(_within(reader, target, step.within), further)

    found = reader.follow(resource_type, step.name, build)
    assert found is not None, "A comparison has a value."  # noqa: S101
    return found


def _within(reader: Reader, resource_type: str, node: Node) -> Expression:
    """A filter in brackets: a type that it cannot be asked of is not meant."""
    return _joined(node, lambda comparison: _compared(reader, resource_type, comparison, comparison.steps))
