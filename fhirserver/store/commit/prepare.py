"""The bytes of a version: most of them made when the write arrives, the rest when its version number is known.

The text and the native copy are the truth and its shadow: the copy is decoded from the text, never the other way. What does
not depend on the attempt is encoded once, while the group before is still in flight; what does is put around it as bytes.

https://hl7.org/fhir/R4/resource.html#Meta and https://bsonspec.org/spec.html
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import DecimalException
from functools import lru_cache
from typing import Any, Final

import bson
import msgspec
from bson.decimal128 import Decimal128
from bson.raw_bson import RawBSONDocument
from msgspec import Struct

from fhirserver.model import json
from fhirserver.model.dates import instant
from fhirserver.model.outcome import TooLarge
from fhirserver.model.remembered import remembered
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
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MEMBER: Final = 500
_INSTANT: Final = 24
"""Characters of an instant in milliseconds."""


class Prepared(Struct, frozen=True):
    """A write with the bytes that no attempt changes."""

    write: Write
    meta: bytes  # the text of what else there is in meta: b"", or a comma and members
    native_meta: bytes
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
    resource, members = write.resource, write.members
    if resource is not None and members is not None:
        return b"{%b}" % b",".join([members[key] for key in resource if key not in _HEAD])
    return json.dump({key: value for key, value in (write.resource or {}).items() if key not in _HEAD})


def _encoded(write: Write, tail: bytes, native_copy: bool) -> Prepared:
    if write.resource is None or write.derived is None:
        return Prepared(write, b"", b"", b"", None, b"", _HEAD_ROOM)
    meta = _meta(write)
    length = len(tail) + len(write.id) + len(meta) + _HEAD_ROOM
    if length > TEXT_LIMIT:
        raise TooLarge(f"The resource's text is longer than {TEXT_LIMIT} bytes.")
    facts = facts_of(write.method, write.by, write.derived)
    native_tail = _native_tail(write, tail) if native_copy else None
    native_meta = _native(b"{%b}" % meta)[4:-1] if native_copy and meta else b""
    size = length + len(facts) + (len(native_tail) if native_tail is not None else 0)
    if size > BSON_LIMIT:
        raise TooLarge(f"The resource with its search values is longer than {BSON_LIMIT} bytes.")
    return Prepared(write, b"," + meta if meta else b"", native_meta, tail, native_tail, facts, size)


def _native_tail(write: Write, tail: bytes) -> bytes:
    """The native copy of what is not in the head; most of its elements are known where their texts are at hand."""
    resource, members = write.resource, write.members
    if resource is None or members is None:
        return _native(tail)
    parts = [_native_member(members[key]) for key in resource if key not in _HEAD]
    return b"%b%b\0" % (_int32(sum(map(len, parts)) + 5), b"".join(parts))


def _meta(write: Write) -> bytes:
    """The text of the members of `meta` that are not the server's to say."""
    meta = (write.resource or {}).get("meta")
    if not meta:
        return b""
    return json.dump({key: value for key, value in meta.items() if key not in ("versionId", "lastUpdated")})[1:-1]


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
    index = dict(derived.index)
    references = [each for values in index.values() if type(values) is dict and "r" in values for each in values["r"]]
    if references:
        index["_refs"] = list(dict.fromkeys(references))
    if quantities := gathered(derived.index):
        index[QUANTITIES] = quantities
    if found := labels.gathered(derived.index):
        index[labels.LABELS] = found
    fields: Document = {"index": index, "sort": derived.sort, "security": derived.security}
    if derived.generation:
        fields["generation"] = derived.generation
    return fields


Pieces = tuple[bytes, ...]
"""A document between whose bytes its time stands: once as BSON, then as text in the text, and in the native copy if there is one."""


