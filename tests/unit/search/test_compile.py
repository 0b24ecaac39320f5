"""The MongoDB filters of Expressions: their exact form, because the form decides which index is used.

https://www.mongodb.com/docs/manual/reference/operator/query/
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from fhirserver.search.compile import compile as filter_of
from fhirserver.search.expression import (
    All,
    And,
    Containing,
    Exists,
    Expression,
    In,
    Not,
    Nothing,
    Or,
    Prefixed,
    Range,
    Some,
    Within,
    all_of,
    any_of,
    negate,
)

A, B = In("a", frozenset({"x"})), In("b", frozenset({"y"}))
NEVER = {"$nor": [{}]}

FORMS: list[tuple[Expression, dict[str, Any]]] = [
    (All(), {}),
    (A, {"a": {"$eq": "x"}}),
    (In("a", frozenset({"y", "x"})), {"a": {"$in": ["x", "y"]}}),
    (In("a", frozenset()), {"a": {"$in": []}}),
    (In("a", frozenset({"x", 2})), {"a": {"$in": [2, "x"]}}),
    (negate(A), {"a": {"$nin": ["x"]}}),
    (Not(All()), NEVER | {"$nor": [{}]}),
    (Not(Nothing()), {"$nor": [NEVER]}),
    (negate(any_of(A, B)), {"$nor": [{"a": {"$eq": "x"}}, {"b": {"$eq": "y"}}]}),
    (all_of(A, B), {"a": {"$eq": "x"}, "b": {"$eq": "y"}}),
    (all_of(A, negate(In("a", frozenset({"z"})))), {"a": {"$eq": "x", "$nin": ["z"]}}),
    (
        all_of(A, In("a", frozenset({"z"}))),
        {"a": {"$eq": "x"}, "$and": [{"a": {"$eq": "z"}}]},
    ),
    (And(()), {}),
    (Or(()), NEVER),
    (any_of(A, B), {"$or": [{"a": {"$eq": "x"}}, {"b": {"$eq": "y"}}]}),
    (
        And((And((Prefixed("a", "p"), Containing("a", "q"))), Containing("a", "r"))),
        {"$and": [{"a": {"$regex": "^p"}, "$and": [{"a": {"$regex": "q"}}]}, {"a": {"$regex": "r"}}]},
    ),
    (Prefixed("a", "x.y*"), {"a": {"$regex": "^x\\.y\\*"}}),
    (Containing("a", "ё\0_\n"), {"a": {"$regex": "ё\\x00_\\\n"}}),
    (Range("a", 1, None), {"a": {"$gte": 1}}),
    (Range("a", None, 2), {"a": {"$lte": 2}}),
    (all_of(Range("a", 1, None), Range("a", None, 2)), {"a": {"$gte": 1, "$lte": 2}}),
    (
        Range("a", 1, 2),
        {
            "$or": [
                {"a": {"$gte": 1, "$lte": 2, "$not": {"$type": "array"}}},
                {"a": {"$elemMatch": {"$gte": 1, "$lte": 2}}},
            ]
        },
    ),
    (
        Range("a", datetime(2026, 1, 1, 0, 0, 0, 1500, tzinfo=UTC), None),
        {"a": {"$gte": datetime(2026, 1, 1, 0, 0, 0, 2000, tzinfo=UTC)}},
    ),
    (
        Range("a", None, datetime(2026, 1, 1, 0, 0, 0, 1500)),
        {"a": {"$lte": datetime(2026, 1, 1, 0, 0, 0, 1000, tzinfo=UTC)}},
    ),
    (
        Within("a", frozenset({"x"})),
        {"a": {"$in": ["x"]}, "$nor": [{"a": {"$elemMatch": {"$nin": ["x"]}}}]},
    ),
    (
        Some("a", all_of(Range("lo", 1, None), Range("hi", None, 2))),
        {"a": {"$elemMatch": {"lo": {"$gte": 1}, "hi": {"$lte": 2}}}},
    ),
]


@pytest.mark.parametrize(("expression", "expected"), FORMS)
def test_each_node_has_one_form(expression: Expression, expected: dict[str, Any]) -> None:
    assert filter_of(expression) == expected


def test_nothing_has_no_filter() -> None:
    """An empty filter would mean everything."""
    with pytest.raises(ValueError, match="send no query"):
        filter_of(Nothing())


def test_a_value_exists_if_it_has_a_type_other_than_null_and_array() -> None:
    assert "array" not in filter_of(Exists("a"))["a"]["$type"]
    assert "null" not in filter_of(Exists("a"))["a"]["$type"]
    assert filter_of(Range("a", None, None)) == filter_of(Exists("a"))


def test_the_constant_for_never_is_not_shared() -> None:
    filter_of(And((Nothing(), A)))
    assert filter_of(Or(())) == NEVER
