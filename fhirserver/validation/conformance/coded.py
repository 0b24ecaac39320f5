"""Coded values beyond what binds writes: extensible and preferred bindings, codes that their code system lacks, wrong displays.

https://hl7.org/fhir/R4/terminologies.html#strength
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from fhirserver.definitions import Binding
from fhirserver.model.outcome import Issue
from fhirserver.validation.conformance.elements import Item
from fhirserver.validation.conformance.knowledge import Code, Knowledge

_STRENGTHS: Final = ("extensible", "preferred")
_CODED: Final = frozenset(("code", "uri", "string", "Coding", "CodeableConcept", "Quantity"))


def codes_of(item: Item) -> list[Code] | None:
    """The codes that an item has; None if its type has none."""
    return codes(item.type, item.value)


def codes(type: str, value: Any) -> list[Code] | None:
    """The codes of a value of that type; None if it has none."""
    if type not in _CODED:
        return None
    if not isinstance(value, dict):
        return [Code(None, value)] if isinstance(value, str) else None
    codings = value.get("coding", ()) if type == "CodeableConcept" else (value,)
    made = (_code(each, type == "Quantity") for each in (codings if isinstance(codings, list | tuple) else ()))
    return [each for each in made if each is not None]


def _code(coding: Any, is_unit: bool) -> Code | None:
    stated = coding if isinstance(coding, dict) else {}
    system, code, display, version = (stated.get(each) for each in ("system", "code", "display", "version"))
    if not isinstance(code, str) or not isinstance(system, str):
        return None  # without its system a code has no meaning
    return Code(
        system,
        code,
        display if isinstance(display, str) else None,
        version if isinstance(version, str) else None,
        is_unit,
    )


def coded_issues(item: Item, knowledge: Knowledge) -> Iterator[Issue]:
    """What is to be said of one item: of its binding, and of a Coding or Quantity itself."""
    if item.type in ("Coding", "Quantity"):
        for code in codes_of(item) or ():
            for is_error, sentence in knowledge.faults(code):
                yield Issue("error" if is_error else "warning", "code-invalid", sentence, item.place)
    binding = None if item.definition is None else item.definition.element.binding
    if binding is not None and binding.strength in _STRENGTHS and binding.value_set is not None:
        yield from _binding_issues(item, binding, binding.value_set, knowledge)


def _binding_issues(item: Item, binding: Binding, value_set: str, knowledge: Knowledge) -> Iterator[Issue]:
    codes = codes_of(item)
    if codes is None:
        return
    is_extensible = binding.strength == "extensible"
    if not codes:
        # An element that holds extensions alone says by them why there is no code.
        if (
            is_extensible
            and isinstance(item.value, dict)
            and not item.value.keys().isdisjoint(("text", "coding", "code"))
        ):
            yield _issue(item, "has no code with its system", value_set, is_extensible=True)
    elif knowledge.contains(value_set, codes) is False:
        found = ", ".join(f"{each.system}|{each.code}" if each.system else each.code for each in codes)[:300]
        yield _issue(item, f'has the code "{found}"', value_set, is_extensible=is_extensible)


def _issue(item: Item, found: str, value_set: str, *, is_extensible: bool) -> Issue:
    name = "" if item.definition is None else item.definition.name
    if is_extensible:
        asked = f"it must be in the value set {value_set} if one of that set's codes fits (extensible binding)"
        return Issue("warning", "code-invalid", f'"{name}" {found}; {asked}.', item.place)
    asked = f"a code of the value set {value_set} is recommended (preferred binding)"
    return Issue("information", "code-invalid", f'"{name}" {found}; {asked}.', item.place)
