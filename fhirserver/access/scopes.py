"""SMART scopes: which interactions a token allows on which types.

Version 2 names the interactions by letters in the order `cruds`; version 1's `.read`, `.write` and `.*` stand for some of
them. Search parameters behind a scope (`?category=...`) are not evaluated here, so such a scope is refused.

https://hl7.org/fhir/smart-app-launch/scopes-and-launch-context.html
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from fhirserver.access.security.classes import ACCESS_CLASS

LETTERS: Final = {
    "create": "c",
    "read": "r",
    "vread": "r",
    "history-instance": "r",
    "update": "u",
    "patch": "u",
    "delete": "d",
    "history-type": "s",
    "search-type": "s",
    "history-system": "s",
    "search-system": "s",
}
"""The letter that an interaction needs; an interaction without one is allowed to nobody."""
EVERY_TYPE: Final = "*"
SYSTEM_LEVEL: Final = ""
"""Stands for the resource type of an interaction with all of them: each is then under its own scope."""
_VERSION_1: Final = {"read": "rs", "write": "cud", "*": "cruds"}
_SCOPE: Final = re.compile(r"(patient|user|system)/(\*|[A-Za-z]{1,64})\.(read|write|\*|c?r?u?d?s?)")
_OTHER: Final = frozenset(
    ("openid", "fhirUser", "profile", "launch", "launch/patient", "launch/encounter", "offline_access", "online_access")
)
"""Scopes that say nothing about data."""


class InvalidScope(ValueError):
    """A scope that cannot be read, or scopes that do not go together."""


@dataclass(frozen=True, slots=True)
class Scope:
    """One scope: its level (`patient`, `user`, `system`), a resource type or `*`, and the letters it allows."""

    level: str
    resource_type: str
    letters: str


@lru_cache(maxsize=1024)
def parse_scopes(text: str) -> tuple[Scope, ...]:
    """The scopes of a space-separated text that are about data. Raises InvalidScope; levels do not mix."""
    scopes = tuple([_scope(each) for each in text.split() if each not in _OTHER])
    levels = {scope.level for scope in scopes}
    if len(levels) > 1:
        raise InvalidScope(f"Scopes of one level go together; these are mixed: {', '.join(sorted(levels))}.")
    return scopes


def _scope(text: str) -> Scope:
    match = _SCOPE.fullmatch(text)
    if match is None or not match[3]:
        raise InvalidScope(f"This is no scope: {text!r}. Write patient/Observation.rs, user/*.cruds, system/Slot.read.")
    level, resource_type, letters = match.groups()
    if resource_type != EVERY_TYPE and resource_type not in ACCESS_CLASS:
        raise InvalidScope(f"The scope {text!r} names no resource type of this server.")
    return Scope(level, resource_type, _VERSION_1.get(letters, letters))


def reaches(scopes: Iterable[Scope], resource_type: str, letter: str) -> bool:
    """Whether some scope allows this letter on the type, by its name or by `*`; at the level of the system, on any type."""
    if resource_type == SYSTEM_LEVEL:
        return any(letter in scope.letters for scope in scopes)
    return any(letter in scope.letters and scope.resource_type in (resource_type, EVERY_TYPE) for scope in scopes)


def names(scopes: Iterable[Scope], resource_type: str, letter: str) -> bool:
    """Whether some scope allows this letter on the type, and says its name."""
    return any(letter in scope.letters and scope.resource_type == resource_type for scope in scopes)
