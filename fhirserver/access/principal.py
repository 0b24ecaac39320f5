"""The Principal: who asks, through which client, in which role, with which scopes.

It is what a token says, frozen; what depends on stored data (whether the role is active, who permits) is decided anew for
every request.

https://hl7.org/fhir/smart-app-launch/scopes-and-launch-context.html
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from fhirserver.access.scopes import LETTERS, Scope, reaches
from fhirserver.store.commit import By


class Kind(StrEnum):
    """What a principal is, for the tables of who may do what."""

    PATIENT = "patient"
    PRACTITIONER = "practitioner"
    SYSTEM = "system"
    OPERATOR = "operator"


USER_KINDS: Final = {
    "Patient": Kind.PATIENT,
    "Practitioner": Kind.PRACTITIONER,
    "PractitionerRole": Kind.PRACTITIONER,
    "Organization": Kind.SYSTEM,
    "Device": Kind.SYSTEM,
}
"""The resource types that a token's user may be."""
_USER: Final = re.compile(r"([A-Za-z]+)/([A-Za-z0-9\-.]{1,64})")


class InvalidPrincipal(ValueError):
    """A combination of user, scopes, role and patient that is no principal."""


@dataclass(frozen=True, slots=True)
class Principal:
    """Who asks. `user` is a reference, as is `role` (to a PractitionerRole); `patient` is the id of the patient in context.

    `derives_interpretation`: the server adds to the Observations of this client what their ranges say.
    """

    user: str
    client: str
    scopes: tuple[Scope, ...] = ()
    role: str | None = None
    patient: str | None = None
    purpose: str | None = None
    may_assign_ids: bool = False
    derives_interpretation: bool = False
    is_operator: bool = False

    def __post_init__(self) -> None:
        if not self.is_operator:
            _check(self)

    @property
    def kind(self) -> Kind:
        """What it is: a patient, a practitioner, a system, or the operator."""
        return Kind.OPERATOR if self.is_operator else USER_KINDS[self.user.partition("/")[0]]

    @property
    def id(self) -> str:
        """The logical id of the user."""
        return self.user.partition("/")[2]

    def by(self, request_id: str) -> By:
        """Who writes, for the version's `by`."""
        return By(request_id, self.user, self.client)


OPEN = Principal("operator", "open mode", may_assign_ids=True, is_operator=True)
"""Everybody, where the server runs without authentication; and the loader."""


def allows(principal: Principal, resource_type: str, interaction: str) -> bool:
    """Whether the token's scopes allow the interaction on the type; the data is not asked."""
    letter = LETTERS.get(interaction)
    return principal.is_operator or (letter is not None and reaches(principal.scopes, resource_type, letter))


def depends_on_consents(principal: Principal) -> bool:
    """Whether patients' Consents open anything to this principal: not a patient to herself, and no device is named in one."""
    return principal.kind is not Kind.PATIENT and not principal.user.startswith("Device/")


def may_create_at(principal: Principal, resource_type: str) -> bool:
    """Whether an update may create at an id that the client chose."""
    return principal.may_assign_ids and allows(principal, resource_type, "create")


def _check(principal: Principal) -> None:
    match = _USER.fullmatch(principal.user)
    if match is None or match[1] not in USER_KINDS:
        raise InvalidPrincipal(f"A user is one of {', '.join(USER_KINDS)}, written Type/id.")
    levels = {scope.level for scope in principal.scopes}
    if len(levels) > 1:
        raise InvalidPrincipal("Scopes of one level go together.")
    is_system = principal.kind is Kind.SYSTEM
    if is_system and not levels <= {"system"}:
        raise InvalidPrincipal("An Organization or a Device has system/ scopes.")
    if not is_system and "system" in levels:
        raise InvalidPrincipal("system/ scopes are for an Organization or a Device.")
    if "patient" in levels and principal.patient is None:
        raise InvalidPrincipal("patient/ scopes need the patient in context.")
    if principal.patient is not None and _USER.fullmatch(f"Patient/{principal.patient}") is None:
        raise InvalidPrincipal("The patient in context is a logical id.")
    if principal.role is not None:
        _check_role(principal.user, principal.role)


def _check_role(user: str, role: str) -> None:
    match = _USER.fullmatch(role)
    if match is None or match[1] != "PractitionerRole":
        raise InvalidPrincipal("A role is written PractitionerRole/id.")
    if not user.startswith(("Practitioner/", "PractitionerRole/")):
        raise InvalidPrincipal("Only a practitioner acts in a role.")
    if user.startswith("PractitionerRole/") and user != role:
        raise InvalidPrincipal("A user that is a PractitionerRole acts in that role.")
