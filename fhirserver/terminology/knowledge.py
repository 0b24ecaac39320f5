"""What terminology lends to validation: whether codes are in a value set, and what is wrong with a code of a code system.

It is for who can wait: the catalogue asks its store itself, or has none.

https://hl7.org/fhir/R4/terminology-service.html
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, Protocol, TypeVar

from fhirserver.definitions.codes.grammars import GRAMMARS
from fhirserver.model.outcome import BadRequest, TooCostly, Unprocessable, Unresolved
from fhirserver.terminology.catalogue import Catalogue
from fhirserver.terminology.coded import is_shown
from fhirserver.terminology.value_set import Member, ValueSet, asked_for, value_set

T = TypeVar("T")

MAX_TARGETS: Final = 30
"""Stored resources that one validation follows references to."""


class Stated(Protocol):
    """A code with its system, as a resource states it; a bare code has none."""

    @property
    def system(self) -> str | None: ...
    @property
    def code(self) -> str: ...
    @property
    def display(self) -> str | None: ...
    @property
    def version(self) -> str | None: ...
    @property
    def is_unit(self) -> bool: ...


class Known:
    """What a catalogue knows; `is_exhausted` says that its bound was reached, and that more is left undecided for that."""

    def __init__(
        self, catalogue: Catalogue, read: Callable[[str], Mapping[str, Any] | None] = lambda reference: None
    ) -> None:
        self._catalogue = catalogue
        self._read = read
        self._targets = MAX_TARGETS
        self.is_exhausted = False

    def contains(self, url: str, codes: Sequence[Stated]) -> bool | None:
        """Whether one of the codes is in the value set; None where that is not known here."""
        found = self._known(lambda: value_set(self._catalogue, url))
        if found is None:
            return None
        answers = [self._known(lambda code=each: _has(found, code)) for each in codes]  # type: ignore[misc]
        return True if True in answers else None if None in answers else False

    def faults(self, code: Stated) -> Iterator[tuple[bool, str]]:
        """What is wrong with a code: each an error or not, and a sentence."""
        if code.system is None:
            return
        if code.system in GRAMMARS:
            if not GRAMMARS[code.system](code.code):
                yield True, f"'{code.code[:100]}' is no code of {code.system}: it does not have its form."
            return
        system = self._known(lambda: self._catalogue.code_system(str(code.system), code.version))
        if system is None:
            if self._catalogue.is_own_value_set(code.system):
                yield (
                    True,
                    f"{code.system[:300]} is a value set, not a code system: name the system that the code is of.",
                )
            return
        concept = system.find(code.code)
        if concept is None:
            if system.is_complete:
                yield not code.is_unit, f"The code system {system.url[:300]} has no code '{code.code[:100]}'."
            return
        display = concept.display
        member = Member(system.url, concept.code, system.version, {}, concept)
        if code.display and display is not None and not is_shown(code.display, member, display):
            shown = display[:200]
            yield (
                False,
                f"The display '{code.display[:200]}' is not that of the code '{concept.code}', which is '{shown}'.",
            )
        if concept.is_inactive:
            yield False, f"The code '{concept.code}' of {system.url[:300]} is no longer in use."

    def profile(self, canonical: str) -> Mapping[str, Any] | None:
        """The StructureDefinition; None where it is not known here."""
        return self._known(lambda: self._catalogue.resource(asked_for("StructureDefinition", canonical)))

    def target(self, reference: str) -> Mapping[str, Any] | None:
        """The stored resource that a reference leads to; None where it is not here, or not for who asks."""
        self._targets -= 1
        if self._targets < 0:
            self.is_exhausted = True
            return None
        return self._known(lambda: self._read(reference))

    def _known(self, work: Callable[[], T]) -> T | None:
        try:
            return work()
        except TooCostly:
            self.is_exhausted = True
        except (BadRequest, Unresolved, Unprocessable):
            pass
        return None


def _has(found: ValueSet, code: Stated) -> bool:
    """A bare code has the system of the value set, whichever it is."""
    if code.system is not None:
        return found.member(code.system, code.code) is not None
    grammars, listed = found.listed()
    return any(GRAMMARS[each](code.code) for each in grammars) or any(each.code == code.code for each in listed)
