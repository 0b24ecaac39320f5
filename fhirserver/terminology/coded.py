"""Coded values: whether codes, Codings and CodeableConcepts are what a value set or a code system holds.

https://hl7.org/fhir/R4/valueset-operation-validate-code.html and https://hl7.org/fhir/R4/codesystem-operation-validate-code.html
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from fhirserver.definitions.codes.grammars import GRAMMARS
from fhirserver.model.outcome import FhirError
from fhirserver.terminology.catalogue import Catalogue, needed, whole
from fhirserver.terminology.code_system import CodeSystem
from fhirserver.terminology.expansion import display_of
from fhirserver.terminology.value_set import Member, ValueSet


@dataclass(frozen=True, slots=True)
class Coded:
    """A code of a system, with the display that was sent with it."""

    system: str | None
    code: str
    display: str | None = None
    version: str | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether it is right; why not, or what else is to be said; and how the code is shown."""

    result: bool
    message: str | None = None
    display: str | None = None


Ask = Callable[[Coded], Verdict]


@dataclass(frozen=True, slots=True)
class Rules:
    """What is asked besides: whether a code that only groups others will do, and in which language displays are."""

    abstract: bool = True
    language: str | None = None


def in_value_set(value_set: ValueSet, rules: Rules) -> Ask:
    """The question whether a coded value is in the value set."""
    url = value_set.resource.get("url", "of the request")

    def ask(coded: Coded) -> Verdict:
        if coded.system is None:
            return Verdict(False, f"The code '{coded.code[:100]}' has no system; without one it means nothing.")
        member = value_set.member(coded.system, coded.code)
        if member is None:
            return Verdict(False, f"The code '{_named(coded)}' is not in the value set '{url}'.")
        return _judged(member, coded, rules)

    return ask


def in_code_system(catalogue: Catalogue, url: str, version: str | None, rules: Rules) -> Ask:
    """The question whether a coded value is one of the code system."""

    def ask(coded: Coded) -> Verdict:
        if coded.system not in (None, url):
            return Verdict(False, f"The code '{_named(coded)}' is not of the code system '{url[:300]}'.")
        if url in GRAMMARS:
            is_one = GRAMMARS[url](coded.code)
            return Verdict(
                is_one, None if is_one else f"'{coded.code[:100]}' is no code of '{url}': it does not have its form."
            )
        system = needed(catalogue, url, version or coded.version)
        concept = system.find(coded.code)
        if concept is None:
            if not system.is_complete:
                whole(catalogue, url, version or coded.version)
            return Verdict(False, f"The code system '{url[:300]}' has no code '{coded.code[:100]}'.")
        return _judged(Member(url, concept.code, system.version, {}, concept), coded, rules)

    return ask


def some(codings: Iterable[Coded], ask: Ask) -> Verdict:
    """Whether one of the codings is right: then that of a CodeableConcept is. Raises what hinders an answer, if none is."""
    failure: FhirError | None = None
    refused: list[Verdict] = []
    for each in codings:
        try:
            verdict = ask(each)
        except FhirError as error:
            failure = failure or error
            continue
        if verdict.result:
            return verdict
        refused.append(verdict)
    if failure is not None:
        raise failure
    return _together(refused)


def _together(refused: Sequence[Verdict]) -> Verdict:
    if not refused:
        return Verdict(False, "There is no coding to validate.")
    return replace(refused[0], message=" ".join(each.message or "" for each in refused))


def _judged(member: Member, coded: Coded, rules: Rules) -> Verdict:
    """What is to be said of a code that is there."""
    display = display_of(member, rules.language)
    if not rules.abstract and member.is_abstract:
        return Verdict(False, f"The code '{member.code}' only groups others.", display)
    if coded.display is not None and display is not None and not is_shown(coded.display, member, display):
        return Verdict(False, f"The display '{coded.display[:200]}' is not that of the code '{member.code}'.", display)
    warning = f"The code '{member.code}' is no longer in use." if member.is_inactive else None
    return Verdict(True, warning, display)


def is_shown(text: str, member: Member, display: str) -> bool:
    """Whether a display is one that the code has, in any language; case and white space apart."""
    designations: list[Any] = [*member.listed.get("designation", ())]
    shown = {display}
    if member.concept is not None:
        designations += member.concept.designations
        shown |= {member.concept.display or display}
    shown |= {each["value"] for each in designations if "value" in each}
    return _plain(text) in {_plain(each) for each in shown}


def _plain(text: str) -> str:
    return " ".join(text.casefold().split())


def _named(coded: Coded) -> str:
    return f"{coded.system}|{coded.code}"[:300]


def relation(system: CodeSystem, one: str, other: str) -> str | None:
    """How one code stands to another, in the words of `$subsumes`; None where the code system lacks one of them."""
    first, second = system.find(one), system.find(other)
    if first is None or second is None:
        return None
    is_below, is_above = (
        system.hierarchy.is_a(first.code, second.code),
        system.hierarchy.is_a(second.code, first.code),
    )
    if is_below and is_above:
        return "equivalent"
    if is_above:
        return "subsumes"
    return "subsumed-by" if is_below else "not-subsumed"
