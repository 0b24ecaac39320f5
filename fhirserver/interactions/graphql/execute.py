"""The execution of a GraphQL request: what is wrong with the query refuses it, what is wrong with a field is said beside the data.

https://hl7.org/fhir/R4/graphql.html and https://spec.graphql.org/October2021/#sec-Response
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from functools import cache
from typing import Any, Final

from graphql import GraphQLObjectType, GraphQLSchema
from graphql.execution.values import get_variable_values
from msgspec import Raw

from fhirserver.definitions import Definitions
from fhirserver.fhirpath import Engine
from fhirserver.interactions.context import Context
from fhirserver.interactions.graphql.budget import Budget
from fhirserver.interactions.graphql.document import Document, read_document, refusal
from fhirserver.interactions.graphql.execution import Execution
from fhirserver.interactions.graphql.hops import Hops, Place
from fhirserver.interactions.graphql.items import Filters
from fhirserver.interactions.graphql.output import Output
from fhirserver.interactions.graphql.schema import schema
from fhirserver.model.json import dump
from fhirserver.model.outcome import operation_outcome

_SYSTEM: Final = Place({})
_REMEMBERED: Final = 2
_SAID: Final[dict[tuple[GraphQLSchema, str, str | None], Raw]] = {}


async def execute(
    context: Context,
    query: str,
    *,
    variables: Mapping[str, Any],
    operation_name: str | None = None,
    resource_type: str | None = None,
    id: str = "",
) -> dict[str, Any]:
    """The answer to a query of the system, or of this resource: data, errors, and what else is to be said.

    Raises BadRequest, TooCostly, and what a read of the resource raises.
    """
    definitions = context.services.definitions
    known, document = await asyncio.to_thread(_prepared, definitions, query, resource_type, operation_name)
    values = _values(known, document, variables)
    budget = Budget()
    hops = Hops(context, budget)
    place = _SYSTEM if resource_type is None else await hops.one(resource_type, id)
    root = known.type_map["Query" if resource_type is None else resource_type]
    assert isinstance(root, GraphQLObjectType)  # noqa: S101
    filters = Filters(_engine(definitions.core), context.now(), budget)
    execution = Execution(known, document, values, hops, filters, budget, Output())
    key = (known, query, operation_name) if resource_type is None and document.asks_schema_only else None
    if key in _SAID:
        return {"data": _SAID[key]}
    answer: dict[str, Any] = {"data": await execution.run(root, place)}
    if execution.errors:
        answer["errors"] = execution.errors
    elif key is not None:
        answer["data"] = _remembered(key, answer["data"])
    if said := hops.said():
        answer["extensions"] = {"outcome": operation_outcome(said)}
    return answer


def _prepared(
    definitions: Definitions, query: str, resource_type: str | None, operation_name: str | None
) -> tuple[GraphQLSchema, Document]:
    """The schema, and the query read by it: work of its own, beside the event loop."""
    known = schema(definitions)
    return known, read_document(known, query, resource_type, operation_name)


def _values(known: GraphQLSchema, document: Document, variables: Mapping[str, Any]) -> dict[str, Any]:
    """The values of the variables. Raises BadRequest."""
    found = get_variable_values(known, document.operation.variable_definitions or (), dict(variables), max_errors=10)
    if isinstance(found, list):
        raise refusal(found)
    return found


def _remembered(key: tuple[GraphQLSchema, str, str | None], data: dict[str, Any]) -> Raw:
    """What the schema says of itself: tools ask for all of it, in a few ways, and again."""
    if len(_SAID) >= _REMEMBERED:
        _SAID.clear()
    return _SAID.setdefault(key, Raw(dump(data)))


@cache
def _engine(definitions: Definitions) -> Engine:
    """An engine with nobody to ask: its expressions see the item and nothing else."""
    return Engine(definitions)
