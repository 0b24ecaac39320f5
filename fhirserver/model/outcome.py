"""OperationOutcome issues and the tree of errors that carry them.

Every refusal in the server is one of these errors. The status is the specification's own, because batch entries carry it as
well as HTTP answers, so it is chosen here and nowhere else.

https://hl7.org/fhir/R4/operationoutcome.html and https://hl7.org/fhir/R4/http.html#Status-Codes
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

Severity = Literal["fatal", "error", "warning", "information"]


@dataclass(frozen=True, slots=True)
class Issue:
    """One issue of an OperationOutcome: what is wrong, where (a FHIRPath expression), and a sentence to act on."""

    severity: Severity
    code: str
    diagnostics: str
    expression: str | None = None

    def as_json(self) -> dict[str, Any]:
        """The issue as an `OperationOutcome.issue` element."""
        issue: dict[str, Any] = {"severity": self.severity, "code": self.code, "diagnostics": self.diagnostics}
        if self.expression is not None:
            issue["expression"] = [self.expression]
        return issue


def operation_outcome(issues: Sequence[Issue]) -> dict[str, Any]:
    """An OperationOutcome resource with these issues; there is always at least one."""
    return {"resourceType": "OperationOutcome", "issue": [issue.as_json() for issue in issues]}


class FhirError(Exception):
    """A refusal: a status, and the issues that explain it."""

    status: ClassVar[int] = 500
    code: ClassVar[str] = "exception"
    text: ClassVar[str] = "The server could not complete the request."

    def __init__(
        self, diagnostics: str | None = None, *, expression: str | None = None, code: str | None = None
    ) -> None:
        super().__init__(diagnostics or self.text)
        self.issues: tuple[Issue, ...] = (Issue("error", code or self.code, diagnostics or self.text, expression),)

    def __reduce__(self) -> tuple[Any, ...]:
        """The same refusal in another process, however its kind is made."""
        return _again, (type(self), self.args, self.__dict__)

    @classmethod
    def of(cls, issues: Sequence[Issue]) -> FhirError:
        """The error that carries several issues, each with its place."""
        error = cls()
        error.issues = tuple(issues)
        return error


def _again(kind: type[FhirError], args: tuple[Any, ...], state: dict[str, Any]) -> FhirError:
    error = kind.__new__(kind, *args)
    error.__dict__.update(state)
    return error


class BadRequest(FhirError):
    """The request cannot be read: syntax, structure or parameters."""

    status, code, text = 400, "invalid", "The request could not be understood."


class TooCostly(BadRequest):
    """A bound was reached; the sentence says which and what to add."""

    code, text = "too-costly", "The request is too broad to answer."


class Unauthenticated(FhirError):
    """No token, or one that does not count."""

    status, code, text = 401, "login", "A valid access token is required."

    def __init__(self, diagnostics: str | None = None, *, token_sent: bool = False) -> None:
        super().__init__(diagnostics)
        self.token_sent = token_sent


class Forbidden(FhirError):
    """Refused for reasons that the token and the request text alone show."""

    status, code, text = 403, "forbidden", "The access token does not allow this."

    def __init__(self, diagnostics: str | None = None, *, scope: bool = False) -> None:
        super().__init__(diagnostics)
        self.insufficient_scope = scope


class NotFound(FhirError):
    """Absent, hidden or never existed: one constant text, so that none tells from another."""

    status, code, text = 404, "not-found", "Resource not found."

    def __init__(self) -> None:
        super().__init__()


class Unresolved(FhirError):
    """A canonical that the request leads to is not here, or not for this caller; the sentence names it, as the request did."""

    status, code, text = 404, "not-found", "A canonical that is needed is not here."


class NotSupported(FhirError):
    """An interaction, operation or type that this server does not have; decided before any data is touched."""

    status, code, text = 404, "not-supported", "This server does not support that."


class MethodNotAllowed(FhirError):
    """The method is not for this address; `allow` lists those that are."""

    status, code, text = 405, "not-supported", "The method is not allowed here."

    def __init__(self, diagnostics: str | None = None, *, allow: Sequence[str] = ()) -> None:
        super().__init__(diagnostics)
        self.allow = tuple(allow)


class NotAcceptable(FhirError):
    """None of the media types asked for can be served."""

    status, code, text = 406, "not-supported", "None of the requested media types can be served."


class Conflict(FhirError):
    """The state of the resource does not allow it."""

    status, code, text = 409, "conflict", "The request conflicts with the state of the resource."


class Gone(FhirError):
    """Deleted, and visible to the caller before that."""

    status, code, text = 410, "deleted", "The resource was deleted."


class PreconditionFailed(FhirError):
    """`If-Match`, `If-None-Match` or a conditional criterion was not met."""

    status, code, text = 412, "conflict", "A precondition was not met."


class TooLarge(FhirError):
    """A size bound was passed; the sentence names it."""

    status, code, text = 413, "too-long", "The request is too large."


class UnsupportedMediaType(FhirError):
    """The Content-Type or Content-Encoding is not one that this interaction takes."""

    status, code, text = 415, "not-supported", "The media type is not supported."

    def __init__(self, diagnostics: str | None = None, *, accept_patch: str = "") -> None:
        super().__init__(diagnostics)
        self.accept_patch = accept_patch


class Misdirected(FhirError):
    """The Host is not one that this server answers for."""

    status, code, text = 421, "not-supported", "This server does not answer for that host."


class Unprocessable(FhirError):
    """Readable, but against the rules: cardinality, format, binding, invariant, profile, business rule."""

    status, code, text = 422, "processing", "The resource does not conform to the rules."


class TooManyRequests(FhirError):
    """So much of this is under way that no more is taken; the sentence says what to wait for."""

    status, code, text = 429, "throttled", "Too much of this is under way. Try again later."

    def __init__(self, diagnostics: str | None = None, *, retry_after: int = 60) -> None:
        super().__init__(diagnostics)
        self.retry_after = retry_after


class Unavailable(FhirError):
    """Try again later; nothing was half-written."""

    status, code, text = 503, "transient", "The server is busy. Try again."

    def __init__(self, diagnostics: str | None = None, *, retry_after: int = 1) -> None:
        super().__init__(diagnostics)
        self.retry_after = retry_after
