"""Bearer tokens: random texts of which the server keeps only the SHA-256.

Every request looks its token up; nothing is cached from one request to the next, so a token that is taken away does not count
on the next one.

https://www.rfc-editor.org/rfc/rfc6750
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from hashlib import sha256
from secrets import token_urlsafe
from typing import Any, Final, Protocol

from fhirserver.access.principal import InvalidPrincipal, Principal
from fhirserver.access.scopes import parse_scopes
from fhirserver.model.outcome import Unauthenticated

COLLECTION: Final = "tokens"
ASSIGN_IDS: Final = "assign-ids"
DERIVE: Final = "derive-interpretation"
MAY: Final = frozenset((ASSIGN_IDS, DERIVE))
"""What else a token may allow its client."""
MAX_MINUTES: Final = 60 * 24 * 366


class Documents(Protocol):
    """The rows in which tokens are kept: the store's `documents("tokens")`."""

    async def get(self, key: str) -> dict[str, Any] | None:
        """The row with this key."""

    async def put(self, document: Mapping[str, Any]) -> None:
        """Write the row under its `_id`."""

    async def delete(self, key: str) -> bool:
        """Remove the row."""


@dataclass(frozen=True, slots=True)
class Grant:
    """What a token is to say, checked when it is made."""

    user: str
    scope: str
    client: str | None = None
    role: str | None = None
    patient: str | None = None
    purpose: str | None = None
    may: frozenset[str] = frozenset()

    def principal(self) -> Principal:
        """The principal that this makes. Raises InvalidPrincipal or InvalidScope."""
        if not self.may <= MAY:
            raise InvalidPrincipal(f"A token may allow: {', '.join(sorted(MAY))}.")
        return Principal(
            user=self.user,
            client=self.client or "",
            scopes=parse_scopes(self.scope),
            role=self.role,
            patient=_bare(self.patient),
            purpose=self.purpose,
            may_assign_ids=ASSIGN_IDS in self.may,
            derives_interpretation=DERIVE in self.may,
        )


async def issue_token(documents: Documents, grant: Grant, *, minutes: int, now: datetime) -> str:
    """A new token. Raises InvalidPrincipal or InvalidScope, before anything is stored."""
    if not 0 < minutes <= MAX_MINUTES:
        raise InvalidPrincipal(f"A token is good for 1 to {MAX_MINUTES} minutes.")
    grant.principal()
    token = token_urlsafe(32)
    await documents.put(
        {
            "_id": _key(token),
            "user": grant.user,
            "scope": grant.scope,
            "client": grant.client,
            "role": grant.role,
            "patient": grant.patient,
            "purpose": grant.purpose,
            "may": sorted(grant.may),
            "issued": now,
            "expires": now + timedelta(minutes=minutes),
        }
    )
    return token


async def principal_for(documents: Documents, token: str, now: datetime) -> Principal:
    """Whom the token stands for. Raises Unauthenticated if it does not count, whatever the reason."""
    row = await documents.get(_key(token))
    if row is None or not _is_good(row.get("expires"), now):
        raise Unauthenticated(token_sent=True)
    try:
        said = (row["user"], row["scope"], row["client"], row["role"], row["patient"], row["purpose"])
        return _principal(*said, frozenset(row["may"]))
    except (AttributeError, KeyError, TypeError, ValueError):
        raise Unauthenticated(token_sent=True) from None


async def revoke_token(documents: Documents, token: str) -> bool:
    """Take the token away; whether there was one."""
    return await documents.delete(_key(token))


@lru_cache(maxsize=4096)
def _principal(
    user: str, scope: str, client: str, role: str | None, patient: str | None, purpose: str | None, may: frozenset[str]
) -> Principal:
    """What these words mean, whenever they were read: the row itself is read anew for each request."""
    return Grant(user, scope, client, role, patient, purpose, may).principal()


def _key(token: str) -> str:
    return sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


def _is_good(expires: Any, now: datetime) -> bool:
    if not isinstance(expires, datetime):
        return False
    return now < (expires if expires.tzinfo is not None else expires.replace(tzinfo=UTC))


def _bare(patient: str | None) -> str | None:
    return None if patient is None else patient.removeprefix("Patient/")
