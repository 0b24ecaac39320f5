"""The answers to a Bundle of requests, joined from the texts as they are.

https://hl7.org/fhir/R4/http.html#transaction-response
"""

from __future__ import annotations

from collections.abc import Iterable
from http import HTTPStatus
from typing import Any

from fhirserver.model.dates import instant
from fhirserver.model.json import dump
from fhirserver.rest.messages.responses import Answer


def response_bundle(type: str, entries: Iterable[bytes]) -> bytes:
    """The Bundle of these entries."""
    joined = b",".join(entries)
    head = dump({"resourceType": "Bundle", "type": f"{type}-response"})
    return b'%b,"entry":[%b]}' % (head[:-1], joined) if joined else head


def response_entry(method: str, answer: Answer, base_url: str) -> bytes:
    """What came of one entry."""
    headers = dict(answer.headers)
    response: dict[str, Any] = {"status": f"{answer.status} {HTTPStatus(answer.status).phrase}"}
    for name in ("location", "etag"):
        if (value := headers.get(name.encode())) is not None:
            response[name] = value.decode()
    version = answer.version
    if version is not None:
        response["lastModified"] = instant(version.updated)
    text = dump(response)
    is_left_out = answer.is_raw or (method == "HEAD" and not answer.is_outcome)
    body = b"" if is_left_out else answer.body
    if not body:
        return b'{"response":%b}' % text
    if answer.is_outcome:
        return b'{"response":%b,"outcome":%b}}' % (text[:-1], body)
    if version is None:
        return b'{"resource":%b,"response":%b}' % (body, text)
    full_url = f"{base_url}/{version.resource_type}/{version.id}".encode()
    return b'{"fullUrl":"%b","resource":%b,"response":%b}' % (full_url, body, text)
