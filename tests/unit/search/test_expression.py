"""The constructors of Expressions fold constants; permits hold Expressions."""

from __future__ import annotations

import pytest

from fhirserver.search.expression import (
    All,
    And,
    Expression,
    In,
    Not,
    Nothing,
    Or,
    Within,
    all_of,
    any_of,
    negate,
    one_of,
    within,
)
from fhirserver.search.permit import Permit

A, B, C = (In(path, frozenset({"x"})) for path in "abc")

FOLDED: list[tuple[Expression, Expression]] = [
    (all_of(), All()),
    (all_of(All(), All()), All()),
    (all_of(A, All()), A),
    (all_of(A, A), A),
    (all_of(A, Nothing()), Nothing()),
    (all_of(A, And((B, C))), And((A, B, C))),
    (any_of(), Nothing()),
    (any_of(A, Nothing()), A),
    (any_of(A, All()), All()),
    (any_of(A, A), A),
    (any_of(A, Or((B, C))), Or((A, B, C))),
    (negate(All()), Nothing()),
    (negate(Nothing()), All()),
    (negate(A), Not(A)),
    (negate(negate(A)), A),
    (one_of("a", "x"), A),
    (one_of("a"), Nothing()),
    (within("a", frozenset({"x"})), Within("a", frozenset({"x"}))),
    (within("a", frozenset()), Nothing()),
]


@pytest.mark.parametrize(("built", "expected"), FOLDED)
def test_constants_are_folded(built: Expression, expected: Expression) -> None:
    assert built == expected
    assert hash(built) == hash(expected)


def test_a_permit_of_the_system_is_everything_with_its_reason() -> None:
    permit = Permit.system("reindex")
    assert (permit.reasons, permit.is_system) == (("reindex",), True)
    assert permit.of("Patient") == permit.writes("Patient") == All()


def test_a_permit_of_nothing_is_nothing() -> None:
    permit = Permit.nothing("no consent")
    assert (permit.reasons, permit.is_system) == (("no consent",), False)
    assert permit.of("Patient") == permit.writes("Patient") == Nothing()
