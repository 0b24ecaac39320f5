"""Preconditions: `If-Match`, `If-None-Match`, `If-Modified-Since`, `If-Unmodified-Since`, and the validators that they speak of.

https://hl7.org/fhir/R4/http.html#concurrency and https://www.rfc-editor.org/rfc/rfc9110#section-13
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import lru_cache

from fhirserver.model.outcome import BadRequest
from fhirserver.model.resource import Version

ANY = "*"
_ENTITY_TAG = re.compile(r'(?:W/)?"([\x21\x23-\x7e]*)"')
_BARE = re.compile(rb"(?:W/)?([A-Za-z0-9\-.]{1,64})")
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def entity_tag(version: Version) -> bytes:
    """The ETag of a version: weak, the version id inside."""
    return b'W/"%d"' % version.version


@lru_cache(maxsize=4096)
def http_date(moment: datetime) -> bytes:
    """The moment as HTTP writes dates, to the second."""
    moment = moment.astimezone(UTC)
    day, month = _DAYS[moment.weekday()], _MONTHS[moment.month - 1]
    return f"{day}, {moment.day:02} {month} {moment.year:04} {moment:%H:%M:%S} GMT".encode()


def entity_tags(header: bytes) -> tuple[str, ...]:
    """The version ids in a list of entity tags, weak and strong alike; `*` stands for itself. Raises BadRequest."""
    text = header.decode("latin-1").strip()
    if text == ANY:
        return (ANY,)
    tags = []
    for member in text.split(","):
        match = _ENTITY_TAG.fullmatch(member.strip())
        if match is None:
            raise BadRequest('An entity tag is a quoted version id, as in W/"3".')
        tags.append(match[1])
    return tuple(tags)


def is_not_modified(headers: Mapping[bytes, bytes], version: Version) -> bool:
    """Whether the caller has this version already. The ETag decides where both are sent: a date has seconds only."""
    header = headers.get(b"if-none-match")
    if header is not None:
        # fhirpy sends the version id without quotes, others do so behind a W/. On a read nothing can go wrong by it: the answer is told from the version.
        bare = _BARE.fullmatch(header)
        tags = (bare[1].decode("ascii"),) if bare is not None else entity_tags(header)
        return tags == (ANY,) or version.version_id in tags
    header = headers.get(b"if-modified-since")
    if header is None:
        return False
    since = _moment(header)
    return since is not None and version.updated.replace(microsecond=0) <= since


def if_match(headers: Mapping[bytes, bytes]) -> tuple[str, ...] | None:
    """The versions of which one must be the current one, or None where nothing is asked."""
    header = headers.get(b"if-match")
    return None if header is None else entity_tags(header)


def unmodified_since(headers: Mapping[bytes, bytes]) -> datetime | None:
    """The moment since which nothing may have changed. A date that cannot be read is passed over, and so is one beside a tag."""
    header = headers.get(b"if-unmodified-since")
    return None if header is None or b"if-match" in headers else _moment(header)


def if_none_match_any(headers: Mapping[bytes, bytes]) -> bool:
    """Whether an update may only create. Other forms of `If-None-Match` have no meaning on a write."""
    header = headers.get(b"if-none-match")
    if header is None:
        return False
    if entity_tags(header) != (ANY,):
        raise BadRequest("On a write, If-None-Match can only be *.")
    return True


def _moment(header: bytes) -> datetime | None:
    """A date that cannot be read is passed over, as RFC 9110 wants it."""
    try:
        moment = parsedate_to_datetime(header.decode("latin-1"))
    except (ValueError, TypeError):
        return None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
