"""Whole queries over real resources: whatever a client writes is refused with a reason, or answered alike by both interpreters.

https://hl7.org/fhir/R4/search.html
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pymongo import MongoClient
from pymongo.collection import Collection

from fhirserver.definitions import load
from fhirserver.model.json import Number
from fhirserver.model.outcome import BadRequest
from fhirserver.search.compile import compile as filter_of
from fhirserver.search.expression import Nothing
from fhirserver.search.index.extract import Extractor
from fhirserver.search.match import match
from fhirserver.search.query.parse import parse_search
from fhirserver.search.registry import registry
from fhirserver.search.request import Bounds

BASE_URL = "https://fhir.example.org/r4"
NOW = datetime(2026, 1, 1, tzinfo=UTC)
TYPES = ["Observation", "Patient", "QuestionnaireResponse", "ValueSet"]

Document = dict[str, Any]


def _documents() -> list[Document]:
    extractor = Extractor(load(), BASE_URL)
    found = []
    for table in sorted((Path(__file__).parents[2] / "conformance" / "search").glob("*.json")):
        for number, resource in enumerate(
            json.loads(table.read_text("utf-8"), parse_float=Number).get("resources", ())
        ):
            index, sort = extractor.extract(resource["resourceType"], resource)
            id = f"{table.stem}-{number}"
            found.append({"_id": id, "type": resource["resourceType"], "updated": NOW, "index": index, "sort": sort})
    return found


def _strings(value: Any) -> Iterator[str]:
    """The strings in a stored value, wherever they stand."""
    match value:
        case str():
            yield value
        case dict():
            yield from _strings(list(value.values()))
        case list():
            for each in value:
                yield from _strings(each)


DOCUMENTS = _documents()
STORED_STRINGS = sorted({text for document in DOCUMENTS for text in _strings(document["index"])})
PIECES = [
    "male",
    "p1",
    "Patient/p1",
    "2013-01-14",
    "ge2013",
    "true",
    "http://loinc.org|",
    "|",
    ",",
    "\\",
    "$",
    "\0",
    "^",
    "*",
    "é",
    "🙂",
    " ",
]

values = st.one_of(
    st.sampled_from(STORED_STRINGS),
    st.sampled_from(STORED_STRINGS).map(lambda text: text.lstrip("=~|")),
    st.lists(st.sampled_from(PIECES), min_size=1, max_size=4).map("".join),
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20),
)
modifiers = st.sampled_from(
    ["", "", "", ":not", ":missing", ":exact", ":contains", ":identifier", ":Patient", ":x", ":"]
)


@st.composite
def queries(draw: st.DrawFn) -> tuple[str, list[tuple[str, str]]]:
    """A type, and parameters of which most exist."""
    resource_type = draw(st.sampled_from(TYPES))
    names = st.sampled_from([*registry(load(), resource_type).searchable, "_sort", "_count", "_include", "nonsense"])
    pair = st.tuples(st.tuples(names, modifiers).map("".join), values)
    return resource_type, draw(st.lists(pair, min_size=1, max_size=3))


@pytest.fixture(scope="module")
def collection(mongo_url: str) -> Iterator[Collection[Document]]:
    client: MongoClient[Document] = MongoClient(mongo_url)
    collection = client["search_queries"]["all"]
    collection.delete_many({})
    collection.insert_many(DOCUMENTS)
    yield collection
    client.drop_database("search_queries")
    client.close()


@settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(query=queries(), lenient=st.booleans())
def test_any_query_is_refused_with_a_reason_or_answered_alike(
    collection: Collection[Document], query: tuple[str, list[tuple[str, str]]], lenient: bool
) -> None:
    resource_type, pairs = query
    try:
        request = parse_search(
            load(), resource_type, pairs, lenient=lenient, base_url=BASE_URL, now=NOW, bounds=Bounds()
        )
    except BadRequest as refusal:
        reasons = [issue.diagnostics for issue in refusal.issues]
    else:
        reasons = []
    if reasons:
        assert all(reasons)
        return
    expression = request.expression
    expected = {each["_id"] for each in DOCUMENTS if each["type"] == resource_type and match(expression, each)}
    if isinstance(expression, Nothing):
        assert not expected
        return
    conditions = {"$and": [{"type": resource_type}, filter_of(expression)]}
    assert {each["_id"] for each in collection.find(conditions, {"_id": 1})} == expected


def test_the_longest_patterns_are_taken_by_mongodb(collection: Collection[Document]) -> None:
    for text in ("🙂" * 1000, "\0" * 1000, "." * 1000, "日" * 1000):
        for name, value in (("name", text), ("name:contains", text), ("identifier", text + "|")):
            request = parse_search(
                load(), "Patient", [(name, value)], lenient=False, base_url=BASE_URL, now=NOW, bounds=Bounds()
            )
            assert list(collection.find(filter_of(request.expression))) == []
