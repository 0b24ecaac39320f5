"""What a command says when it cannot do its work: one sentence, and no secret."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from fhirserver.model.outcome import FhirError
from fhirserver.settings import BadSettings


class Failure(Exception):
    """The command failed; the text is for the person at the terminal."""


@contextmanager
def explained() -> Iterator[None]:
    """Turn the rooms' own errors, and those of the settings, into a Failure with their sentence."""
    try:
        yield
    except BadSettings as error:
        raise Failure(str(error)) from error
    except FhirError as error:
        raise Failure(" ".join(issue.diagnostics for issue in error.issues)) from error
