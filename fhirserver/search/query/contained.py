"""`_contained` and `_containedType`: whether contained resources are found, and whether they or their containers are sent.

What is asked, is asked of the contained resource. Only `_lastUpdated` is the container's, for a contained resource has no such time.

https://hl7.org/fhir/R4/search.html#contained
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Final

from fhirserver.model.outcome import BadRequest
from fhirserver.search.expression import And, Expression, Has, Not, Or, all_of
from fhirserver.search.query.criteria.reader import HAS, LIST
from fhirserver.search.query.unsupported import Unsupported
from fhirserver.search.registry import Searchable
from fhirserver.search.request import Containment, Subset

if TYPE_CHECKING:
    from fhirserver.search.query.result import ResultParameters

CONTAINED: Final = "_contained"
CONTAINED_TYPE: Final = "_containedType"
SORTS: Final = ("_lastUpdated", "-_lastUpdated")

_UPDATED: Final = "updated"
_FALSE, _TRUE, _BOTH = "false", "true", "both"
_ALONE: Final = "contained"
_TYPES: Final = ("container", _ALONE)


def wanted(pairs: Sequence[tuple[str, str]]) -> str | None:
    """What `_contained` says in these pairs: other parameters mean something else beside it."""
    return next((value for name, value in pairs if name == CONTAINED and value), None)


def _contained(result: ResultParameters, value: str) -> str:
    if value not in (_FALSE, _TRUE, _BOTH):
        raise BadRequest(f"The parameter '{CONTAINED}' is true, false or both.")
    if value != _FALSE and result.contained is None:
        raise Unsupported("Contained resources are found by themselves only in a search of one type.")
    return value


def _contained_type(result: ResultParameters, value: str) -> str:
    if value not in _TYPES:
        raise BadRequest(f"The parameter '{CONTAINED_TYPE}' is container or contained.")
    if result.contained is None:
        raise Unsupported(
            f"'{CONTAINED_TYPE}' says how contained resources are sent: '{CONTAINED}' has to ask for them."
        )
    result.contained_alone = value == _ALONE
    return value


READERS: Mapping[str, tuple[Callable[[ResultParameters, str], str], bool]] = {
    CONTAINED: (_contained, False),
    CONTAINED_TYPE: (_contained_type, False),
}
"""The readers of these parameters; neither may stand in a query more than once."""


def is_asked(result: ResultParameters) -> bool:
    """Whether contained resources are found."""
    return result.contained in (_TRUE, _BOTH)


def check(result: ResultParameters, name: str, value: str) -> None:
    """Raise Unsupported for what is not asked of contained resources."""
    if not is_asked(result):
        return
    if name == "_sort" and value not in SORTS:
        raise Unsupported("Contained resources are sorted by '_lastUpdated' or '-_lastUpdated' of their containers.")
    if name.startswith(("_include", "_revinclude")):
        raise Unsupported(f"'{CONTAINED}' does not go together with included resources.")
    if name == LIST or name.startswith(f"{HAS}:"):
        raise Unsupported("No other resource refers to a contained one: it is not found by '_has' or '_list'.")


def checked(result: ResultParameters, searchable: Searchable | None, expression: Expression) -> Expression:
    """What a parameter asks of contained resources. Raises Unsupported where it cannot be asked of them."""
    if not is_asked(result):
        return expression
    code = searchable.code if searchable is not None else ""
    if code in result.definitions.further_parameters(result.resource_type):
        raise Unsupported(f"The parameter '{code}' is not one of R4's: of contained resources it is not kept.")
    if any(isinstance(node, Has) for node in _leaves(expression)):
        raise Unsupported("No other resource refers to a contained one: it is not found by what refers to it.")
    places = {_path(node) for node in _leaves(expression)}
    if _UPDATED in places and len(places) > 1:
        raise Unsupported("A filter of contained resources cannot have '_lastUpdated' beside another parameter.")
    return expression


def containment(result: ResultParameters, expression: Expression) -> Containment | None:
    """How contained resources are found by this expression, if they are."""
    if not is_asked(result):
        return None
    terms = expression.terms if isinstance(expression, And) else (expression,)
    around = [term for term in terms if any(_path(leaf) == _UPDATED for leaf in _leaves(term))]
    term = all_of(*(term for term in terms if term not in around))
    return Containment(result.contained == _BOTH, result.contained_alone, term, all_of(*around))


def typed(result: ResultParameters, subset: Subset) -> Subset:
    """The elements asked for are those of the type that is searched, whatever the type of a container."""
    if not (is_asked(result) and subset.elements):
        return subset
    return Subset(
        subset.summary, frozenset(), subset.typed | {(result.resource_type, each) for each in subset.elements}
    )


def _path(condition: Expression) -> str:
    path: str = getattr(condition, "path", "")
    return path


def _leaves(expression: Expression) -> Iterator[Expression]:
    """The conditions that an expression is made of, not those about other resources."""
    match expression:
        case And(terms) | Or(terms):
            for term in terms:
                yield from _leaves(term)
        case Not(term):
            yield from _leaves(term)
        case _:
            yield expression
