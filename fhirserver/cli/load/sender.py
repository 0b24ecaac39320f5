"""Requests to a server, sent again while it is busy or cannot be reached, as long as that can do no harm.

https://hl7.org/fhir/R4/http.html
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any, Final

import httpx

from fhirserver.cli.failure import Failure
from fhirserver.model.json import BODY_LIMIT, parse
from fhirserver.model.outcome import BadRequest, FhirError, Issue, Unavailable

PATIENCE: Final = 60.0
"""Seconds for which a server that is busy or gone is asked again."""
TIMEOUT: Final = 60.0
_LONGEST_PAUSE: Final = 5.0
_LATER: Final = frozenset((429, 502, 503, 504))
_REFUSALS: Final = {each.status: each for each in FhirError.__subclasses__()}
_UNKNOWN: Final = (
    "The connection was lost before the answer came: whether this was written is not known, and it was not sent again."
)


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer; `was_resent`: the request may have been carried out before, too."""

    status: int
    headers: httpx.Headers
    body: bytes
    was_resent: bool

    @property
    def is_good(self) -> bool:
        """Whether it was done."""
        return self.status < 300

    def value(self) -> Any:
        """The body, read."""
        return parse(self.body, limit=4 * BODY_LIMIT, nesting=100)

    def entries(self, count: int) -> list[dict[str, Any]] | None:
        """The entries of the answer to a Bundle of so many; None where it is something else."""
        found = self.value() if self.is_good else None
        entries = found.get("entry") if isinstance(found, dict) else None
        if (
            not isinstance(entries, list)
            or len(entries) != count
            or not all(isinstance(each, dict) for each in entries)
        ):
            return None
        return entries

    def refusal(self) -> FhirError:
        """The error that this answer is."""
        return refusal(self.status, self._outcome())

    def _outcome(self) -> Any:
        try:
            return self.value()
        except FhirError:
            return None


class Sender:
    """One server, so many requests at a time."""

    def __init__(self, client: httpx.AsyncClient, parallel: int) -> None:
        self._client = client
        self._room = asyncio.Semaphore(parallel)

    async def send(
        self, method: str, path: str, body: bytes | None = None, *, may_resend: bool = True, **headers: str
    ) -> Answer:
        """The answer. Raises Unavailable where none came, and Failure where nobody answers at all, something else than FHIR does at
        the base, or the token does not count."""
        async with self._room:
            return await self._send(
                method, path, body, {name.replace("_", "-"): text for name, text in headers.items()}, may_resend
            )

    async def _send(
        self, method: str, path: str, body: bytes | None, headers: dict[str, str], may_resend: bool
    ) -> Answer:
        loop = asyncio.get_running_loop()
        deadline, pause, was_resent = loop.time() + PATIENCE, 0.1, False
        while True:
            wait = pause
            try:
                got = await self._client.request(method, path, content=body, headers=headers)
            except httpx.ConnectError as error:
                if loop.time() > deadline:
                    raise Failure("The server cannot be reached.") from error
            except httpx.TransportError as error:
                if not may_resend or loop.time() > deadline:
                    raise Unavailable(_UNKNOWN) from error
                was_resent = True
            else:
                if got.status_code == 401:
                    raise Failure(
                        "The server does not accept the access token. Load again with a new one: it goes on from here."
                    )
                if not path and (got.is_redirect or got.status_code == 404) and not _is_fhir(got):
                    raise Failure(f"No FHIR server answers at that address ({got.status_code}): is it the FHIR base?")
                if got.status_code not in _LATER or loop.time() > deadline:
                    return Answer(got.status_code, got.headers, got.content, was_resent)
                was_resent = was_resent or got.status_code != 429
                wait = max(pause, _seconds(got.headers.get("Retry-After")))
            await asyncio.sleep(wait)
            pause = min(pause * 2, _LONGEST_PAUSE)


def status_of(entry: dict[str, Any]) -> int:
    """The status in an entry of an answer; 500 where it has none."""
    response = entry.get("response")
    text = str(response.get("status", "")) if isinstance(response, dict) else ""
    return int(text[:3]) if text[:3].isdecimal() else 500


def refusal(status: int, outcome: Any) -> FhirError:
    """The error that a status and an OperationOutcome are."""
    kind = _REFUSALS.get(status, BadRequest if status < 500 else FhirError)
    issues = outcome.get("issue") if isinstance(outcome, dict) else None
    if not isinstance(issues, list) or not issues:
        return kind.of([Issue("error", "exception", f"The server answered {status}, and did not say why.")])
    return kind.of([_issue(each) for each in issues if isinstance(each, dict)])


def _issue(sent: dict[str, Any]) -> Issue:
    severity: Any = sent.get("severity", "error")
    details = sent.get("details")
    text = sent.get("diagnostics") or (details.get("text") if isinstance(details, dict) else None)
    expression = sent.get("expression")
    place = expression[0] if isinstance(expression, list) and expression else None
    return Issue(severity, str(sent.get("code", "exception")), str(text or "No reason was given."), place)


def _is_fhir(answer: httpx.Response) -> bool:
    return "fhir" in answer.headers.get("Content-Type", "")


def _seconds(text: str | None) -> float:
    return min(float(text), _LONGEST_PAUSE) if text is not None and text.isdecimal() else 0.0
