"""The routes: for each kind of address, which method is which interaction. `/metadata` is made from the same table.

https://hl7.org/fhir/R4/http.html#summary
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Final

from fhirserver.rest import instances, patch, types
from fhirserver.rest.address import Kind
from fhirserver.rest.request import Request
from fhirserver.rest.responses import Answer

Handle = Callable[[Request], Awaitable[Answer]]

CAPABILITIES: Final = "capabilities"
OPTIONS: Final = "OPTIONS"


@dataclass(frozen=True, slots=True)
class Route:
    """An interaction, by the specification's name, and the function that speaks HTTP for it."""

    interaction: str
    handle: Handle


_SEARCH = Route("search-type", types.search)
_SEARCH_BY_FORM = Route("search-type", types.search_by_form)

ROUTES: Final[Mapping[Kind, Mapping[str, Route]]] = {
    Kind.SYSTEM: {},
    Kind.METADATA: {},
    Kind.TYPE: {"GET": _SEARCH, "POST": Route("create", types.create)},
    Kind.SEARCH: {"POST": _SEARCH_BY_FORM},
    Kind.INSTANCE: {
        "GET": Route("read", instances.read),
        "PUT": Route("update", instances.update),
        "PATCH": Route("patch", patch.patch),
        "DELETE": Route("delete", instances.delete),
    },
    Kind.HISTORY: {"GET": Route("history-instance", instances.history)},
    Kind.VERSION: {"GET": Route("vread", instances.vread)},
    Kind.COMPARTMENT: {"GET": _SEARCH},
    Kind.COMPARTMENT_SEARCH: {"POST": _SEARCH_BY_FORM},
}
"""What needs a principal. The statement of capabilities does not, and stands beside the table in the facade."""

TYPE_INTERACTIONS: Final = tuple(
    sorted({route.interaction for methods in ROUTES.values() for route in methods.values()})
)
"""The interactions that every resource type has."""


def allowed(kind: Kind) -> tuple[str, ...]:
    """The methods of this kind of address, for `Allow`."""
    if kind is Kind.SYSTEM:
        return (OPTIONS,)
    methods = ("GET",) if kind is Kind.METADATA else tuple(ROUTES[kind])
    return (*methods, *(("HEAD",) if "GET" in methods else ()), OPTIONS)
