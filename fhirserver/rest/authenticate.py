"""Who asks: the bearer token of a request to its Principal, or in open mode the operator.

https://www.rfc-editor.org/rfc/rfc6750#section-2.1
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping

from fhirserver.access.principal import Principal
from fhirserver.model.outcome import Unauthenticated

Authenticate = Callable[[Mapping[bytes, bytes]], Awaitable[Principal]]
Lookup = Callable[[str], Awaitable[Principal]]

_BEARER = re.compile(rb"bearer +([A-Za-z0-9\-._~+/]{1,2048}=*) *", re.IGNORECASE)


def bearer(lookup: Lookup) -> Authenticate:
    """Authentication by a token in `Authorization`, and only there. Raises Unauthenticated."""

    async def authenticate(headers: Mapping[bytes, bytes]) -> Principal:
        header = headers.get(b"authorization")
        if header is None:
            raise Unauthenticated
        match = _BEARER.fullmatch(header)
        if match is None:
            raise Unauthenticated("The Authorization header is not a bearer token.", token_sent=True)
        return await lookup(match[1].decode("ascii"))

    return authenticate


def nobody_asked(principal: Principal) -> Authenticate:
    """Open mode: everybody is this principal."""

    async def authenticate(_: Mapping[bytes, bytes]) -> Principal:
        return principal

    return authenticate
