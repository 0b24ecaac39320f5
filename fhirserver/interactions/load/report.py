"""The report of what was refused: NDJSON, one OperationOutcome for each, with the file, the line or entry, and every issue.

https://hl7.org/fhir/R4/operationoutcome.html
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from fhirserver.interactions.load.tally import Outcome
from fhirserver.model.json import dump
from fhirserver.model.outcome import FhirError, operation_outcome

PLACE: Final = "https://fhirserver.example/StructureDefinition/load-place"
"""The extension that says where the refused resource stands."""


class BadReport(Exception):
    """The report cannot be written; the text says why."""


class Report:
    """A file that is there once something was refused. All of it raises BadReport."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._size = 0

    @property
    def size(self) -> int:
        """Bytes of what this load has written."""
        return self._size

    def resume(self, size: int) -> None:
        """Go on behind these bytes; what follows them was not yet counted, and comes again. With 0 the report begins anew."""
        with self._writing():
            self._size = min(size, self.path.stat().st_size) if self.path.exists() else 0
            if self._size:
                os.truncate(self.path, self._size)
            elif self.path.exists():
                self.path.unlink()

    def add(self, source: Path, outcome: Outcome, *, is_lines: bool) -> None:
        """Write down one refusal."""
        line = dump(_outcome(source, outcome, is_lines)) + b"\n"
        with self._writing(), self.path.open("ab") as opened:
            opened.write(line)
        self._size += len(line)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise BadReport(
                f"The report {self.path} cannot be written: {error.strerror}. Load again: it goes on from here."
            ) from error


def _outcome(source: Path, outcome: Outcome, is_lines: bool) -> dict[str, Any]:
    error = outcome.error or FhirError()
    place: list[dict[str, Any]] = [{"url": "file", "valueString": str(source)}]
    if is_lines:
        place.append({"url": "line", "valuePositiveInt": outcome.number})
    if outcome.entry is not None:
        place.append({"url": "entry", "valueUnsignedInt": outcome.entry})
    place.append({"url": "status", "valuePositiveInt": error.status})
    if outcome.count > 1:
        place.append({"url": "resources", "valuePositiveInt": outcome.count})
    said = operation_outcome(error.issues)
    return {"resourceType": said.pop("resourceType"), "extension": [{"url": PLACE, "extension": place}], **said}
