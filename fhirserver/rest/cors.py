"""Cross-origin requests: which pages of which origins may read answers in a browser.

Anybody's may read the statement of capabilities, which anybody may ask for. Everything else may be read by the origins that the
settings name. Cookies play no part: a token is sent by who has it.

https://hl7.org/fhir/R4/security.html#cors and https://fetch.spec.whatwg.org/#http-cors-protocol
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final

from fhirserver.rest.messages.responses import Header

ANY: Final = "*"
_MAX_AGE: Final = b"600"
_SENT: Final = (
    b"Accept, Authorization, Content-Type, If-Match, If-Modified-Since, If-None-Exist, If-None-Match, If-Unmodified-Since, "
    b"Prefer, X-Request-Id, X-Security-Context"
)
_READ: Final = (
    b"Content-Location, ETag, Last-Modified, Location, Retry-After, WWW-Authenticate, X-Progress, X-Request-Id, "
    b"X-Security-Context"
)


class Cors:
    """The origins whose pages may read answers."""

    def __init__(self, origins: Collection[str]) -> None:
        self._is_any = ANY in origins
        self._origins = frozenset(origin.lower().encode() for origin in origins)

    def headers(
        self, request: Mapping[bytes, bytes], methods: Collection[str], *, is_public: bool
    ) -> tuple[Header, ...]:
        """What the answer says to a browser; `methods` are those of the address, for a request that asks beforehand."""
        origin = request.get(b"origin")
        if origin is None:
            return ()
        if self._is_any or is_public:
            allowed = ANY.encode()
        elif origin.lower() in self._origins:
            allowed = origin
        else:
            return ()
        found = [(b"access-control-allow-origin", allowed), (b"access-control-expose-headers", _READ)]
        if is_preflight(request):
            found += [
                (b"access-control-allow-methods", ", ".join(methods).encode()),
                (b"access-control-allow-headers", _SENT),
                (b"access-control-max-age", _MAX_AGE),
            ]
        return tuple(found)


def is_preflight(request: Mapping[bytes, bytes]) -> bool:
    """Whether a browser asks what it may send, and not who sits before it."""
    return b"access-control-request-method" in request
