"""HL7's examples as the oracle: a query that asks for all that a resource has, and all simple elements beside, gives the resource."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, cast

from graphql import GraphQLInterfaceType, GraphQLObjectType, get_named_type, is_leaf_type

from fhirserver.definitions import load
from fhirserver.fhirpath import Engine
from fhirserver.interactions.context import Context
from fhirserver.interactions.graphql.budget import Budget
from fhirserver.interactions.graphql.document import FIELDS, read_document
from fhirserver.interactions.graphql.execution import Execution
from fhirserver.interactions.graphql.hops import Hops, Place
from fhirserver.interactions.graphql.items import Filters
from fhirserver.interactions.graphql.output import Output
from fhirserver.interactions.graphql.schema import schema
from fhirserver.model.json import dump
from tests.data.examples import example_resources

WANTED_TYPES = 120


def selection(type: GraphQLObjectType, values: list[dict[str, Any]]) -> str:
    """The fields of everything that the values have, and every simple field of the type."""
    asked = []
    for name, field in type.fields.items():
        inner = get_named_type(field.type)
        if is_leaf_type(inner):
            asked.append(name)
            continue
        found = [each for value in values for each in as_list(value.get(name)) if each is not None]
        if found and isinstance(inner, GraphQLInterfaceType):
            asked.append(f"{name}{{{of_types(found)}}}")
        elif found:
            asked.append(f"{name}{{{selection(cast('GraphQLObjectType', inner), found)}}}")
    return " ".join(asked)


def of_types(resources: list[dict[str, Any]]) -> str:
    """A fragment for each type of resource that stands in one place."""
    by_type: dict[str, list[dict[str, Any]]] = {}
    for each in resources:
        by_type.setdefault(each["resourceType"], []).append(each)
    types = schema(load()).type_map
    return " ".join(
        f"... on {name}{{{selection(cast('GraphQLObjectType', types[name]), each)}}}" for name, each in by_type.items()
    )


def as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def pruned(value: Any) -> Any:
    """Without what is null: in FHIR an element without a value is not there."""
    if isinstance(value, dict):
        return {name: pruned(each) for name, each in value.items() if each is not None}
    return [pruned(each) for each in value] if isinstance(value, list) else value


async def answer(resource: dict[str, Any], query: str) -> tuple[Any, list[Any]]:
    """The data of a query of this resource; there is no server behind it."""
    name, known, budget = resource["resourceType"], schema(load()), Budget()
    filters = Filters(Engine(load()), datetime(2026, 1, 1, tzinfo=UTC), budget)
    hops = Hops(cast("Context", None), budget)
    execution = Execution(known, read_document(known, query, name, None), {}, hops, filters, budget, Output())
    data = await execution.run(cast("GraphQLObjectType", known.type_map[name]), Place(resource))
    return data, execution.errors


async def test_all_of_a_resource_comes_back_as_it_is() -> None:
    """One example of each type, the digits of its numbers included."""
    types = schema(load()).type_map
    seen: set[str] = set()
    for file, resource in example_resources():
        name = resource["resourceType"]
        if name in seen or len(dump(resource)) > 50_000:
            continue
        query = f"{{{selection(cast('GraphQLObjectType', types[name]), [resource])}}}"
        if query.count(" ") > FIELDS:
            continue
        data, errors = await answer(resource, query)
        assert errors == [], file
        assert dump(sorted_keys(pruned(data))) == dump(sorted_keys(resource)), file
        seen.add(name)
    assert len(seen) >= WANTED_TYPES


def sorted_keys(value: Any) -> Any:
    """The same value, its names in order, so that equal texts are equal values to the last digit."""
    if isinstance(value, dict):
        return {name: sorted_keys(value[name]) for name in sorted(value)}
    return [sorted_keys(each) for each in value] if isinstance(value, list) else value
