"""The search tables: what a query finds among given resources, by the matcher and by MongoDB.

Each file of `search/` names its clause, the resources, and rows of a query with the ids that it finds (`finds`), or with the
issue code it is refused with (`refused`; `always` says that lenient handling does not excuse it).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import pytest
from pymongo import MongoClient

from fhirserver.definitions import load
from fhirserver.model.dates import interval, moment
from fhirserver.model.outcome import BadRequest
from fhirserver.search.compile import compile as filter_of
from fhirserver.search.expression import Nothing
from fhirserver.search.index.extract import Extractor
from fhirserver.search.match import match
from fhirserver.search.query.parse import parse_search
from fhirserver.search.request import Bounds, SearchRequest

BASE_URL = "https://fhir.example.org/r4"
NOW = datetime(2026, 1, 1, tzinfo=UTC)
EXTRACTOR = Extractor(load(), BASE_URL)
TABLES = {
    path.stem: table
    for path in sorted(Path(__file__).parent.glob("search/*.json"))
    if "world" not in (table := json.loads(path.read_text("utf-8"), parse_float=Decimal))
}
"""Those that name a world are asked of a whole server, in `test_search_world_tables.py`."""
ROWS = [
    pytest.param(name, row, id=f"{name}: {row['search']}") for name, table in TABLES.items() for row in table["rows"]
]

Document = dict[str, Any]


def _document(resource: Document) -> Document:
    index, sort = EXTRACTOR.extract(resource["resourceType"], resource)
    updated = moment(interval(resource.get("meta", {}).get("lastUpdated", "2026-01-01T00:00:00.000Z"))[0])
    return {"_id": resource["id"], "type": resource["resourceType"], "updated": updated, "index": index, "sort": sort}


STORED = {name: [_document(resource) for resource in table["resources"]] for name, table in TABLES.items()}


@pytest.fixture(scope="module")
def database(mongo_url: str) -> Iterator[Any]:
    client: MongoClient[Document] = MongoClient(mongo_url)
    database = client["search_tables"]
    for name, documents in STORED.items():
        database[name].delete_many({})
        database[name].insert_many(documents)
    yield database
    client.drop_database(database)
    client.close()


def _parse(search: str, *, lenient: bool = False) -> SearchRequest:
    resource_type, _, query = search.partition("?")
    pairs = parse_qsl(query, keep_blank_values=True, encoding="utf-8")
    return parse_search(load(), resource_type, pairs, lenient=lenient, base_url=BASE_URL, now=NOW, bounds=Bounds())


@pytest.mark.parametrize(("name", "row"), ROWS)
def test_a_query_finds_what_the_clause_says(database: Any, name: str, row: Document) -> None:
    if "refused" in row:
        with pytest.raises(BadRequest) as refusal:
            _parse(row["search"])
        assert [issue.code for issue in refusal.value.issues] == [row["refused"]]
        return
    request = _parse(row["search"])
    candidates = [document for document in STORED[name] if document["type"] == request.resource_type]
    assert sorted(row["finds"]) == sorted(each["_id"] for each in candidates if match(request.expression, each))
    if not isinstance(request.expression, Nothing):
        conditions = {"$and": [{"type": request.resource_type}, filter_of(request.expression)]}
        assert sorted(row["finds"]) == sorted(each["_id"] for each in database[name].find(conditions))


@pytest.mark.parametrize(
    ("name", "row"), [param for param in ROWS if param.values[1].get("refused") == "not-supported"]
)
def test_with_lenient_handling_the_unsupported_is_ignored_and_said(name: str, row: Document) -> None:
    """https://hl7.org/fhir/R4/search.html#errors"""
    if row.get("always"):
        with pytest.raises(BadRequest):
            _parse(row["search"], lenient=True)
        return
    request = _parse(row["search"], lenient=True)
    assert request.used == ()
    assert [(issue.severity, issue.code) for issue in request.ignored] == [("warning", "not-supported")]
