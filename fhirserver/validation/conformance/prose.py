"""What R4's pages ask and no definition carries: of Bundles, of documents, of attachments, of what is written in FHIRPath, and of OIDs and
UUIDs as URIs.

Where HL7's own examples do otherwise it is a warning.

https://hl7.org/fhir/R4/bundle.html#bundle-unique, https://hl7.org/fhir/R4/documents.html#content and
https://hl7.org/fhir/R4/datatypes.html#Attachment and https://hl7.org/fhir/R4/fhirpath.html
"""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from collections.abc import Iterator, Mapping
from hashlib import sha1
from typing import Any, Final

from fhirserver.fhirpath import FhirPathError, parse
from fhirserver.model.outcome import Issue
from fhirserver.model.reference import Reference
from fhirserver.validation.conformance.elements import Item
from fhirserver.validation.conformance.session import Session

_IN_DOCUMENT: Final = frozenset(
    (
        "Composition.subject",
        "Composition.encounter",
        "Composition.author",
        "Composition.attester.party",
        "Composition.custodian",
        "Composition.event.detail",
        "Composition.section.author",
        "Composition.section.focus",
        "Composition.section.entry",
    )
)
"""What a Composition refers to that its document holds."""
_IN_FHIRPATH: Final = frozenset(("ElementDefinition.constraint.expression", "SearchParameter.expression"))
_URIS: Final = frozenset(("uri", "url", "canonical"))
_ANY_URI: Final = "urn:ietf:rfc:3986"
_FORMS: Final = (
    (("urn:oid:", "oid:"), re.compile(r"urn:oid:[0-2](?:\.(?:0|[1-9][0-9]*))+"), "an OID, such as urn:oid:1.2.643"),
    (
        ("urn:uuid:", "uuid:"),
        re.compile(r"urn:uuid:[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE),
        "a UUID, such as urn:uuid:c757873d-ec9a-4326-a141-556f43239520",
    ),
)
"""How OIDs and UUIDs begin, and what they are as URIs."""
_PIECE: Final = 256
_WORD: Final = 16
"""Characters of an expression that are read in a step."""


def prose_issues(item: Item, session: Session) -> Iterator[Issue]:
    """What is wrong with one item."""
    if item.path == "Bundle.entry":
        yield from _full_url(item, session)
    elif item.type == "Reference" and item.around.bundle is not None:
        yield from _reference(item, item.around.bundle, session)
    elif item.type == "Attachment":
        yield from _attachment(item, session)
    elif item.path in _IN_FHIRPATH and isinstance(item.value, str):
        yield from _expression(item, item.value, session)
    elif item.type in _URIS and isinstance(item.value, str):
        yield from _uri(item.value, item.place)
    elif item.type == "Identifier" and item.value.get("system") == _ANY_URI:
        yield from _uri(item.value.get("value"), f"{item.place}.value")


def _full_url(item: Item, session: Session) -> Iterator[Issue]:
    """A RESTful `fullUrl` is of the resource that stands with it."""
    url, resource = item.value.get("fullUrl"), item.value.get("resource")
    if not isinstance(url, str) or not isinstance(resource, dict):
        return
    place = f"{item.place}.fullUrl"
    address = Reference.parse(url)
    if ":" not in url:
        yield Issue("error", "value", f'"fullUrl" must be absolute: "{url[:300]}" is not.', place)
    elif address.type in session.shapes.resource_types:
        type, id = resource.get("resourceType"), resource.get("id")
        if address.type != type or id not in (None, address.id):
            sentence = f'"fullUrl" is of {address.type}/{address.id}; the resource is {type}/{id or "without an id"}.'
            yield Issue("warning", "value", sentence, place)


def _reference(item: Item, bundle: Mapping[str, Any], session: Session) -> Iterator[Issue]:
    """What a Bundle holds is of a type that may be referred to; and a document holds what its Composition refers to."""
    target = session.resolved(item)
    definition = item.definition
    allowed = frozenset[str]() if definition is None else definition.targets
    if target is not None:
        if allowed and target.type not in allowed:
            sentence = f"refers to a resource of type {target.type}; allowed here: {', '.join(sorted(allowed))}."
            yield Issue("error", "value", f'"{_name(item)}" {sentence}', item.place)
    elif bundle.get("type") == "document" and _is_of_document(item):
        text = str(item.value.get("reference"))[:300]
        yield Issue(
            "error", "not-found", f'The document does not hold "{text}", which its Composition refers to.', item.place
        )


def _is_of_document(item: Item) -> bool:
    path = item.path.replace("Composition.section.section", "Composition.section")
    text = item.value.get("reference")
    return path in _IN_DOCUMENT and isinstance(text, str) and not text.startswith("#")


def _name(item: Item) -> str:
    return "" if item.definition is None else item.definition.name


def _uri(text: Any, place: str) -> Iterator[Issue]:
    for begins, form, sentence in _FORMS:
        if isinstance(text, str) and text.startswith(begins) and form.fullmatch(text) is None:
            yield Issue("warning", "value", f"This begins as {sentence}, and is none: {text[:100]}", place)


def _expression(item: Item, text: str, session: Session) -> Iterator[Issue]:
    session.spend(1 + len(text) // _WORD)
    try:
        parse(text)
    except FhirPathError as error:
        sentence = f"This is no FHIRPath, at character {error.position + 1}: {error.message}"
        yield Issue("error", "value", sentence, item.place)


def _attachment(item: Item, session: Session) -> Iterator[Issue]:
    """The size and the hash that are stated are those of the data."""
    data, size, stated = (item.value.get(name) for name in ("data", "size", "hash"))
    if not isinstance(data, str) or (size is None and stated is None):
        return
    session.spend(1 + len(data) // _PIECE)
    try:
        content = b64decode(data)
    except ValueError:
        return  # said of the data
    if isinstance(size, int) and size != len(content):
        sentence = f'"size" is {size}; the data has {len(content)} bytes.'
        yield Issue("error", "value", sentence, f"{item.place}.size")
    if isinstance(stated, str) and stated != b64encode(sha1(content, usedforsecurity=False).digest()).decode():
        yield Issue("warning", "value", '"hash" is not the SHA-1 of the data.', f"{item.place}.hash")
