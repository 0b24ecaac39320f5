"""The judgement of texts: what each holds, whether it breaks a rule, what is derived from it, and the bytes to be written.

It touches neither the loop nor the database, so it runs on a thread, or in a process of its own. Validation, search values and
security facts are those of any write.

https://hl7.org/fhir/R4/validation.html
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, NamedTuple

from fhirserver.access.principal import OPEN
from fhirserver.definitions import Definitions
from fhirserver.interactions.bundles.transaction import placed
from fhirserver.interactions.load.sources import Text
from fhirserver.interactions.load.tally import Fate, Outcome
from fhirserver.interactions.load.units import Candidate, Unit, Units
from fhirserver.interactions.writing.candidate import check_references
from fhirserver.model.elements import Elements
from fhirserver.model.outcome import FhirError
from fhirserver.search.permit import Permit
from fhirserver.store import By, Derive, Packed, Write
from fhirserver.validation import Validator, error_for

CLIENT: Final = "load"
PRINCIPAL: Final = replace(OPEN, client=CLIENT)
"""Who loads: the operator."""

_NEW: Final = Permit.nothing("what goes in bulk is written where nothing is")
_QUESTION_MARKS: Final = (b"?", b"\\u003")
"""Without one of them no reference is by criteria."""


class Portion(NamedTuple):
    """Texts of one file that are judged together: the digest of the file, and the run that names its load."""

    digest: str
    run: str
    texts: Sequence[Text]


class Part(NamedTuple):
    """What is written together: one resource, or a unit that is whole; and the places of its resources in a Bundle."""

    number: int
    whole: bool
    entries: tuple[int | None, ...]
    writes: tuple[Packed, ...]

    def said(self, fates: Sequence[Fate]) -> list[Outcome]:
        """What came of each resource."""
        return [Outcome(self.number, entry, fate) for entry, fate in zip(self.entries, fates, strict=True)]

    def refused(self, error: FhirError) -> Outcome:
        """It was refused, with all that belongs to it."""
        return Outcome(self.number, None if self.whole else self.entries[0], "refused", error, len(self.entries))


class Judged(NamedTuple):
    """A text, judged: what is to be written, and what came of it already. `asks`: it has entries that are more than a put."""

    parts: tuple[Part, ...]
    outcomes: tuple[Outcome, ...]
    asks: bool


@dataclass(frozen=True)
class Judge:
    """Judges as the server does that has these rules."""

    definitions: Definitions
    base_url: str
    validator: Validator
    derive: Derive
    prepare: Callable[[Write], Packed]
    elements: Elements = field(default_factory=Elements)

    def judge(self, portion: Portion) -> list[Judged]:
        """What becomes of each of these texts."""
        units = Units(self.definitions, self.base_url, portion.digest, self.elements)
        return [self._judged(units.of(text), text.data, portion.run) for text in portion.texts]

    def _judged(self, unit: Unit, data: bytes, run: str) -> Judged:
        by = PRINCIPAL.by(request_id(run, unit.number))
        may_ask = any(each in data for each in _QUESTION_MARKS)
        failures = list(unit.refusals)
        writes: list[Packed] = []
        entries: list[int | None] = []
        for each in unit.candidates:
            try:
                writes.append(self._write(each, by, may_ask))
                entries.append(each.entry)
            except FhirError as error:
                failures.append((each.entry, error))
        if failures and unit.whole:
            failures.sort(key=lambda each: each[0] or 0)
            refusal = placed([(entry or 0, error) for entry, error in failures])
            return Judged((), (Outcome(unit.number, None, "refused", refusal, unit.count),), asks=False)
        refused = tuple(Outcome(unit.number, entry, "refused", why) for entry, why in failures)
        if unit.whole:
            parts = [Part(unit.number, True, tuple(entries), tuple(writes))] if writes else []
        else:
            together = zip(entries, writes, strict=True)
            parts = [Part(unit.number, False, (entry,), (write,)) for entry, write in together]
        return Judged(tuple(parts), refused, bool(unit.entries))

    def _write(self, candidate: Candidate, by: By, may_ask: bool) -> Packed:
        resource, texts = candidate.resource, candidate.texts
        resource_type = resource["resourceType"]
        error = error_for(self.validator.validate(resource, resource_type=resource_type))
        if error is not None:
            raise error
        if may_ask:
            check_references(resource, self.base_url)
        contents, members = (None, None) if texts is None else texts
        derived = self.derive(resource_type, resource, contents)
        about = (resource_type, resource["id"], resource, derived, by, _NEW)
        return self.prepare(Write("PUT", *about, may_create=True, members=members))


def request_id(run: str, number: int) -> str:
    """The request id of what the text of this number writes."""
    return f"load-{run}-{number}"
