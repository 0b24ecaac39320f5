"""Conformance: what is to be said of a resource beyond what refuses a write.

https://hl7.org/fhir/R4/validation.html
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, Final

from fhirserver.model.outcome import Issue
from fhirserver.validation.conformance.check import Check
from fhirserver.validation.conformance.coded import coded_issues
from fhirserver.validation.conformance.elements import Item, children, resource_item, walked
from fhirserver.validation.conformance.extensions import extension_issues
from fhirserver.validation.conformance.knowledge import Knowledge
from fhirserver.validation.conformance.prose import prose_issues
from fhirserver.validation.conformance.session import Allowance, Compiled, Exhausted, Session
from fhirserver.validation.rules import Rules
from fhirserver.validation.shapes import Shapes
from fhirserver.validation.walk import ISSUE_LIMIT

MAX_PROFILES: Final = 20
"""Profiles that one resource is held against by its own claim."""
_FULL: Final = f"Only the first {ISSUE_LIMIT} issues are reported; there may be more."
_NOT_ALL: Final = (
    "The resource was not held against all of its profiles: it would take too much. Validate a part of it."
)


class Conformance:
    """Judges resources whose structure can be read; what it needs to know beyond R4's types is lent with each."""

    def __init__(self, shapes: Shapes, rules: Rules) -> None:
        self._shapes = shapes
        self._rules = rules
        self._compiled = Compiled(rules.engine)

    def issues(
        self,
        resource: dict[str, Any],
        knowledge: Knowledge,
        profiles: Sequence[str] = (),
        now: datetime | None = None,
        allowance: Allowance | None = None,
    ) -> list[Issue]:
        """All that is to be said, each once; `profiles` are those that are asked about beside the ones the resource claims. `now`
        is the clock of rules that ask for it, `allowance` what several validations may do together."""
        session = Session(self._shapes, self._rules, self._compiled, knowledge, now, allowance or Allowance())
        found: dict[Issue, None] = {}
        try:
            for each in self._all(resource, session, profiles):
                found[each] = None
                if len(found) >= ISSUE_LIMIT:
                    return [*found, Issue("information", "too-costly", _FULL)]
        except Exhausted:
            found[Issue("warning", "too-costly", _NOT_ALL)] = None
        finally:
            session.close()
        return [*found, *session.notes.values()][: ISSUE_LIMIT + 1]

    def _all(self, resource: dict[str, Any], session: Session, profiles: Sequence[str]) -> Iterator[Issue]:
        item, check = resource_item(resource), Check(session)
        for canonical in profiles:
            yield from _asked(item, canonical, session, check)
        for each, parents in walked(self._shapes, item):
            yield from coded_issues(each, session.knowledge)
            yield from prose_issues(each, session)
            if each.is_resource:
                yield from self._claimed(each, session, check)
            elif each.type == "Extension":
                yield from extension_issues(each, parents, session, check)

    def _claimed(self, item: Item, session: Session, check: Check) -> Iterator[Issue]:
        """By the profiles that a resource claims."""
        for meta in children(self._shapes, item, "meta"):
            for index, claim in enumerate(children(self._shapes, meta, "profile")):
                if index >= MAX_PROFILES:
                    session.note(
                        f"A resource is held against {MAX_PROFILES} profiles that it claims; this is one more.",
                        claim.place,
                    )
                elif isinstance(claim.value, str):
                    yield from _claim(item, claim, session, check)


def _asked(item: Item, canonical: str, session: Session, check: Check) -> Iterator[Issue]:
    """By a profile that was asked for; the definition of a type is one too."""
    type = session.type_of(canonical)
    if type is not None:
        if not session.is_a(item.type, type):
            sentence = f"The resource is of the type {item.type}; the profile {canonical} is on {type}."
            yield Issue("error", "value", sentence, item.place)
        return
    profile = session.profile(canonical)
    if profile is None:
        yield Issue("error", "not-supported", f"The profile {canonical[:300]} {_UNKNOWN}", None)
    elif profile.base is not None:
        yield Issue(
            "error",
            "not-supported",
            f"The profile {canonical[:300]} builds on {profile.base[:300]}, which {_UNKNOWN}",
            None,
        )
    else:
        yield from check.issues(item, profile)


def _claim(item: Item, claim: Item, session: Session, check: Check) -> Iterator[Issue]:
    type = session.type_of(claim.value)
    if type is not None:
        if not session.is_a(item.type, type):
            yield Issue(
                "error", "value", f"The resource claims the profile {claim.value}, which is on {type}.", claim.place
            )
        return
    profile = session.profile(claim.value)
    if profile is None:
        yield Issue("warning", "not-supported", f"The claimed profile {claim.value[:300]} {_UNKNOWN}", claim.place)
    elif profile.base is not None:
        sentence = f"The claimed profile {claim.value[:300]} builds on {profile.base[:300]}, which {_UNKNOWN}"
        yield Issue("warning", "not-supported", sentence, claim.place)
    else:
        yield from check.issues(item, profile)


_UNKNOWN: Final = (
    "is not known here: the resource was not held against it. Give its StructureDefinition: store it on the server, or name "
    "its file with --known at the command line."
)
