"""The operation `$graphql`: a query of the system, or of one resource.

https://hl7.org/fhir/R4/resource-operation-graphql.html
"""

from __future__ import annotations

from typing import Any, Final

from fhirserver.interactions.context import Context
from fhirserver.interactions.graphql import execute
from fhirserver.interactions.operations.operation import Invocation, Level, Operation
from fhirserver.model.json import parse
from fhirserver.model.outcome import BadRequest


async def graphql(context: Context, invocation: Invocation) -> dict[str, Any]:
    """The answer as GraphQL has it: `data`, and `errors` where a field has none."""
    is_instance = invocation.level is Level.INSTANCE
    return await execute(
        context,
        invocation.one("query"),
        variables=_variables(invocation.one("variables")),
        operation_name=invocation.one("operationName") or None,
        resource_type=invocation.resource_type if is_instance else None,
        id=invocation.id,
    )


def _variables(text: str | None) -> dict[str, Any]:
    found = None if not text else parse(text.encode())
    if not isinstance(found, dict | None):
        raise BadRequest("The variables are a JSON object.", code="structure")
    return found or {}


GRAPHQL: Final = Operation(
    "graphql",
    "http://hl7.org/fhir/OperationDefinition/Resource-graphql",
    frozenset((Level.SYSTEM, Level.INSTANCE)),
    graphql,
    parameters=frozenset(("query", "variables", "operationName")),
    gives_resource=False,
)
