"""A version of a resource, as the store hands it out and the interactions pass it on.

https://hl7.org/fhir/R4/resource.html#Meta
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, NamedTuple

from fhirserver.model.json import parse

Resource = dict[str, Any]
"""A resource as parsed JSON: str, int, bool, `Number` for decimals, list, dict."""


class Version(NamedTuple):
    """One version of one resource.

    `json` is the exact text as served, UTF-8, `meta` included; None for a deletion (a tombstone).
    `updated` is `meta.lastUpdated`, with zone UTC and whole milliseconds. `method` is the HTTP method that history shows, and
    `created` says that there was no resource before it: none ever, or a deleted one. `within` is the address of the container, of a
    contained resource that is handed out by itself.
    A tuple, because a page makes many.
    """

    resource_type: str
    id: str
    version: int
    updated: datetime
    json: bytes | None
    method: str = "PUT"
    created: bool = False
    within: str = ""

    @property
    def deleted(self) -> bool:
        """Whether this version is a deletion."""
        return self.json is None

    def parsed(self) -> Resource:
        """The resource, read from the text, and the caller's to change; {} for a deletion."""
        text = self.json or b"{}"
        found: Resource = parse(text, limit=len(text))
        return found

    @property
    def version_id(self) -> str:
        """`meta.versionId`."""
        return str(self.version)
