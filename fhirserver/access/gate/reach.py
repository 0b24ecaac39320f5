"""The reach of a permit: from what was decided to the Expression of each type, for reading and for writing.

There are few shapes, with the values free, and equal decisions give equal expressions, so that reads of one turn that share a
permit share a branch of the query.

https://hl7.org/fhir/R4/security.html
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

from fhirserver.access.principal import Kind, Principal
from fhirserver.access.scopes import LETTERS, SYSTEM_LEVEL, names, reaches
from fhirserver.access.security.classes import (
    ACCESS_CLASS,
    APPOINTMENT_REQUESTS,
    BY_NAME,
    OPEN_CLASSES,
    PATIENT_SAYS,
)
from fhirserver.access.security.compartments import UNRESOLVED
from fhirserver.access.security.consent import WITHOUT_EFFECT
from fhirserver.search.expression import Exists, Expression, In, Nothing, Within, all_of, any_of, negate, within

_CLASS: Final = "security.class"
_OWNERS: Final = "security.owners"


def _classes(*wanted: str) -> Expression:
    return In(_CLASS, frozenset(wanted))


_OPEN: Final = In(_CLASS, frozenset(OPEN_CLASSES))
_PATIENT: Final = _classes("patient")
_ADJACENT: Final = _classes("adjacent")
_OWNED: Final = _classes("patient", "system")
_PATIENT_OR_ADJACENT: Final = _classes("patient", "adjacent")
_PRIVATE: Final = _classes("patient", "adjacent", "system")
_HAS_CLASS: Final = _classes("patient", "adjacent", "system", "directory", "public")
_NO_OWNER: Final = negate(Exists(_OWNERS))
_NO_EFFECT: Final = In("security.rule.status", frozenset(WITHOUT_EFFECT))


@dataclass(frozen=True, slots=True)
class Decided:
    """What one request was found to be allowed, besides what its principal may always do.

    `reads` and `creates` are patients whose Consents permit it; `undenied` those whose Appointments a deny does not hide from
    who takes part (`takes_part`); `contexts` the visible securityContexts of Binary.
    """

    reads: frozenset[str] = frozenset()
    creates: frozenset[str] = frozenset()
    undenied: frozenset[str] = frozenset()
    takes_part: frozenset[str] = frozenset()
    contexts: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class _Reach(ABC):
    """The expression of each type, made when it is asked for first."""

    principal: Principal
    interaction: str
    resource_type: str
    decided: Decided
    _made: dict[str, Expression] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __call__(self, resource_type: str) -> Expression:
        found = self._made.get(resource_type)
        if found is None:
            found = self._made[resource_type] = self._expression(resource_type)
        return found

    @abstractmethod
    def _expression(self, resource_type: str) -> Expression: ...


class Reads(_Reach):
    """What may be read of a type."""

    __slots__ = ()

    def _expression(self, resource_type: str) -> Expression:
        # The interaction's own letter opens its own type; everything that comes along with it has to be readable.
        is_own = self.resource_type in (resource_type, SYSTEM_LEVEL)
        letter = LETTERS.get(self.interaction) if is_own else LETTERS["read"]
        if letter is None or not reaches(self.principal.scopes, resource_type, letter):
            return Nothing()
        return visible(self.principal, self.decided, resource_type)


class Writes(_Reach):
    """What may be replaced or deleted of the one type that the interaction writes, and what may be put there."""

    __slots__ = ()

    def _expression(self, resource_type: str) -> Expression:
        letter = LETTERS.get(self.interaction)
        if resource_type != self.resource_type or letter is None or letter not in "cud":
            return Nothing()
        if not reaches(self.principal.scopes, resource_type, letter):
            return Nothing()
        return writable(self.principal, self.decided, resource_type, letter)


def visible(principal: Principal, decided: Decided, resource_type: str) -> Expression:
    """The condition under which the principal sees a resource of the type, its scopes aside."""
    if resource_type not in ACCESS_CLASS:
        return Nothing()
    match principal.kind:
        case Kind.PATIENT:
            found = _seen_by_patient(principal.id, principal.user, resource_type)
        case Kind.PRACTITIONER:
            found = _seen_by_practitioner(principal, decided, resource_type)
        case Kind.SYSTEM:
            found = _seen_by_system(principal, decided)
        case _:
            found = Nothing()
    contexts = _contexts(decided, resource_type)
    return _in_context(principal, any_of(_if_open(resource_type), found, contexts))


def writable(principal: Principal, decided: Decided, resource_type: str, letter: str) -> Expression:
    """The condition that both the old and the new version have to meet, the scope's letter given."""
    access_class = ACCESS_CLASS.get(resource_type)
    if access_class is None:
        return Nothing()
    match principal.kind:
        case Kind.PATIENT:
            found = _written_by_patient(principal, resource_type)
        case Kind.PRACTITIONER:
            found = _written_by_practitioner(principal, decided, resource_type)
        case Kind.SYSTEM:
            found = _written_by_system(principal, decided, resource_type, letter)
        case _:
            found = Nothing()
    return _in_context(principal, found)


