"""The sealed cursor of a page link: a position that its holder can neither read nor change.

It is bound to an audience (who asks, in which role, for what purpose, and the query) and lives a quarter of an hour. It
carries a position, never permission: the next page decides again.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from fhirserver.model.outcome import BadRequest

LIFETIME: Final = timedelta(minutes=15)
KEY_BYTES: Final = 32

_NONCE_BYTES: Final = 12
_REFUSED = "The page link is not valid any more, or not for this caller and query. Start the search again."


class Seal:
    """Seals and opens cursors with one key, which all servers on a database share."""

    def __init__(self, key: bytes) -> None:
        self._cipher = AESGCM(key)

    def seal(self, position: Mapping[str, Any], *, audience: str, now: datetime) -> str:
        """The position as URL-safe text."""
        body = msgspec.json.encode([int((now + LIFETIME).timestamp()), _packed(position)])
        nonce = os.urandom(_NONCE_BYTES)
        sealed = nonce + self._cipher.encrypt(nonce, body, _digest(audience))
        return base64.urlsafe_b64encode(sealed).rstrip(b"=").decode()

    def open_(self, token: str, *, audience: str, now: datetime) -> dict[str, Any]:
        """The position that was sealed for this audience. Raises BadRequest, with one text for every reason."""
        try:
            sealed = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
            body = self._cipher.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], _digest(audience))
            expires, position = msgspec.json.decode(body)
        except (ValueError, binascii.Error, InvalidTag):
            raise BadRequest(_REFUSED) from None
        if now.timestamp() >= expires:
            raise BadRequest(_REFUSED)
        opened: dict[str, Any] = _unpacked(position)
        return opened


def new_key() -> bytes:
    """A key for `Seal`."""
    return os.urandom(KEY_BYTES)


def _digest(audience: str) -> bytes:
    return hashlib.sha256(audience.encode()).digest()


def _packed(value: Any) -> Any:
    """JSON that keeps datetimes apart from strings."""
    if isinstance(value, datetime):
        return {"at": round(value.timestamp() * 1000)}
    if isinstance(value, Mapping):
        return {"of": {key: _packed(item) for key, item in value.items()}}
    if isinstance(value, list | tuple):
        return [_packed(item) for item in value]
    if isinstance(value, int) and type(value) is not bool:
        return int(value)  # MongoDB's driver has a class of its own for long integers
    return value


def _unpacked(value: Any) -> Any:
    if isinstance(value, dict):
        if "at" in value:
            return datetime.fromtimestamp(value["at"] // 1000, UTC) + timedelta(milliseconds=value["at"] % 1000)
        return {key: _unpacked(item) for key, item in value["of"].items()}
    if isinstance(value, list):
        return [_unpacked(item) for item in value]
    return value
