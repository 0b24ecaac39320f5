"""The routes: for each kind of address, which method is which interaction. `/metadata` is made from the same table.

https://hl7.org/fhir/R4/http.html#summary
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from fhirserver.rest.address import Kind
from fhirserver.rest.interactions import (
    across,
    bundles,
    capabilities,
    conditionals,
    histories,
    instances,
    jobs,
    operations,
    patch,
    types,
)
from fhirserver.rest.interactions.route import Route, Routes

CAPABILITIES: Final = "capabilities"
OPTIONS: Final = "OPTIONS"
BATCH: Final = "batch"
TRANSACTION: Final = "transaction"
OPERATION: Final = "operation"


_OPERATION: Final = {method: Route(OPERATION, operations.invoke, by_itself=True) for method in ("GET", "POST")}
_SEARCH = Route("search-type", types.search)
_SEARCH_BY_FORM = Route("search-type", types.search_by_form)
_SEARCH_ACROSS = Route("search-system", across.search)

_OF_ENTRIES: Final[Routes] = {
    Kind.METADATA: {"GET": Route(CAPABILITIES, capabilities.of_entry)},
    Kind.SYSTEM: {"GET": _SEARCH_ACROSS},
    Kind.SYSTEM_SEARCH: {"POST": Route("search-system", across.search_by_form)},
    Kind.TYPE: {
        "GET": _SEARCH,
        "POST": Route("create", types.create),
        "PUT": Route("update", conditionals.update),
        "PATCH": Route("patch", conditionals.patch),
        "DELETE": Route("delete", conditionals.delete),
    },
    Kind.SEARCH: {"POST": _SEARCH_BY_FORM},
    Kind.INSTANCE: {
        "GET": Route("read", instances.read),
        "PUT": Route("update", instances.update),
        "PATCH": Route("patch", patch.patch),
        "DELETE": Route("delete", instances.delete),
    },
    Kind.HISTORY: {"GET": Route("history-instance", histories.instance)},
    Kind.TYPE_HISTORY: {"GET": Route("history-type", histories.of_type)},
    Kind.SYSTEM_HISTORY: {"GET": Route("history-system", histories.of_system)},
    Kind.VERSION: {"GET": Route("vread", instances.vread)},
    Kind.SYSTEM_OPERATION: _OPERATION,
    Kind.TYPE_OPERATION: _OPERATION,
    Kind.INSTANCE_OPERATION: _OPERATION,
    Kind.COMPARTMENT: {"GET": _SEARCH},
    Kind.COMPARTMENT_SYSTEM: {"GET": _SEARCH_ACROSS},
    Kind.COMPARTMENT_SEARCH: {"POST": _SEARCH_BY_FORM},
}
"""What an entry of a Bundle may ask for: everything but another Bundle of requests."""

ROUTES: Final[Routes] = {
    **_OF_ENTRIES,
    Kind.METADATA: {},
    Kind.SYSTEM: {
        "GET": _SEARCH_ACROSS,
        "POST": Route(TRANSACTION, bundles.door(_OF_ENTRIES), by_itself=True),
    },
    Kind.JOB: {
        "GET": Route("job-status", jobs.status, by_itself=True),
        "DELETE": Route("job-cancel", jobs.cancel, by_itself=True),
    },
}
"""What needs a principal. The statement of capabilities does not, and stands beside the table in the facade."""

_OF_SYSTEM: Final = frozenset((Kind.SYSTEM, Kind.SYSTEM_SEARCH, Kind.SYSTEM_HISTORY, Kind.COMPARTMENT_SYSTEM))


def _interactions(kinds: Iterable[Kind]) -> tuple[str, ...]:
    names = {route.interaction for kind in kinds for route in ROUTES[kind].values()}
    return tuple(sorted(names - {OPERATION}))


TYPE_INTERACTIONS: Final = _interactions(set(ROUTES) - _OF_SYSTEM - {Kind.JOB})
"""The interactions that every resource type has."""
SYSTEM_INTERACTIONS: Final = tuple(sorted((BATCH, *_interactions(_OF_SYSTEM))))
"""The interactions with all of them. A batch takes the route of a transaction."""


def allowed(kind: Kind) -> tuple[str, ...]:
    """The methods of this kind of address, for `Allow`."""
    methods = ("GET",) if kind is Kind.METADATA else tuple(ROUTES[kind])
    return (*methods, *(("HEAD",) if "GET" in methods else ()), OPTIONS)