def _if_open(resource_type: str) -> Expression:
    return _OPEN if ACCESS_CLASS.get(resource_type) in OPEN_CLASSES else Nothing()


def _wrote(user: str) -> Expression:
    return In("by.principal", frozenset((user,)))


def _hers(id: str) -> Expression:
    return Within(_OWNERS, frozenset((id,)))


@lru_cache(maxsize=4096)
def _seen_by_patient(id: str, user: str, resource_type: str) -> Expression:
    # Her Consent stays in her hands, whoever else it names: she could not withdraw what she cannot see.
    about_her = In("security.rule.patient", frozenset((id,)))
    return any_of(
        all_of(_OWNED, _hers(id)),
        all_of(_ADJACENT, _wrote(user)),
        all_of(_OWNED, about_her) if resource_type == "Consent" else Nothing(),
    )


def _seen_by_practitioner(principal: Principal, decided: Decided, resource_type: str) -> Expression:
    return any_of(
        all_of(_PATIENT, within(_OWNERS, decided.reads)),
        all_of(_PATIENT_OR_ADJACENT, _wrote(principal.user)),
        _taking_part(decided) if resource_type == "Appointment" else Nothing(),
    )


def _seen_by_system(principal: Principal, decided: Decided) -> Expression:
    return any_of(
        all_of(_PATIENT, within(_OWNERS, decided.reads)),
        all_of(_PRIVATE, _wrote(principal.user)),
    )


def _taking_part(decided: Decided) -> Expression:
    if not decided.takes_part:
        return Nothing()
    return all_of(
        _PATIENT_OR_ADJACENT,
        In("security.actors", decided.takes_part),
        any_of(_NO_OWNER, within(_OWNERS, decided.undenied)),
    )


def _contexts(decided: Decided, resource_type: str) -> Expression:
    if resource_type != "Binary" or not decided.contexts:
        return Nothing()
    return all_of(_ADJACENT, In("security.context", decided.contexts))


def _written_by_patient(principal: Principal, resource_type: str) -> Expression:
    if resource_type == "Consent":
        about_her = In("security.rule.patient", frozenset((principal.id,)))
        return any_of(all_of(_OWNED, about_her), all_of(_ADJACENT, _wrote(principal.user)))
    if resource_type in BY_NAME or ACCESS_CLASS[resource_type] in OPEN_CLASSES:
        return Nothing()
    says = all_of(_PATIENT, _hers(principal.id)) if resource_type in PATIENT_SAYS else Nothing()
    adjacent = all_of(_ADJACENT, any_of(_NO_OWNER, _hers(principal.id)))
    requests = In("security.status", APPOINTMENT_REQUESTS)
    return all_of(
        _wrote(principal.user),
        any_of(says, adjacent),
        *((requests,) if resource_type == "Appointment" else ()),
    )


def _written_by_practitioner(principal: Principal, decided: Decided, resource_type: str) -> Expression:
    if resource_type in BY_NAME or ACCESS_CLASS[resource_type] in OPEN_CLASSES:
        return Nothing()
    return all_of(
        _wrote(principal.user),
        any_of(all_of(_OWNED, within(_OWNERS, decided.creates)), _ADJACENT),
        *((_NO_EFFECT,) if resource_type == "Consent" else ()),
    )


def _written_by_system(principal: Principal, decided: Decided, resource_type: str, letter: str) -> Expression:
    is_named = names(principal.scopes, resource_type, letter)
    if resource_type in BY_NAME:
        return all_of(_HAS_CLASS, visible(principal, decided, resource_type)) if is_named else Nothing()
    return all_of(
        _wrote(principal.user),
        _HAS_CLASS,
        *((_NO_EFFECT,) if resource_type == "Consent" and not is_named else ()),
    )


def _in_context(principal: Principal, found: Expression) -> Expression:
    """`patient/` scopes keep to the patient in context; what has no owner is its creator's and stays."""
    if not any(scope.level == "patient" for scope in principal.scopes):
        return found
    if principal.kind is Kind.PATIENT and principal.patient == principal.id:
        return found
    in_context = In(_OWNERS, frozenset((principal.patient or UNRESOLVED,)))
    return all_of(found, any_of(_OPEN, _NO_OWNER, in_context))
