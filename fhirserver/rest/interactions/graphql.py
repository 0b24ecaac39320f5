"""GraphQL over HTTP: a query is posted as it is, or in JSON with its variables; the answer is JSON and no resource.

https://hl7.org/fhir/R4/graphql.html and https://graphql.github.io/graphql-over-http/draft/
"""

from __future__ import annotations

from typing import Any, Final

from fhirserver.model.json import dump, parse
from fhirserver.model.outcome import BadRequest, NotSupported
from fhirserver.rest.interactions.bundles.entries import EntryRequest
from fhirserver.rest.messages.request import Request
from fhirserver.rest.representation.negotiate import media_type

QUERY: Final = "application/graphql"
JSON: Final = "application/json"

_LIMIT: Final = 1_000_000
"""Bytes of a query with its variables."""
_TEXTS: Final = ("query", "operationName")
_TAKEN: Final = frozenset((*_TEXTS, "variables", "extensions"))


def content_type(request: Request) -> bytes:
    """The Content-Type of the answer, whatever is accepted. Raises NotSupported in a Bundle, which holds resources only."""
    if isinstance(request, EntryRequest):
        raise NotSupported("The answer of this operation is no resource: it has no place in a Bundle.")
    return f"{JSON}; charset=utf-8".encode()


def is_sent(request: Request) -> bool:
    """Whether the body has a form of GraphQL's own, and is no Parameters resource."""
    return media_type(request.header(b"content-type") or "")[0] in (QUERY, JSON)


async def sent(request: Request) -> list[tuple[str, Any]]:
    """The parameters in the body, by name, as an address would give them. Raises BadRequest or TooLarge."""
    body = await request.body()
    if media_type(request.header(b"content-type") or "")[0] == QUERY:
        try:
            return [("query", body.decode())]
        except UnicodeDecodeError:
            raise BadRequest("The query is not valid UTF-8.") from None
    found = parse(body, limit=_LIMIT)
    if not isinstance(found, dict) or not found.keys() <= _TAKEN:
        raise BadRequest("A request has the members query, variables and operationName.", code="structure")
    if not all(isinstance(found.get(name), str | None) for name in _TEXTS):
        raise BadRequest("The query and the operationName are strings.", code="structure")
    texts = [(name, found[name]) for name in _TEXTS if found.get(name) is not None]
    variables = found.get("variables")
    return texts if variables is None else [*texts, ("variables", dump(variables).decode())]
