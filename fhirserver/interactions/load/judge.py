"""The judgement of texts: what each holds, whether it breaks a rule, what is derived from it, and the bytes to be written.

It touches neither the loop nor the database, so it runs on a thread, or in a process of its own. Validation, search values and
security facts are those of any write.

https://hl7.org/fhir/R4/validation.html
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Final, TypeVar

from msgspec import Struct

from fhirserver.access.principal import OPEN
from fhirserver.definitions import Definitions
from fhirserver.interactions.bundles.transaction import placed
from fhirserver.interactions.load.sources import Text
from fhirserver.interactions.load.tally import Fate, Outcome
from fhirserver.interactions.load.units import Candidate, Unit, Units
from fhirserver.interactions.parameters.derivation import Derivation, Values
from fhirserver.interactions.writing.candidate import check_references
from fhirserver.model.elements import Elements
from fhirserver.model.outcome import FhirError
from fhirserver.search.permit import Permit
from fhirserver.store import By, Packed, Prepared, Write, packed, prepare
from fhirserver.validation import Validator

CLIENT: Final = "load"
PRINCIPAL: Final = replace(OPEN, client=CLIENT)
"""Who loads: the operator."""

TOGETHER: Final = 100
"""Texts that take each step of the judgement together: what a step needs stays in the processor's caches, which saves a sixth."""

_NEW: Final = Permit.nothing("what goes in bulk is written where nothing is")
_ESCAPED: Final = b"\\u003"
"""How a question mark may be written as well: without one no reference is by criteria."""

T = TypeVar("T")
U = TypeVar("U")


class Portion(Struct, frozen=True):
    """Texts of one file that are judged together: the digest of the file, and the run that names its load."""

    digest: str
    run: str
    texts: Sequence[Text]


class Part(Struct, frozen=True):
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


class Judged(Struct, frozen=True):
    """Texts, judged: what is to be written, what came of some already, and which of them, by place, have entries that are more
    than a put."""

    parts: list[Part]
    outcomes: list[Outcome]
    asking: list[int]


@dataclass(frozen=True)
class Judge:
    """Judges as the server does that has these rules."""

    definitions: Definitions
    base_url: str
    validator: Validator
    derivation: Derivation
    native_copy: bool
    elements: Elements = field(default_factory=Elements)

    def judge(self, portion: Portion) -> Judged:
        """What becomes of these texts."""
        units, texts = Units(self.definitions, self.base_url, portion.digest, self.elements), portion.texts
        found = Judged([], [], [])
        for first in range(0, len(texts), TOGETHER):
            self._together(units, texts[first : first + TOGETHER], portion.run, first, found)
        return found

    def _together(self, units: Units, texts: Sequence[Text], run: str, first: int, into: Judged) -> None:
        """Judge the texts of which the first has this place."""
        found = [units.of(text) for text in texts]
        sent = [each for unit, text in zip(found, texts, strict=True) for each in _sent(unit, text, run)]
        written = _each(self._secured, _each(self._searched, _each(self._checked, sent)))
        writes = iter(_each(packed, _each(self._encoded, written)))
        for place, unit in enumerate(found, first):
            _judged(unit, place, list(islice(writes, len(unit.candidates))), into)

    def _checked(self, sent: _Sent) -> _Sent:
        """It breaks no rule. Raises FhirError."""
        resource, texts = sent.candidate.resource, sent.candidate.texts
        contents = None if texts is None else texts.contents
        self.validator.check(resource, resource["resourceType"], contents)
        if sent.may_ask:
            check_references(resource, self.base_url)
        return sent

    def _searched(self, sent: _Sent) -> tuple[_Sent, Values]:
        """With its search values."""
        resource, texts = sent.candidate.resource, sent.candidate.texts
        contents = None if texts is None else texts.contents
        return sent, self.derivation.values(resource["resourceType"], resource, contents)

    def _secured(self, one: tuple[_Sent, Values]) -> Write:
        """The write, with its security facts."""
        sent, values = one
        resource, texts = sent.candidate.resource, sent.candidate.texts
        contents, members = (None, None) if texts is None else texts
        resource_type = resource["resourceType"]
        derived = values.derived(self.derivation.facts(resource_type, resource, contents))
        about = (resource_type, resource["id"], resource, derived, sent.by, _NEW)
        return Write("PUT", *about, may_create=True, members=members)

    def _encoded(self, write: Write) -> Prepared:
        """With most of its bytes. Raises TooLarge."""
        return prepare(write, native_copy=self.native_copy)


class _Sent(Struct, frozen=True):
    """A candidate, and by which request. `may_ask`: references in it may be by criteria."""

    candidate: Candidate
    by: By
    may_ask: bool


def _sent(unit: Unit, text: Text, run: str) -> list[_Sent]:
    by = PRINCIPAL.by(request_id(run, unit.number))
    may_ask = b"?" in text.data or _ESCAPED in text.data
    return [_Sent(each, by, may_ask) for each in unit.candidates]


def _each(step: Callable[[T], U], found: Iterable[T | FhirError]) -> list[U | FhirError]:
    """The next step for each that has passed those before it."""
    done: list[U | FhirError] = []
    for each in found:
        try:
            done.append(each if isinstance(each, FhirError) else step(each))
        except FhirError as error:
            done.append(error)
    return done


def _judged(unit: Unit, place: int, writes: Sequence[Packed | FhirError], into: Judged) -> None:
    """What became of the unit at this place, with what became of its candidates."""
    ready: list[tuple[int | None, Packed]] = []
    failures = list(unit.refusals)
    for candidate, write in zip(unit.candidates, writes, strict=True):
        if isinstance(write, FhirError):
            failures.append((candidate.entry, write))
        else:
            ready.append((candidate.entry, write))
    if failures and unit.whole:
        failures.sort(key=lambda each: each[0] or 0)
        refusal = placed([(entry or 0, error) for entry, error in failures])
        into.outcomes.append(Outcome(unit.number, None, "refused", refusal, unit.size))
        return
    if unit.whole and ready:
        entries, whole = zip(*ready, strict=True)
        into.parts.append(Part(unit.number, True, entries, whole))
    else:
        into.parts.extend([Part(unit.number, unit.whole, (entry,), (write,)) for entry, write in ready])
    into.outcomes.extend([Outcome(unit.number, entry, "refused", why) for entry, why in failures])
    if unit.entries:
        into.asking.append(place)


def request_id(run: str, number: int) -> str:
    """The request id of what the text of this number writes."""
    return f"load-{run}-{number}"
