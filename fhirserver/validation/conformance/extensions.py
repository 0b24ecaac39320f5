"""Extensions: what their definitions say of their content and of where they may stand, where those are known.

https://hl7.org/fhir/R4/defining-extensions.html
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from fhirserver.fhirpath import FhirPathError
from fhirserver.model.outcome import Issue
from fhirserver.validation.conformance.check import Check
from fhirserver.validation.conformance.elements import Item
from fhirserver.validation.conformance.profile import Profile
from fhirserver.validation.conformance.session import Session


def extension_issues(item: Item, parents: Sequence[Item], session: Session, check: Check) -> Iterator[Issue]:
    """What is wrong with one extension; `parents` are the elements that it is in, the outermost first."""
    url = item.value.get("url")
    if not isinstance(url, str) or ":" not in url:
        return  # a part of an extension: its definition is that of the whole
    profile = session.profile(url)
    if profile is None or profile.type != "Extension":
        if _is_modifier(item):
            sentence = f"The modifier extension {url[:300]} is not known here; what it changes could not be looked at."
            yield Issue("warning", "not-supported", sentence, item.place)
        return
    yield from check.issues(item, profile)
    yield from _as_modifier(item, url, profile)
    yield from _placed(item, url, profile, parents, session)


def _as_modifier(item: Item, url: str, profile: Profile) -> Iterator[Issue]:
    """Only what is defined to change the meaning of its element is a modifier extension, and it is nothing else."""
    if profile.root.is_modifier == _is_modifier(item):
        return
    wanted, found = (
        ("modifierExtension", "extension") if profile.root.is_modifier else ("extension", "modifierExtension")
    )
    yield Issue(
        "error",
        "extension",
        f'{url[:300]} stands in "{found}"; by its definition it belongs in "{wanted}".',
        item.place,
    )


def _placed(item: Item, url: str, profile: Profile, parents: Sequence[Item], session: Session) -> Iterator[Issue]:
    """Where it stands, and what must hold there. HL7's own resources break their contexts by the thousand: warnings."""
    if profile.contexts and not any(_is_context(each, parents, session) for each in profile.contexts):
        allowed = ", ".join(expression for _, expression in profile.contexts)[:500]
        place = parents[-1].path if parents else ""
        sentence = f"The extension {url[:300]} must not stand on {place}; its definition allows {allowed}."
        yield Issue("warning", "extension", sentence, item.place)
    for expression in profile.context_invariants if parents else ():
        try:
            holds = session.holds("", expression, parents[-1], {"extension": [("Extension", item.value)]})
        except FhirPathError as error:
            sentence = f"What must hold where {url[:300]} stands could not be evaluated: {error.message}"
            session.note(sentence, item.place)
            continue
        if holds is False:
            sentence = f"Where the extension {url[:300]} stands, this must hold: {expression[:500]} ."
            yield Issue("warning", "extension", sentence, item.place)


def _is_modifier(item: Item) -> bool:
    return item.definition is not None and item.definition.name == "modifierExtension"


def _is_context(context: tuple[str, str], parents: Sequence[Item], session: Session) -> bool:
    type, expression = context
    if type == "extension":
        return bool(parents) and parents[-1].type == "Extension" and parents[-1].holder.get("url") == expression
    if type == "fhirpath" and parents:
        try:
            return session.is_selected(expression, parents[-1])
        except FhirPathError as error:
            session.note(f"The context {expression[:500]} could not be evaluated: {error.message}", parents[-1].place)
            return True
    if type != "element" or not parents:
        return True
    holder, name = parents[-1], expression.removesuffix("[x]").replace("[x].", ".")
    paths = [holder.path.removesuffix("[x]")]
    if holder.definition is not None and holder.definition.element.content_reference is not None:
        paths.append(holder.definition.element.content_reference)
    if session.is_a(holder.type, name) or name in ("Element", "Resource", *paths):
        return True
    return "." in name and _ends(parents, name.split("."))


def _ends(parents: Sequence[Item], names: Sequence[str]) -> bool:
    """Whether the elements end with those of a path such as `HumanName.family`, whose first is a type or resource."""
    if len(parents) < len(names):
        return False
    inner = parents[len(parents) - len(names) :]
    stems = [each.definition.stem if each.definition is not None else each.type for each in inner[1:]]
    return inner[0].type == names[0] and stems == list(names[1:])
