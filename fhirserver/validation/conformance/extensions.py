"""Extensions: what their definitions say of their content and of where they may stand, where those are known.

https://hl7.org/fhir/R4/defining-extensions.html
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from fhirserver.model.outcome import Issue
from fhirserver.validation.conformance.check import Check
from fhirserver.validation.conformance.elements import Item
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
    if profile.contexts and not any(_is_context(each, parents, session) for each in profile.contexts):
        allowed = ", ".join(expression for _, expression in profile.contexts)[:500]
        place = parents[-1].path if parents else ""
        sentence = f"The extension {url[:300]} must not stand on {place}; its definition allows {allowed}."
        # HL7's own resources break their contexts by the thousand.
        yield Issue("warning", "extension", sentence, item.place)


def _is_modifier(item: Item) -> bool:
    return item.definition is not None and item.definition.name == "modifierExtension"


def _is_context(context: tuple[str, str], parents: Sequence[Item], session: Session) -> bool:
    type, expression = context
    if type == "extension":
        return bool(parents) and parents[-1].type == "Extension" and parents[-1].holder.get("url") == expression
    if type != "element" or not parents:
        return True  # FHIRPath says where: that is not looked at
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
