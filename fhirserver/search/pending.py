"""The nodes that ask about other documents, found and replaced in an Expression.

They may stand inside one another (the term of a `Chain` may hold a `Member` or the next `Chain`), so they are replaced from the
inside outwards, and constants are folded on the way: a `Chain` whose term is `Nothing` is `Nothing` without any query.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from fhirserver.search.expression import (
    And,
    Chain,
    Expression,
    Has,
    Member,
    Not,
    Nothing,
    Or,
    Parts,
    Pending,
    Some,
    all_of,
    any_of,
    negate,
)


def pending(expression: Expression) -> bool:
    """Whether anything in the expression must be answered before it is compiled or matched."""
    return next(asked(expression), None) is not None


def steps(expression: Expression) -> list[Chain | Has]:
    """The steps to other resources, in whatever depth."""
    return [node for node in asked(expression) if isinstance(node, Chain | Has)]


def asked(expression: Expression) -> Iterator[Pending]:
    """The pending nodes, those inside of others first."""
    match expression:
        case And(terms) | Or(terms):
            for term in terms:
                yield from asked(term)
        case Not(term) | Some(_, term):
            yield from asked(term)
        case Chain(term=term) | Has(term=term):
            yield from asked(term)
            yield expression
        case Member() | Parts():
            yield expression
        case _:
            return


def members(expression: Expression) -> set[Member]:
    """What is asked of code systems and value sets, inside chains too."""
    return {node for node in asked(expression) if isinstance(node, Member)}


def replace_members(expression: Expression, answers: Mapping[Member, Expression]) -> Expression:
    """The expression with each `Member` that has an answer replaced by it."""
    return replaced(expression, lambda node: answers.get(node, node) if isinstance(node, Member) else node)


def replaced(expression: Expression, answer: Callable[[Pending], Expression]) -> Expression:
    """The expression with each pending node replaced by its answer; the node handed over has its own term replaced already.

    A node that is its own answer stays.
    """
    match expression:
        case And(terms):
            return all_of(*(replaced(term, answer) for term in terms))
        case Or(terms):
            return any_of(*(replaced(term, answer) for term in terms))
        case Not(term):
            return negate(replaced(term, answer))
        case Some(path, term):
            inside = replaced(term, answer)
            return inside if isinstance(inside, Nothing) else Some(path, inside)
        case Chain(path, resource_type, term):
            inside = replaced(term, answer)
            return inside if isinstance(inside, Nothing) else answer(Chain(path, resource_type, inside))
        case Has(resource_type, path, term):
            inside = replaced(term, answer)
            return inside if isinstance(inside, Nothing) else answer(Has(resource_type, path, inside))
        case Member():
            return answer(expression)
        case _:
            return expression
