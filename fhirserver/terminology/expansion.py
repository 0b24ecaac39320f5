"""The expansion of a value set: its codes as a client chooses among them, with displays, filtered and in pages.

https://hl7.org/fhir/R4/valueset.html#expansion and https://hl7.org/fhir/R4/valueset-operation-expand.html
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from fhirserver.model.dates import instant
from fhirserver.model.outcome import TooCostly
from fhirserver.terminology.code_system import designated
from fhirserver.terminology.value_set import Member, ValueSet

MAX_CODES: Final = 10_000
"""Codes of one answer."""
MAX_FILTER: Final = 200
"""Characters of a filter."""
_HEAD: Final = (
    "url",
    "identifier",
    "version",
    "name",
    "title",
    "status",
    "experimental",
    "date",
    "publisher",
    "immutable",
)
_LANGUAGES: Final = "urn:ietf:bcp:47"


@dataclass(frozen=True, slots=True)
class Choice:
    """Which codes of the value set are sent, and what of each."""

    filter: str = ""
    offset: int = 0
    count: int | None = None
    designations: bool = False
    designation: tuple[str, ...] = ()
    """Languages and uses (`system|code`) of the designations that are sent; all, if none are named."""
    definition: bool = False
    active_only: bool = False
    selectable_only: bool = False
    language: str | None = None
    without_systems: frozenset[str] = frozenset()
    """Code systems that are left out, of every version or (`system|version`) of one."""
    nested: bool = False
    """Whether codes stand below those that they are a kind of; pages are flat."""


def expanded(
    value_set: ValueSet, choice: Choice, *, identifier: str, now: datetime, asked: list[dict[str, Any]]
) -> dict[str, Any]:
    """The value set with its expansion; `asked` are the parameters that shaped it. Raises TooCostly past `MAX_CODES`."""
    if len(choice.filter) > MAX_FILTER:
        raise TooCostly(f"A filter has at most {MAX_FILTER} characters.")
    found = [each for each in value_set.members() if _is_chosen(each, choice)]
    end = len(found) if choice.count is None else choice.offset + choice.count
    sent = found[choice.offset : end]
    if len(sent) > MAX_CODES:
        raise TooCostly(
            f"The value set has {len(found)} codes, more than the {MAX_CODES} of one answer: add a filter, or offset and count."
        )
    expansion: dict[str, Any] = {"identifier": identifier, "timestamp": instant(now), "total": len(found)}
    if choice.count is not None or choice.offset:
        expansion["offset"] = choice.offset
    expansion["parameter"] = [*asked, *_versions(value_set)]
    if sent:
        is_flat = not choice.nested or choice.count is not None or choice.offset
        expansion["contains"] = (
            [_contains(each, choice) for each in sent] if is_flat else _nested(value_set, sent, choice)
        )
    if not expansion["parameter"]:
        del expansion["parameter"]
    return {"resourceType": "ValueSet", **_said(value_set.resource, choice.definition), "expansion": expansion}


def display_of(member: Member, language: str | None = None) -> str | None:
    """How the value set shows the code; else how its code system does."""
    spoken = designated(member.listed.get("designation", ()), language)
    if spoken is None and member.concept is not None:
        spoken = designated(member.concept.designations, language)
    if spoken is not None:
        return spoken
    stated = member.listed.get("display")
    return stated if stated is not None or member.concept is None else member.concept.display


def _is_chosen(member: Member, choice: Choice) -> bool:
    if not choice.without_systems.isdisjoint((member.system, f"{member.system}|{member.version}")):
        return False
    if (choice.active_only and member.is_inactive) or (choice.selectable_only and member.is_abstract):
        return False
    return not choice.filter or _has_words(member, choice)


def _has_words(member: Member, choice: Choice) -> bool:
    """Whether each word of the filter begins a word of the display or of the code, case apart."""
    display = display_of(member, choice.language) or ""
    words = f"{display} {member.code}".casefold().replace("-", " ").split()
    words += (member.code.casefold(), *(word.strip("()[]\"'") for word in words))
    return all(any(word.startswith(wanted) for word in words) for wanted in choice.filter.casefold().split())


def _contains(member: Member, choice: Choice) -> dict[str, Any]:
    entry: dict[str, Any] = {"system": member.system}
    if member.is_abstract:
        entry["abstract"] = True
    if member.is_inactive:
        entry["inactive"] = True
    entry["code"] = member.code
    display = display_of(member, choice.language)
    if display is not None:
        entry["display"] = display
    if choice.designations and (found := _designations(member, choice.designation)):
        entry["designation"] = found
    return entry


def _nested(value_set: ValueSet, members: Sequence[Member], choice: Choice) -> list[dict[str, Any]]:
    """The codes, each below the first that it is a kind of and that is sent too; those of a circle stand at the top."""
    entries = {(each.system, each.code): _contains(each, choice) for each in members}
    above = {key: parent for key in entries if (parent := value_set.parent(*key, entries.keys())) is not None}
    tops = []
    for key, entry in entries.items():
        if key not in above or _is_circle(key, above):
            tops.append(entry)
        else:
            entries[above[key]].setdefault("contains", []).append(entry)
    return tops


def _is_circle(key: tuple[str, str], above: Mapping[tuple[str, str], tuple[str, str]]) -> bool:
    seen, at = {key}, above.get(key)
    while at is not None and at not in seen:
        seen.add(at)
        at = above.get(at)
    return at == key


def _designations(member: Member, wanted: tuple[str, ...]) -> list[Mapping[str, Any]]:
    stated = [*member.listed.get("designation", ()), *(member.concept.designations if member.concept else ())]
    return [each for each in stated if not wanted or _tokens(each) & set(wanted)]


def _tokens(designation: Mapping[str, Any]) -> set[str]:
    use, language = designation.get("use", {}), designation.get("language")
    found = {f"{use.get('system', '')}|{use['code']}"} if "code" in use else set()
    return found | {f"{_LANGUAGES}|{language}"} if language else found


def _versions(value_set: ValueSet) -> list[dict[str, Any]]:
    """The versions of the code systems that were used."""
    used = sorted({f"{each.system}|{each.version}" for each in value_set.members() if each.version})
    return [{"name": "version", "valueUri": each} for each in used]


def _said(resource: Mapping[str, Any], definition: bool) -> dict[str, Any]:
    """What the answer keeps of the value set itself: its head, or all of it but the narrative."""
    if definition:
        left = ("resourceType", "id", "meta", "text", "expansion", "contained")
        return {name: value for name, value in resource.items() if name not in left}
    said = {name: resource[name] for name in _HEAD if name in resource}
    return said | {"status": resource.get("status", "active")}
