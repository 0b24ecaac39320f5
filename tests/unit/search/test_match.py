"""The matcher: what is true of a document in memory.

The agreement with MongoDB is a property of its own (`integration/test_search_agreement.py`); these are the cases to read.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

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
)
from fhirserver.search.match import match

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def one(*values: Any) -> Expression:
    return In("a", frozenset(values))


CASES: list[tuple[Expression, dict[str, Any], bool]] = [
    (All(), {}, True),
    (Nothing(), {}, False),
    (one("x"), {"a": "x"}, True),
    (one("x"), {"a": ["y", "x"]}, True),
    (one("x"), {"a": ["y"]}, False),
    (one("x"), {"a": [["x"]]}, False),
    (one("x"), {}, False),
    (one(1), {"a": True}, False),
    (one(True), {"a": 1}, False),
    (one(True), {"a": True}, True),
    (one(1), {"a": 1.0}, True),
    (one(1), {"a": "1"}, False),
    (one("x"), {"a": 1}, False),
    (one(1), {"a": {"x": 1}}, False),
    (one(NOON), {"a": NOON.replace(tzinfo=None)}, True),
    (one(NOON), {"a": NOON.astimezone(timezone(timedelta(hours=3)))}, True),
    (one(NOON), {"a": NOON + timedelta(microseconds=999)}, True),
    (one(NOON), {"a": NOON + timedelta(microseconds=1000)}, False),
    (Not(one("x")), {}, True),
    (Not(one("x")), {"a": "x"}, False),
    (And((one("x"), one("y"))), {"a": ["x", "y"]}, True),
    (And((one("x"), one("z"))), {"a": ["x", "y"]}, False),
    (And(()), {}, True),
    (Or((one("z"), one("y"))), {"a": ["x", "y"]}, True),
    (Or((one("z"),)), {"a": ["x", "y"]}, False),
    (Or(()), {}, False),
    (Within("a", frozenset({"x", "y"})), {"a": ["x", "y"]}, True),
    (Within("a", frozenset({"x"})), {"a": ["x", "y"]}, False),
    (Within("a", frozenset({"x"})), {"a": ["x", None]}, False),
    (Within("a", frozenset({"x"})), {"a": []}, False),
    (Within("a", frozenset({"x"})), {"a": None}, False),
    (Within("a", frozenset({"x"})), {}, False),
    (Within("a", frozenset({"x"})), {"a": "x"}, True),
    (Exists("a"), {"a": "x"}, True),
    (Exists("a"), {"a": False}, True),
    (Exists("a"), {"a": {}}, True),
    (Exists("a"), {"a": None}, False),
    (Exists("a"), {"a": []}, False),
    (Exists("a.b"), {"a": "x"}, False),
    (Exists("a.b"), {"a": [{"b": None}, {"b": 1}]}, True),
    (Range("a", 1, 3), {"a": 2}, True),
    (Range("a", 1, 3), {"a": [0, 4]}, False),
    (Range("a", 1, 3), {"a": [0, 3]}, True),
    (Range("a", 1, None), {"a": 0}, False),
    (Range("a", None, 1), {"a": 2}, False),
    (Range("a", 1, None), {"a": "z"}, False),
    (Range("a", 1, None), {"a": {"b": 1}}, False),
    (Range("a", None, None), {"a": "z"}, True),
    (Range("a", None, None), {"a": None}, False),
    (Range("a", NOON + timedelta(microseconds=1), None), {"a": NOON}, False),
    (Range("a", None, NOON), {"a": NOON + timedelta(microseconds=999)}, True),
    (Prefixed("a", "x"), {"a": ["yx", "xy"]}, True),
    (Prefixed("a", "x"), {"a": [1, "yx"]}, False),
    (Containing("a", "."), {"a": "x"}, False),
    (Containing("a", "x"), {"a": ["yxy"]}, True),
    (Some("a", Range("lo", 1, None)), {"a": [{"lo": 0}, {"lo": 1}]}, True),
    (
        Some("a", And((Range("lo", 1, None), Range("hi", None, 1)))),
        {"a": [{"lo": 0, "hi": 1}, {"lo": 1, "hi": 2}]},
        False,
    ),
    (Some("a", All()), {"a": ["x"]}, False),
    (Some("a", All()), {"a": {"lo": 1}}, False),
]


@pytest.mark.parametrize(("expression", "document", "expected"), CASES)
def test_what_is_true_of_a_document(expression: Expression, document: dict[str, Any], expected: bool) -> None:
    assert match(expression, document) is expected
