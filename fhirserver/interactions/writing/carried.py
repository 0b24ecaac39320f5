"""What an update carries forward of the version that it replaces: tags and security labels that it leaves out.

Profiles, the source and everything else are as the update says. To take tags off there are `$meta-delete` and patches. Behind the
gate labels are put back before that, by patches and after deletions too (access.writes.keep_labels, which says why).

https://hl7.org/fhir/R4/resource.html#tag-updates
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from fhirserver.access.security.compartments import CONFIDENTIALITY_SYSTEM
from fhirserver.interactions.writing.interpretation import TAG
from fhirserver.model.resource import Resource

SUBSETTED: Final = ("http://terminology.hl7.org/CodeSystem/v3-ObservationValue", "SUBSETTED")
"""The system and code of the tag of a resource of which not everything was sent."""

_OF_ONE_VERSION: Final = frozenset((SUBSETTED, (TAG["system"], TAG["code"])))
"""Tags that speak of the content of one version, and say nothing of the next."""


def carries(resource: Resource) -> Callable[[Mapping[str, Any]], bool]:
    """Whether a resource has all that it carries forward, asked of the meta of the version before it."""
    return lambda before: not _left_out(before, resource)


def carried(resource: Resource, before: Mapping[str, Any]) -> Resource:
    """The resource with the tags and labels that it leaves out of the meta before it."""
    meta = resource.get("meta", {})
    more = {name: [*meta.get(name, ()), *codings] for name, codings in _left_out(before, resource).items()}
    return {**resource, "meta": {**meta, **more}}


def _left_out(before: Mapping[str, Any], resource: Resource) -> dict[str, list[dict[str, Any]]]:
    meta = resource.get("meta", {})
    found: dict[str, list[dict[str, Any]]] = {}
    for name in ("tag", "security"):
        stated = {_key(each) for each in meta.get(name, ())}
        # A resource has one confidentiality: what states one takes the place of the one before.
        is_rated = any(system == CONFIDENTIALITY_SYSTEM for system, _ in stated)
        dropped = stated | _OF_ONE_VERSION
        codings = {_key(each): each for each in before.get(name, ())}
        left = [
            coding
            for key, coding in codings.items()
            if key not in dropped and not (is_rated and key[0] == CONFIDENTIALITY_SYSTEM)
        ]
        if left:
            found[name] = left
    return found


def _key(coding: Mapping[str, Any]) -> tuple[str | None, str | None]:
    return coding.get("system"), coding.get("code")
