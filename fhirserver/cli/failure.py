"""What a command says when it cannot do its work: one sentence, and no secret."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from fhirserver.model.outcome import FhirError


class Failure(Exception):
    """The command failed; the text is for the person at the terminal."""


@contextmanager
def explained() -> Iterator[None]:
    """Turn the rooms' own errors into a Failure with their sentence."""
    try:
        yield
    except FhirError as error:
        raise Failure(" ".join(issue.diagnostics for issue in error.issues)) from error