def pieces(prepared: Prepared, version: int, *, created: bool | None = None) -> Pieces:
    """The document of this version, but for its time. Of a first version it need not be said that it is `created`."""
    write, tail = prepared.write, prepared.tail
    type, id, number = write.resource_type.encode(), write.id.encode(), b"%d" % version
    opened = b'{"resourceType":"%b","id":%b,"meta":{"versionId":"%b","lastUpdated":"' % (
        type,
        json.dump(write.id),
        number,
    )
    closed = b'"%b}%b%b' % (prepared.meta, b"" if tail == b"{}" else b",", tail[1:])
    first = b"".join((_string(b"_id", id), b"\x10version\0", _int32(version), b"\x09updated\0"))
    second = b"".join((b"\x05json\0", _int32(len(opened) + _INSTANT + len(closed)), b"\0", opened))
    third = closed + (b"" if created is None else b"\x08created\0%c" % created) + prepared.facts[4:-1]
    found: tuple[bytes, ...] = (first, second, third)
    if prepared.native_tail is not None:
        before, after = _copied(prepared, type, id, number)
        found = (first, second, third + before, after)
    size = sum(map(len, found)) + 8 + _INSTANT * (len(found) - 2) + 5
    return (_int32(size) + first, *found[1:-1], found[-1] + b"\0")


def _copied(prepared: Prepared, type: bytes, id: bytes, number: bytes) -> Pieces:
    """The native copy, before and behind its time."""
    began = _string(b"versionId", number) + b"\x02lastUpdated\0" + _int32(_INSTANT + 1)
    ended = b"\0%b\0" % prepared.native_meta
    meta = b"\x03meta\0" + _int32(4 + len(began) + _INSTANT + len(ended)) + began
    head = _string(b"resourceType", type) + _string(b"id", id) + meta
    after = b"%b%b\0" % (ended, (prepared.native_tail or b"")[4:-1])
    return b"\x03resource\0" + _int32(4 + len(head) + _INSTANT + len(after)) + head, after


def timed(found: Pieces, updated: datetime) -> RawBSONDocument:
    """The document of the version that was written then."""
    milliseconds, text = _times(updated)
    parts = [found[0], milliseconds, found[1]]
    for each in found[2:]:
        parts += (text, each)
    return RawBSONDocument(b"".join(parts))


def finish(
    prepared: Prepared, version: int, updated: datetime, *, created: bool | None = None
) -> tuple[bytes, RawBSONDocument]:
    """The exact text of the version, and its document."""
    found = pieces(prepared, version, created=created)
    document = timed(found, updated)
    start = len(found[0]) + 8 + _TEXT_BEGINS
    (length,) = _INT32.unpack_from(document.raw, start - 5)
    return bytes(document.raw[start : start + length]), document


def native(text: bytes) -> RawBSONDocument:
    """The native copy of a whole text."""
    return RawBSONDocument(_native(text))


@remembered(4_096, longest=_MEMBER)
def _native_member(text: bytes) -> bytes:
    """The native copy of one member of an object. Codes, methods and ranges come again and again."""
    name, _, value = text.partition(b'":')
    if value.startswith(b'"') and b"\\" not in value:
        return _string(name[1:], value[1:-1])
    return _native(b"{%b}" % text)[4:-1]


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
_INT32: Final = struct.Struct("<i")
_int32 = _INT32.pack
_int64 = struct.Struct("<q").pack
_TEXT_BEGINS: Final = len(b"\x05json\0") + 5


def _string(name: bytes, value: bytes) -> bytes:
    """A member of a document: a string."""
    return b"\x02%b\0%b%b\0" % (name, _int32(len(value) + 1), value)


@lru_cache(maxsize=8)  # a group has one
def _times(moment: datetime) -> tuple[bytes, bytes]:
    """A moment as BSON, and as it is written."""
    return _int64((moment - _EPOCH) // timedelta(milliseconds=1)), instant(moment).encode()


def _without_big(value: Any) -> Any:
    """The value with the integers that int64 cannot hold as text."""
    if isinstance(value, Mapping):
        return {key: _without_big(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_without_big(item) for item in value]
    if isinstance(value, int) and not -_INT64 <= value < _INT64:
        return str(value)
    return value
