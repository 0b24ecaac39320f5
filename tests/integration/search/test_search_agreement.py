"""The two interpreters of an Expression agree: what MongoDB finds is what the matcher says.

https://hl7.org/fhir/R4/search.html
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pymongo import MongoClient
from pymongo.collection import Collection

from fhirserver.search.compile import compile as filter_of
from fhirserver.search.expression import (
    All,
    And,
    Containing,
    Exists,
    Expression,
    In,
    Near,
    Not,
    Nothing,
    Or,
    Prefixed,
    Range,
    Some,
    Suffixed,
    Within,
)
from fhirserver.search.match import match

WORDS = [
    "a",
    "ab",
    "b",
    "A",
    "a|",
    "a|b",
    "=a",
    "ё",
    "a.b",
    "a*",
    "^a",
    "$",
    "\n",
    "a\0b",
    "\\",
    "(",
    "[",
    "é",
    "日",
    " ",
    "🙂",
    "",
]
MOMENTS = [
    datetime(2026, 1, 1, tzinfo=UTC) + timedelta(microseconds=offset) for offset in (-1, 0, 1, 499, 999, 1000, 1001)
]

words = st.sampled_from(WORDS)
numbers = st.integers(-3, 3)
moments = st.sampled_from(MOMENTS)
scalars = st.one_of(words, numbers, st.booleans(), moments)

# Strings, alone or in an array, or anything odd that an older layout may have left.
texts = st.one_of(st.lists(words, max_size=3), words, st.none(), st.lists(st.one_of(words, st.none()), max_size=2))
anything = st.one_of(scalars, st.lists(scalars, max_size=3), st.none(), st.fixed_dictionaries({"x": scalars}))
intervals = st.one_of(
    st.lists(st.fixed_dictionaries({}, optional={"lo": numbers, "hi": numbers, "t": texts}), max_size=3),
    st.none(),
    st.lists(words, max_size=1),
)
# Both poles, the line of dates, and neighbours; the distances lie well between those of any two points.
latitudes = st.sampled_from([-90.0, -17.0, 0.0, 55.752, 55.7601, 89.99, 90.0])
longitudes = st.sampled_from([-180.0, -179.9, 0.0, 37.6175, 37.6186, 179.9, 180.0])
distances = st.sampled_from([0.5, 50.0, 700.0, 5_000.0, 50_000.0, 7_000_000.0, 20_040_000.0])
places = st.one_of(
    st.none(),
    st.builds(
        lambda latitude, longitude: {"type": "Point", "coordinates": [longitude, latitude]}, latitudes, longitudes
    ),
)
pairs = st.lists(st.fixed_dictionaries({}, optional={"a": texts, "b": intervals}), max_size=3)
documents = st.fixed_dictionaries(
    {"updated": moments},
    optional={
        "index": st.one_of(
            st.none(),
            st.fixed_dictionaries(
                {},
                optional={
                    "code": texts,
                    "name": st.one_of(st.none(), st.fixed_dictionaries({}, optional={"f": texts, "s": texts})),
                    "date": intervals,
                    "near": places,
                    "pair": pairs,
                },
            ),
        ),
        "security": st.fixed_dictionaries({}, optional={"owners": texts, "owner": st.one_of(words, st.none())}),
        "any": anything,
        "deleted": st.booleans(),
    },
)

text_paths = st.sampled_from(["index.code", "index.name.f", "index.name.s", "security.owners", "security.owner", "any"])
any_paths = st.sampled_from(
    ["index.code", "index.name.f", "security.owners", "security.owner", "any", "deleted", "updated", "absent.path"]
)
existing = st.sampled_from(
    ["index", "index.code", "index.name", "index.name.f", "index.date", "any", "deleted", "updated"]
)


def ranges(paths: st.SearchStrategy[str], bounds: st.SearchStrategy[Any]) -> st.SearchStrategy[Expression]:
    """One-sided, two-sided and open ranges."""
    return st.builds(Range, paths, st.none() | bounds, st.none() | bounds)


inner_leaves = st.one_of(
    ranges(st.sampled_from(["lo", "hi"]), numbers),
    st.builds(In, st.sampled_from(["lo", "t"]), st.frozensets(st.one_of(words, numbers), max_size=3)),
    st.builds(Exists, st.sampled_from(["lo", "hi", "t"])),
    st.builds(Prefixed, st.just("t"), words),
    st.builds(Within, st.just("t"), st.frozensets(words, max_size=3)),
    st.just(All()),
    st.just(Nothing()),
)


def trees(leaves: st.SearchStrategy[Expression], size: int) -> st.SearchStrategy[Expression]:
    """Conjunctions, disjunctions and negations over the leaves, not folded: the interpreters rely on no folding."""
    return st.recursive(
        leaves,
        lambda children: st.one_of(
            st.builds(And, st.lists(children, max_size=3).map(tuple)),
            st.builds(Or, st.lists(children, max_size=3).map(tuple)),
            st.builds(Not, children),
        ),
        max_leaves=size,
    )


both = st.builds(
    lambda one, other: And((one, Some("b", other))),
    st.builds(In, st.just("a"), st.frozensets(words, max_size=3)),
    trees(inner_leaves, 3),
)
leaves = st.one_of(
    st.builds(In, any_paths, st.frozensets(scalars, max_size=3)),
    st.builds(Within, any_paths, st.frozensets(scalars, max_size=3)),
    st.builds(Exists, existing),
    ranges(any_paths, st.one_of(words, numbers, moments)),
    st.builds(Prefixed, text_paths, words),
    st.builds(Containing, text_paths, words),
    st.builds(Suffixed, text_paths, words),
    st.builds(Some, st.just("index.date"), trees(inner_leaves, 4)),
    st.builds(Some, st.just("index.pair"), both),
    st.builds(Near, st.just("index.near"), latitudes, longitudes, distances),
    st.just(All()),
    st.just(Nothing()),
)
expressions = trees(leaves, 8)


@pytest.fixture
def collection(mongo_url: str, database_name: str) -> Iterator[Collection[dict[str, Any]]]:
    client: MongoClient[dict[str, Any]] = MongoClient(mongo_url)
    yield client[database_name]["Thing"]
    client.close()


def _agree(
    collection: Collection[dict[str, Any]], stored: list[dict[str, Any]], asked: list[Expression], run: list[int]
) -> None:
    run[0] += 1
    rows = [{"_id": f"{run[0]}-{place}", "run": run[0], **document} for place, document in enumerate(stored)]
    collection.insert_many(rows)
    for expression in asked:
        expected = {row["_id"] for row in rows if match(expression, row)}
        if isinstance(expression, Nothing):
            assert not expected
            continue
        found = {row["_id"] for row in collection.find({"$and": [{"run": run[0]}, filter_of(expression)]}, {"_id": 1})}
        assert found == expected, (expression, filter_of(expression))


def _property(examples: int) -> Any:
    return lambda test: settings(
        max_examples=examples,
        deadline=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
    )(
        given(
            stored=st.lists(documents, min_size=3, max_size=12), asked=st.lists(expressions, min_size=2, max_size=12)
        )(test)
    )


@pytest.fixture
def run() -> list[int]:
    return [0]


@_property(100)
def test_what_mongodb_finds_is_what_the_matcher_says(
    collection: Collection[dict[str, Any]], run: list[int], stored: list[dict[str, Any]], asked: list[Expression]
) -> None:
    collection.create_index("run")
    _agree(collection, stored, asked, run)


@pytest.mark.slow
@pytest.mark.timeout(1_200)
@_property(1000)
def test_they_agree_over_many_more_examples(
    collection: Collection[dict[str, Any]], run: list[int], stored: list[dict[str, Any]], asked: list[Expression]
) -> None:
    collection.create_index("run")
    _agree(collection, stored, asked, run)


@_property(40)
def test_they_agree_when_the_paths_are_indexed(
    collection: Collection[dict[str, Any]], run: list[int], stored: list[dict[str, Any]], asked: list[Expression]
) -> None:
    """An index may only change how the answer is found; bounds from a pattern or a range must not lose a row."""
    for path in ("index.code", "index.name.f", "index.date.lo", "index.date.hi", "security.owners", "any", "updated"):
        collection.create_index([(path, 1), ("_id", 1)])
    run[0] += 1
    rows = [{"_id": f"{run[0]}-{place}", **document} for place, document in enumerate(stored)]
    collection.delete_many({})
    collection.insert_many(rows)
    for expression in asked:
        if not isinstance(expression, Nothing):
            expected = {row["_id"] for row in rows if match(expression, row)}
            assert {row["_id"] for row in collection.find(filter_of(expression), {"_id": 1})} == expected, expression
