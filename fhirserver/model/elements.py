"""Resources read element by element: what comes again in resource after resource is known by its text.

A laboratory has few codes, methods and ranges, so most of the text of a result was read before. Such elements are not read again:
their values are shared between resources, and are not to be changed in place.

https://hl7.org/fhir/R4/json.html
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import msgspec

from fhirserver.model.json import NESTING_LIMIT, dump, parse_with_text
from fhirserver.model.outcome import FhirError

LONGEST: Final = 1_000
"""Bytes of an element that is remembered."""
REMEMBERED: Final = 4_000_000
"""Bytes of all of them, each counted with what is kept of it."""
TRIED: Final = 1_024
"""Contents of an element that were not known before it is asked whether they come again: a laboratory's day has hundreds of patients."""

_KEPT: Final = 500


class Texts(NamedTuple):
    """What stands in a resource, by element: what tells its content (as `json.texts`), and its member of the JSON object."""

    contents: dict[str, str | bytes]
    members: dict[str, bytes]


class Elements:
    """Reads resources, for one thread."""

    def __init__(self) -> None:
        self._known: dict[str, dict[bytes, _Read]] = {}
        self._counts: dict[str, _Count] = {}
        self._left = REMEMBERED
        self._seen = self._odd = 0

    def read(self, data: bytes) -> tuple[dict[str, Any], Texts] | None:
        """What `parse` reads of an object, with its texts; None where that is the one to read it, or to say what is wrong."""
        self._seen += 1
        if self._odd >= TRIED and self._odd * 2 > self._seen:
            return None  # a file in another form
        value: dict[str, Any] = {}
        contents: dict[str, str | bytes] = {}
        members: dict[str, bytes] = {}
        size, known = 1, self._known
        try:
            for key, raw in _decode(data).items():
                text = bytes(raw)
                size += len(key) + len(text) + 4
                found = known.get(key, _NONE).get(text)
                value[key], contents[key], members[key] = found or self._read(key, text)
        except (ValueError, RecursionError, FhirError):
            return None
        if size != len(data):
            self._odd += 1  # with white space, a key twice or an escape in one there is more of it
            return None
        return value, Texts(contents, members)

    def _read(self, key: str, text: bytes) -> _Read:
        content, written = parse_with_text(text, nesting=NESTING_LIMIT - 1)
        found = content, content if type(content) is str else written, b"%b:%b" % (dump(key), written)
        if len(text) <= LONGEST and self._comes_again(key):
            self._left -= len(text) + _KEPT
            if self._left < 0:
                self._left, self._known, self._counts = REMEMBERED, {}, {}
            self._known.setdefault(key, {})[text] = found
        return found

    def _comes_again(self, key: str) -> bool:
        """Count a content that was not known; whether most resources lately had one that was."""
        count = self._counts.get(key)
        if count is None:
            count = self._counts[key] = _Count(0, self._seen)
        count.missed += 1
        if count.missed >= TRIED:
            if count.missed * 2 > self._seen - count.since:
                count.is_over = True
                self._left += sum(len(text) + _KEPT for text in self._known.pop(key, _NONE))
            count.missed, count.since = 0, self._seen
        return not count.is_over


@dataclass(slots=True)
class _Count:
    """How many contents of an element were not known, and since when; `is_over`: it is not asked any more."""

    missed: int
    since: int
    is_over: bool = False


_Read = tuple[Any, str | bytes, bytes]
_NONE: Final[dict[bytes, _Read]] = {}
_decode = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
