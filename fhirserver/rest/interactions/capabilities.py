"""capabilities over HTTP: asked for by anybody, or as an entry of a Bundle.

https://hl7.org/fhir/R4/http.html#capabilities
"""

from __future__ import annotations

from fhirserver.rest.messages.parameters import Pair, form_of
from fhirserver.rest.messages.request import Request, Statement
from fhirserver.rest.messages.responses import Answer


async def capabilities(statement: Statement, pairs: list[Pair], content_type: bytes) -> Answer:
    """`GET [base]/metadata`."""
    return Answer(200, await statement(form_of(pairs, "mode")), content_type, is_lasting=True)


async def of_entry(request: Request) -> Answer:
    """The same in a batch or transaction."""
    return await capabilities(request.statement, request.parameters(), request.content_type())
