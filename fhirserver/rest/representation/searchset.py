"""Bundles: searchsets and histories, joined from the stored texts without parsing them.

https://hl7.org/fhir/R4/bundle.html#searchset and https://hl7.org/fhir/R4/bundle.html#history
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Final

from fhirserver.interactions.context import Services
from fhirserver.interactions.operations import Searchset
from fhirserver.interactions.reading.history import COMMIT_BOUND, History, HistoryRequest
from fhirserver.interactions.reading.search import Found
from fhirserver.model.dates import instant
from fhirserver.model.json import dump
from fhirserver.model.outcome import Issue, TooCostly, operation_outcome
from fhirserver.model.resource import Version
from fhirserver.rest.messages.parameters import CURSOR, Pair, as_query
from fhirserver.search.request import SearchRequest

LINK_BOUND: Final = 8000
"""Bytes of a link: what this server takes as an address."""

_TRUNCATED: Final = (
    "More resources are referred to than one page includes, or than are found in time; ask for fewer matches a page (_count), "
    "or name what is to be included."
)
_STATUS: Final = {"POST": "201 Created", "PUT": "200 OK", "DELETE": "204 No Content"}


def searchset_bundle(services: Services, path: str, request: SearchRequest, found: Found, cursor: str | None) -> bytes:
    """A page of search results, with what was used in its self link."""
    page = found.page
    address = f"{services.base_url}/{path}" if path else services.base_url
    links = _links(address, list(request.used), cursor, found.next, found.previous)
    entries = _entries(services, page.matches, page.included, _issues(request, found))
    return _bundle("searchset", _total(request, found, cursor), links, entries, found.asked)


def _total(request: SearchRequest, found: Found, cursor: str | None) -> int | None:
    """The total as far as it was counted; where the first page holds everything it is known without counting."""
    page = found.page
    is_whole = cursor is None and found.next is None and request.count > 0
    if page.total is None and is_whole and ("_total", "none") not in request.used:
        return len(page.matches)
    return page.total


def operation_bundle(
    services: Services,
    path: str,
    found: Searchset,
    matches: Sequence[Version],
    included: Sequence[Version],
    cursor: str | None,
) -> bytes:
    """A page of an operation's resources, as far as they are sent."""
    links = _links(f"{services.base_url}/{path}", list(found.used), cursor, found.next)
    entries = _entries(services, matches, included, found.issues)
    return _bundle("searchset", found.total, links, entries, found.asked)


def history_bundle(services: Services, request: HistoryRequest, found: History, used: list[Pair]) -> bytes:
    """A page of versions."""
    address = f"{services.base_url}/{request.path}"
    links = _links(address, used, request.cursor, found.cursor)
    entries = [_past(services.base_url, version) for version in found.versions]
    is_whole = request.count > 0 and request.cursor is None and found.cursor is None
    total = len(entries) if found.total is None and is_whole else found.total
    return _bundle("history", total, links, entries, found.asked)


def _entries(
    services: Services, matches: Sequence[Version], included: Sequence[Version], issues: Sequence[Issue]
) -> list[bytes]:
    base = services.base_url.encode()
    entries = [_found(base, version, b"match") for version in matches]
    entries += [_found(base, version, b"include") for version in included]
    if issues:
        entries.append(b'{"resource":%b,"search":{"mode":"outcome"}}' % dump(operation_outcome(issues)))
    return entries


def _issues(request: SearchRequest, found: Found) -> Sequence[Issue]:
    issues = list(request.ignored)
    if found.page.truncated_includes:
        issues.append(Issue("warning", "too-costly", _TRUNCATED))
    if found.narrowed is not None:
        issues.append(Issue("warning", "incomplete", found.narrowed))
    return issues


def _bundle(
    type: str, total: int | None, links: Iterable[tuple[str, str]], entries: list[bytes], asked: datetime
) -> bytes:
    # Not the moment of the answer, and earlier by what a commit may take: who polls from there misses nothing.
    head: dict[str, Any] = {
        "resourceType": "Bundle",
        "meta": {"lastUpdated": instant(asked - COMMIT_BOUND)},
        "type": type,
    }
    if total is not None:
        head["total"] = total
    head["link"] = [{"relation": relation, "url": url} for relation, url in links]
    text = dump(head)
    return b'%b,"entry":[%b]}' % (text[:-1], b",".join(entries)) if entries else text


def _links(
    address: str, used: list[Pair], cursor: str | None, following: str | None, preceding: str | None = None
) -> list[tuple[str, str]]:
    query = as_query(used)
    first = f"{address}?{query}" if query else address

    def link(position: str) -> str:
        return f"{first}{'&' if query else '?'}{as_query([(CURSOR, position)])}"

    links = [("self", link(cursor) if cursor else first), ("first", first)]
    for relation, position in (("previous", preceding), ("next", following)):
        if position is not None:
            links.append((relation, _bounded(link(position))))
    return links


def _bounded(url: str) -> str:
    if len(url) > LINK_BOUND:
        raise TooCostly("The search is too long to be continued by a link; ask for fewer values, or a larger _count.")
    return url


def _found(base: bytes, version: Version, mode: bytes) -> bytes:
    type, id, text = version.resource_type.encode(), version.id.encode(), version.json or b"null"
    address = b"%b#%b" % (version.within.encode(), id) if version.within else b"%b/%b" % (type, id)
    return b'{"fullUrl":"%b/%b","resource":%b,"search":{"mode":"%b"}}' % (base, address, text, mode)


def _past(base_url: str, version: Version) -> bytes:
    address = f"{version.resource_type}/{version.id}"
    is_create = version.method == "POST"
    status = "201 Created" if version.created else _STATUS[version.method]
    rest = {
        "request": {"method": version.method, "url": version.resource_type if is_create else address},
        "response": {
            "status": status,
            "etag": f'W/"{version.version}"',
            "lastModified": instant(version.updated),
        },
    }
    text = dump({"fullUrl": f"{base_url}/{address}", **rest})
    return text if version.json is None else b'%b,"resource":%b}' % (text[:-1], version.json)
