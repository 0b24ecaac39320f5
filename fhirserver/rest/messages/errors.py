"""Errors as answers: the one place where a refusal becomes an HTTP response.

https://hl7.org/fhir/R4/http.html#Status-Codes and https://www.rfc-editor.org/rfc/rfc6750#section-3
"""

from __future__ import annotations

from collections.abc import Iterable

from fhirserver.model.outcome import (
    FhirError,
    Forbidden,
    MethodNotAllowed,
    TooManyRequests,
    Unauthenticated,
    Unavailable,
    UnsupportedMediaType,
)
from fhirserver.rest.messages.responses import Answer, Header, outcome


def answer_to(error: FhirError, *, allow: Iterable[str] = ()) -> Answer:
    """The answer that says so; `allow` are the methods of this address, for where the error names none itself."""
    answer = outcome(error.status, *error.issues)
    answer.headers.extend(_headers(error, allow))
    return answer


def unexpected() -> Answer:
    """The answer to a fault of our own. What went wrong is in the log, never here."""
    return answer_to(FhirError())


def _headers(error: FhirError, allow: Iterable[str]) -> list[Header]:
    match error:
        case Unauthenticated(token_sent=True):
            return [(b"www-authenticate", b'Bearer realm="fhir", error="invalid_token"')]
        case Unauthenticated():
            return [(b"www-authenticate", b'Bearer realm="fhir"')]
        case Forbidden(insufficient_scope=True):
            return [(b"www-authenticate", b'Bearer realm="fhir", error="insufficient_scope"')]
        case MethodNotAllowed():
            return [(b"allow", ", ".join(error.allow or tuple(allow)).encode())]
        case Unavailable() | TooManyRequests():
            return [(b"retry-after", b"%d" % error.retry_after)]
        case UnsupportedMediaType() if error.accept_patch:
            return [(b"accept-patch", error.accept_patch.encode())]
    return []
