"""Value sets, expanded: which codes a coded element may hold.

https://hl7.org/fhir/R4/valueset.html#compositions
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from fhirserver.definitions.codes.grammars import GRAMMARS


@dataclass(frozen=True, slots=True)
class ValueSet:
    """A value set by its canonical without version.

    `by_system` is the expansion. `grammars` are the code systems that are included whole and whose codes are known
    by their grammar, not by a list; `codes` has none of theirs.
    """

    url: str
    by_system: Mapping[str, frozenset[str]]
    codes: frozenset[str]
    grammars: tuple[str, ...] = ()

    @property
    def systems(self) -> tuple[str, ...]:
        """The code systems it draws on."""
        return (*self.by_system, *self.grammars)

    def contains(self, code: str, system: str | None = None) -> bool:
        """Whether the code is in the value set: of that system, or of any when the system is not known."""
        if system is None:
            return code in self.codes or any(GRAMMARS[each](code) for each in self.grammars)
        if system in self.grammars and GRAMMARS[system](code):
            return True
        return code in self.by_system.get(system, ())

    def system_of(self, code: str) -> str | None:
        """The one system that gives this code a meaning here; None if none does or several do."""
        found = [system for system, codes in self.by_system.items() if code in codes]
        found += [system for system in self.grammars if GRAMMARS[system](code)]
        return found[0] if len(found) == 1 else None


def value_set(url: str, by_system: Mapping[str, Iterable[str]], grammars: Iterable[str]) -> ValueSet:
    """A value set from its expansion."""
    frozen = {system: frozenset(codes) for system, codes in by_system.items()}
    return ValueSet(url, frozen, frozenset().union(*frozen.values()), tuple(grammars))


def unversioned(canonical: str) -> str:
    """A canonical without its version and fragment."""
    return canonical.partition("#")[0].partition("|")[0]
