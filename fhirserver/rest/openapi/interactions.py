"""What the description says of each interaction, whatever the resource type.

https://hl7.org/fhir/R4/http.html
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

RESOURCE: Final = "resource"
BUNDLE: Final = "Bundle"
PARAMETERS: Final = "Parameters"
ANY: Final = "Resource"
NOTHING: Final = ""
JSON: Final = "application/fhir+json"
_PATCH: Final = "application/json-patch+json"
_FORM: Final = "application/x-www-form-urlencoded"
_HTTP: Final = "https://hl7.org/fhir/R4/http.html#"


@dataclass(frozen=True, slots=True)
class Interaction:
    """An interaction as the description shows it. `answers` are the statuses of success, `headers` what it may be sent."""

    summary: str
    clause: str
    answers: tuple[tuple[int, str], ...]
    gives: str = RESOURCE
    takes: tuple[str, str] | None = None
    or_takes: tuple[str, str] | None = None
    headers: tuple[str, ...] = ()
    refusals: tuple[int, ...] = ()


_WRITTEN = ((200, "The new version"), (201, "The first version, at `Location`"))

INTERACTIONS: Final[Mapping[str, Interaction]] = {
    "job-status": Interaction(
        "How far a job is",
        "https://hl7.org/fhir/R4/async.html",
        ((200, "It has ended"), (202, "It goes on: `X-Progress` says how far it is")),
        gives=PARAMETERS,
        refusals=(403, 404),
    ),
    "job-cancel": Interaction(
        "Cancel a job",
        "https://hl7.org/fhir/R4/async.html",
        ((202, "It is cancelled"),),
        gives="OperationOutcome",
        refusals=(403, 404, 409),
    ),
    "read": Interaction(
        "Read the current version",
        _HTTP + "read",
        ((200, "The current version"), (304, "Not changed since the version that `If-None-Match` names")),
        headers=("If-None-Match", "If-Modified-Since"),
        refusals=(400, 404, 410),
    ),
    "vread": Interaction(
        "Read one version",
        _HTTP + "vread",
        ((200, "That version"), (304, "The client has it, as its `If-None-Match` says")),
        headers=("If-None-Match",),
        refusals=(400, 404, 410),
    ),
    "update": Interaction(
        "Write the next version",
        _HTTP + "update",
        _WRITTEN,
        takes=(JSON, RESOURCE),
        headers=("If-Match", "If-None-Match", "If-Unmodified-Since", "Prefer"),
        refusals=(400, 404, 405, 409, 412, 422),
    ),
    "patch": Interaction(
        "Change parts of the current version",
        _HTTP + "patch",
        ((200, "The new version"),),
        takes=(_PATCH, "Patch"),
        or_takes=(JSON, PARAMETERS),
        headers=("If-Match", "If-Unmodified-Since", "Prefer"),
        refusals=(400, 404, 412, 415, 422),
    ),
    "delete": Interaction(
        "Delete",
        _HTTP + "delete",
        ((204, "It is not there, or not any more"),),
        gives=NOTHING,
        headers=("If-Match", "If-Unmodified-Since"),
        refusals=(400, 409, 412),
    ),
    "create": Interaction(
        "Create under an id of the server's",
        _HTTP + "create",
        ((200, "What `If-None-Exist` found; nothing was created"), (201, "The first version, at `Location`")),
        takes=(JSON, RESOURCE),
        headers=("If-None-Exist", "Prefer"),
        refusals=(400, 412, 422),
    ),
    "search-type": Interaction(
        "Search",
        _HTTP + "search",
        ((200, "A page of what was found"),),
        gives=BUNDLE,
        headers=("Prefer",),
        refusals=(400, 404),
    ),
    "history-instance": Interaction(
        "Every version, newest first",
        _HTTP + "history",
        ((200, "A page of versions"),),
        gives=BUNDLE,
        refusals=(400, 404),
    ),
    "history-type": Interaction(
        "Every version of every resource of the type",
        _HTTP + "history",
        ((200, "A page of versions"),),
        gives=BUNDLE,
        refusals=(400,),
    ),
    "history-system": Interaction(
        "Every version of every resource",
        _HTTP + "history",
        ((200, "A page of versions"),),
        gives=BUNDLE,
        refusals=(400,),
    ),
    "search-system": Interaction(
        "Search in all types", _HTTP + "search", ((200, "A page of what was found"),), gives=BUNDLE, refusals=(400,)
    ),
    "transaction": Interaction(
        "Do a Bundle: all or nothing, or each entry by itself",
        _HTTP + "transaction",
        ((200, "An answer for each entry"),),
        gives=BUNDLE,
        takes=(JSON, BUNDLE),
        refusals=(400, 409, 412, 422),
    ),
    "operation": Interaction(
        "Invoke an operation",
        "https://hl7.org/fhir/R4/operations.html",
        ((200, "What the operation gives"), (202, "It goes on as a job, at `Content-Location`")),
        gives=ANY,
        refusals=(400, 404, 405, 422),
    ),
    "capabilities": Interaction(
        "What this server can do",
        _HTTP + "capabilities",
        ((200, "The CapabilityStatement"),),
        gives="CapabilityStatement",
    ),
}

HEADERS: Final[Mapping[str, str]] = {
    "If-Match": 'The version that is to be changed, as in its `ETag`: `W/"1"`.',
    "If-None-Match": 'A version that the client has, or `*` for none: `W/"1"`.',
    "If-Modified-Since": "The instant of the version that the client has.",
    "If-Unmodified-Since": "The instant after which nothing may have changed; passed over beside `If-Match`.",
    "If-None-Exist": "A search; nothing is created if it finds something.",
    "Prefer": "`return=minimal`, `return=representation`, `return=OperationOutcome`; `handling=lenient`, `handling=strict`.",
}

_REFUSALS: Final[Mapping[int, tuple[str, str]]] = {
    400: ("invalid", "Not readable, or not understood"),
    401: ("login", "No valid token"),
    403: ("forbidden", "The token does not allow it"),
    404: ("not-found", "Not there, or not for this caller: the two are the same"),
    405: ("not-supported", "This method is not for this address, or an id cannot be chosen by this caller"),
    409: ("conflict", "Changed meanwhile, or the id is taken"),
    410: ("deleted", "Deleted"),
    412: ("conflict", "A precondition does not hold"),
    415: ("not-supported", "A media type that is not read here"),
    422: ("invariant", "Read, and against the rules of FHIR"),
}

CONDITIONAL: Final[Mapping[str, str]] = {
    "update": "Write the next version of the one that the search finds, or the first",
    "patch": "Change parts of the one that the search finds",
    "delete": "Delete the one that the search finds",
}
"""The interactions that have a form without an id."""


def form_body(parameters: list[dict[str, Any]]) -> dict[str, Any]:
    """The body of a search by form: the parameters of the address, as fields."""
    fields = {each["name"]: each["schema"] | {"description": each["description"]} for each in parameters}
    return {"content": {_FORM: {"schema": {"type": "object", "properties": fields}}}}


OTHER: Final = "other"
"""The name of every refusal that is not listed: bounds, media types, a server that is busy."""


def refusals() -> dict[str, Any]:
    """The answers that refuse, for every operation to refer to."""
    listed = {str(status): _refusal(code, about) for status, (code, about) in _REFUSALS.items()}
    return listed | {OTHER: _refusal("processing", "Refused for another reason: a bound, a media type, a busy server")}


def _refusal(code: str, about: str) -> dict[str, Any]:
    issue = {"severity": "error", "code": code, "diagnostics": f"{about}."}
    content = {
        "schema": {"$ref": "#/components/schemas/OperationOutcome"},
        "example": {"resourceType": "OperationOutcome", "issue": [issue]},
    }
    return {"description": about, "content": {JSON: content}}
