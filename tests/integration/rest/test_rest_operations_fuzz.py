"""Whatever an operation is sent, by GET or as a Parameters resource, it is answered or refused, and never fails."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.integration.serving import Server

OPERATIONS = (
    "/Patient/fuzz/$everything",
    "/Patient/$everything",
    "/Encounter/fuzz/$everything",
    "/Observation/$lastn",
    "/Observation/$stats",
    "/Observation/fuzz/$meta-add",
    "/Observation/fuzz/$meta-delete",
    "/Observation/fuzz",
    "/Observation",
)
NAMES = (
    *(
        "_since",
        "_type",
        "_count",
        "start",
        "end",
        "_cursor",
        "max",
        "patient",
        "subject",
        "code",
        "category",
        "_summary",
    ),
    *(
        "_elements",
        "system",
        "coding",
        "duration",
        "period",
        "statistic",
        "include",
        "limit",
        "meta",
        "_format",
        "_sort",
    ),
)
TEXTS = (
    *(
        "",
        "0",
        "1",
        "-1",
        "1e9",
        "99999999999999999999",
        "true",
        "fuzz",
        "Patient/fuzz",
        "2026",
        "2026-01-01",
        "9999-12-31",
    ),
    *(
        "2026-01-01T00:00:00Z",
        "0001-01-01T00:00:00+14:00",
        "Observation",
        "Observation,Patient",
        "718-7",
        "a|b",
        "\\",
        ",",
    ),
    *(
        "average",
        "count,sum,skew",
        "text",
        "true,",
        "code,Patient.name",
        "name.family",
        "é",
        "%00",
        "json",
        "xml",
        "date",
    ),
)
VALUES: tuple[Any, ...] = (
    *(
        None,
        True,
        0,
        -1,
        1.5,
        10**30,
        [],
        {},
        [1],
        "x",
        {"start": "2026"},
        {"start": 1},
        {"code": "718-7"},
        {"code": 1},
    ),
    *(
        {"tag": [{"code": "a"}]},
        {"tag": 1},
        {"tag": [1]},
        {"profile": ["urn:p"]},
        {"profile": [{}]},
        {"security": [{}]},
    ),
)
KINDS = (
    "String",
    "Uri",
    "Code",
    "Integer",
    "PositiveInt",
    "Decimal",
    "Boolean",
    "Date",
    "Instant",
    "Period",
    "Coding",
    "Meta",
)

queries = st.lists(st.tuples(st.sampled_from(NAMES), st.sampled_from(TEXTS)), max_size=5)
parameters = st.lists(
    st.one_of(
        st.builds(
            lambda name, kind, value: {"name": name, f"value{kind}": value},
            st.sampled_from(NAMES),
            st.sampled_from(KINDS),
            st.one_of(st.sampled_from(VALUES), st.sampled_from(TEXTS)),
        ),
        st.sampled_from(
            [
                {"name": "meta"},
                {"name": "meta", "part": []},
                {"name": "code", "resource": {"resourceType": "Basic"}},
                {},
                1,
            ]
        ),
    ),
    max_size=5,
)


@pytest.fixture(scope="module", autouse=True)
async def _records(server: Server) -> None:
    await server.put({"resourceType": "Patient", "id": "fuzz"})
    encounter = {"resourceType": "Encounter", "id": "fuzz", "status": "finished", "class": {"code": "AMB"}}
    await server.put({**encounter, "subject": {"reference": "Patient/fuzz"}})
    value = {"value": 1, "unit": "g/L", "system": "http://unitsofmeasure.org", "code": "g/L"}
    result = {"resourceType": "Observation", "id": "fuzz", "status": "final", "code": {"coding": [{"code": "718-7"}]}}
    await server.put({**result, "subject": {"reference": "Patient/fuzz"}, "valueQuantity": value})


@example("/Patient/fuzz/$everything", [("_since", "0001-01-01T00:00:00+14:00")], None)
@example("/Patient/fuzz/$everything", [("start", "0001-01-01"), ("end", "9999-12-31")], None)
@example("/Observation/$stats", [], [{"name": "coding", "valueCoding": {"code": 1}}])
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(path=st.sampled_from(OPERATIONS), query=queries, posted=st.one_of(st.none(), parameters))
async def test_no_operation_fails(server: Server, path: str, query: list[Any], posted: list[Any] | None) -> None:
    body = None if posted is None or "$" not in path else {"resourceType": "Parameters", "parameter": posted}
    answer = await server("GET" if body is None else "POST", path, params=query, json=body)
    assert answer.status_code < 500, answer.text
