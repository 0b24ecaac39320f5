"""The bytes of a version: most of them made when the write arrives, the rest when its version number is known.

The text and the native copy are the truth and its shadow: the copy is decoded from the text, never the other way. What does
not depend on the attempt is encoded once, while the group before is still in flight; BSON documents are then joined as bytes.

https://hl7.org/fhir/R4/resource.html#Meta and https://bsonspec.org/spec.html
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import DecimalException
from functools import lru_cache
from typing import Any, Final

import bson
import msgspec
from bson.decimal128 import Decimal128
from bson.raw_bson import RawBSONDocument

from fhirserver.model import json
from fhirserver.model.dates import instant
from fhirserver.model.outcome import TooLarge
from fhirserver.model.resource import Resource
from fhirserver.store.commit.write import By, Derived, Write
from fhirserver.store.connection.client import Document
from fhirserver.store.layout import labels
from fhirserver.store.layout.quantities import QUANTITIES, gathered
from fhirserver.store.pace import beside

TEXT_LIMIT: Final = 5_000_000
BSON_LIMIT: Final = 15 * 1024 * 1024

_HEAD: Final = ("resourceType", "id", "meta")
_HEAD_ROOM: Final = 200
_INT64: Final = 1 << 63
_WORD: Final = (1 << 64) - 1
_DIGITS_END: Final = 10**34
_LOWEST_EXPONENT: Final = -6176
_HIGHEST_EXPONENT: Final = 6111


@dataclass(frozen=True, slots=True)
class Prepared:
    """A write with the bytes that no attempt changes."""

    write: Write
    meta: Document
    tail: bytes  # the text of the resource without resourceType, id and meta
    native_tail: bytes | None
    facts: bytes  # deleted, method, by, index, sort, security
    size: int


def prepare(write: Write, *, native_copy: bool) -> Prepared:
    """Encode what can be encoded ahead. Raises TooLarge."""
    return _encoded(write, _tail(write), native_copy)


async def prepare_beside(write: Write, *, native_copy: bool) -> Prepared:
    """The same beside the event loop, where it is much. Raises TooLarge."""
    tail = _tail(write)
    return await beside(len(tail), lambda: _encoded(write, tail, native_copy))


def _tail(write: Write) -> bytes:
    """The text of what is not in the head."""
    return json.dump({key: value for key, value in (write.resource or {}).items() if key not in _HEAD})


def _encoded(write: Write, tail: bytes, native_copy: bool) -> Prepared:
    if write.resource is None or write.derived is None:
        return Prepared(write, {}, b"", None, b"", _HEAD_ROOM)
    meta = {
        key: value for key, value in write.resource.get("meta", {}).items() if key not in ("versionId", "lastUpdated")
    }
    length = len(tail) + len(write.id) + (len(json.dump(meta)) if meta else 0) + _HEAD_ROOM
    if length > TEXT_LIMIT:
        raise TooLarge(f"The resource's text is longer than {TEXT_LIMIT} bytes.")
    facts = facts_of(write.method, write.by, write.derived)
    native_tail = _native(tail) if native_copy else None
    size = length + len(facts) + (len(native_tail) if native_tail is not None else 0)
    if size > BSON_LIMIT:
        raise TooLarge(f"The resource with its search values is longer than {BSON_LIMIT} bytes.")
    return Prepared(write, meta, tail, native_tail, facts, size)


def whole(prepared: Prepared) -> Resource:
    """The resource of a write that creates or updates, read again from its bytes where the tree is not at hand."""
    write = prepared.write
    if write.resource is not None:
        return write.resource
    meta = {"meta": prepared.meta} if prepared.meta else {}
    return {"resourceType": write.resource_type, "id": write.id, **meta, **json.parse(prepared.tail)}


def facts_of(method: str, by: By, derived: Derived) -> bytes:
    """The fields that are derived, or known when the write arrives, as BSON."""
    return bson.encode(
        {
            "deleted": False,
            "method": method,
            "by": {"request": by.request, "principal": by.principal, "client": by.client},
            **derived_fields(derived),
        }
    )


def derived_fields(derived: Derived) -> Document:
    """The derived fields as stored. `index._refs` gathers every reference, so that one index serves all reverse includes;
    `index._quantities` every quantity; and `index._labels` what `meta` says of the resource."""
    references: dict[str, None] = {}
    index = dict(derived.index)
    for values in derived.index.values():
        if type(values) is dict and "r" in values:
            references.update(dict.fromkeys(values["r"]))
    if references:
        index["_refs"] = list(references)
    if quantities := gathered(derived.index):
        index[QUANTITIES] = quantities
    if found := labels.gathered(derived.index):
        index[labels.LABELS] = found
    fields: Document = {"index": index, "sort": derived.sort, "security": derived.security}
    if derived.generation:
        fields["generation"] = derived.generation
    return fields


def finish(
    prepared: Prepared, version: int, updated: datetime, *, created: bool | None = None
) -> tuple[bytes, RawBSONDocument]:
    """The exact text of the version, and its document. Of a first version it need not be said that it is `created`."""
    write, tail = prepared.write, prepared.tail
    meta = {"versionId": str(version), "lastUpdated": _instant(updated), **prepared.meta}
    head = json.dump({"resourceType": write.resource_type, "id": write.id, "meta": meta})
    text = head if tail == b"{}" else b"".join((head[:-1], b",", tail[1:]))
    fields: Document = {"_id": write.id, "version": version, "updated": updated, "json": text}
    if created is not None:
        fields["created"] = created
    parts = [bson.encode(fields)[4:-1], prepared.facts[4:-1]]
    if prepared.native_tail is not None:
        first, rest = _native(head)[4:-1], prepared.native_tail[4:-1]
        parts += (b"\x03resource\0", _int32(len(first) + len(rest) + 5), first, rest, b"\0")
    body = b"".join(parts)
    return text, RawBSONDocument(b"".join((_int32(len(body) + 5), body, b"\0")))


def native(text: bytes) -> RawBSONDocument:
    """The native copy of a whole text."""
    return RawBSONDocument(_native(text))


def _native(text: bytes) -> bytes:
    value = _decode(text)
    try:
        return bson.encode(value)
    except OverflowError:
        return bson.encode(_without_big(value))


def _decimal(text: str) -> Decimal128 | str:
    # The two words of IEEE 754 decimal128 made here, where the digits fit: the driver's own way takes six times as long.
    mantissa, _, power = text.lower().partition("e")
    whole, _, fraction = mantissa.partition(".")
    digits = int(whole + fraction)
    exponent = int(power or "0") - len(fraction)
    if -_DIGITS_END < digits < _DIGITS_END and _LOWEST_EXPONENT <= exponent <= _HIGHEST_EXPONENT:
        sign = 1 << 63 if whole.startswith("-") else 0
        digits = abs(digits)
        high = sign | exponent - _LOWEST_EXPONENT << 49 | digits >> 64
        return Decimal128((high, digits & _WORD))  # type: ignore[arg-type]  # the pair of words it is made of
    try:
        return Decimal128(text)
    except (DecimalException, ValueError):
        return text  # more digits, or a larger exponent, than Decimal128 holds


_decode = msgspec.json.Decoder(float_hook=_decimal).decode
_int32 = struct.Struct("<i").pack
_instant = lru_cache(maxsize=8)(instant)  # a group has one


def _without_big(value: Any) -> Any:
    """The value with the integers that int64 cannot hold as text."""
    if isinstance(value, Mapping):
        return {key: _without_big(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_without_big(item) for item in value]
    if isinstance(value, int) and not -_INT64 <= value < _INT64:
        return str(value)
    return value
