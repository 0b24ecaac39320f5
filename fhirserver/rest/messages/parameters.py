"""Query parameters and form bodies: read once, and parted into those of the answer's form and those of the search.

https://hl7.org/fhir/R4/http.html#parameters and https://hl7.org/fhir/R4/search.html
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from urllib.parse import quote

from fhirserver.model.outcome import BadRequest
from fhirserver.search.query.pairs import Pair as Pair
from fhirserver.search.query.pairs import parse_query as parse_query

FORM = frozenset(("_format", "_pretty"))
"""What shapes the text of an answer, not its content. It has no place in self links."""
CURSOR = "_cursor"

_SAFE = ",:/*-._~$"
_PLAIN = re.compile(r"[A-Za-z0-9,:/*\-._~$|]*")
"""What `quote` would leave as it is, but for the bar of tokens."""


def form_of(pairs: Iterable[Pair], name: str) -> str | None:
    """The one value of a parameter that shapes the answer: `_format`, `_pretty`, `mode`. An empty one asks nothing, as in a search."""
    values = [value for key, value in pairs if key == name and value]
    if len(values) > 1:
        raise BadRequest(f"{name} can be given once.")
    return values[0] if values else None


def part(pairs: Sequence[Pair]) -> tuple[list[Pair], str | None]:
    """The pairs that are the search's own, and the cursor."""
    cursors = [value for name, value in pairs if name == CURSOR]
    if len(cursors) > 1:
        raise BadRequest(f"{CURSOR} can be given once; follow the links as they are.")
    rest = [(name, value) for name, value in pairs if name not in FORM and name != CURSOR]
    return rest, cursors[0] if cursors else None


def as_query(pairs: Iterable[Pair]) -> str:
    """The pairs as a query string, for links."""
    return "&".join([f"{_quoted(name)}={_quoted(value)}" for name, value in pairs])


def _quoted(text: str) -> str:
    return text.replace("|", "%7C") if _PLAIN.fullmatch(text) is not None else quote(text, safe=_SAFE)
