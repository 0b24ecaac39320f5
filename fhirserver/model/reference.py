"""References between resources: relative, absolute, versioned, `urn:` and to contained resources.

https://hl7.org/fhir/R4/references.html#literal
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

_RESTFUL = re.compile(
    r"(?:(https?://[^\s?#]+?)/)?([A-Z][A-Za-z]{1,63})/([A-Za-z0-9\-.]{1,64})(?:/_history/([A-Za-z0-9\-.]{1,64}))?(?:#(\S*))?"
)
_ROOT = re.compile(r"https?://[^/\s?#]+", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Reference:
    """A literal reference, read once.

    `type`, `id` and `version` are set wherever the text has the shape of a RESTful address; `url` is set for what lies
    outside this server (absolute addresses on another base, `urn:`, canonical ones); `fragment` is what follows a `#`.
    """

    type: str | None = None
    id: str | None = None
    version: str | None = None
    url: str | None = None
    fragment: str | None = None

    @classmethod
    def parse(cls, text: str, base_url: str = "") -> Reference:
        """Read a reference; an address on `base_url` becomes a relative one, text of any other shape a `url`."""
        if text.startswith("#"):
            return cls(fragment=text[1:])
        match = _RESTFUL.fullmatch(text)
        if match is None:
            url, _, fragment = text.partition("#")
            return cls(url=url, fragment=fragment or None)
        base, type, id, version, fragment = match.groups()
        if id in (".", ".."):
            return cls(url=text)
        if base is None or (base_url and _without_scheme(base) == _without_scheme(base_url)):
            return cls(type, id, version, None, fragment)
        return cls(type, id, version, text.partition("#")[0], fragment)

    @property
    def local(self) -> str | None:
        """`Type/id` where the target is a resource of this server; its version, if stated, is left out."""
        if self.url is not None or self.type is None:
            return None
        return f"{self.type}/{self.id}"

    @property
    def is_contained(self) -> bool:
        """Whether it points into the resource that holds it (`#x`), or at that resource itself (`#`)."""
        return self.url is None and self.type is None


def local_references(value: Any, base_url: str) -> set[str]:
    """`Type/id` of every literal reference in a resource that points to this server, wherever it stands."""
    found: set[str] = set()
    waiting = [value]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            text = value.get("reference")
            if isinstance(text, str) and (local := Reference.parse(text, base_url).local) is not None:
                found.add(local)
            waiting.extend(value.values())
        elif isinstance(value, list):
            waiting.extend(value)
    return found


def _without_scheme(url: str) -> str:
    """The address for comparison: http and https are one, host names have no case, a last slash says nothing."""
    root = _ROOT.match(url)
    if root is None:
        return url.rstrip("/")
    return root[0].lower().partition("://")[2] + url[root.end() :].rstrip("/")
