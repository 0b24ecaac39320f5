"""Bindings: whether a code, or one of a concept's codings, is in the value set that it must be from.

https://hl7.org/fhir/R4/terminologies.html#strength
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fhirserver.definitions import ValueSet
from fhirserver.validation.datatypes import Fault
from fhirserver.validation.shapes import Bound

_SHOWN = 20


def code_fault(code: str, bound: Bound) -> Fault | None:
    """What is wrong with a `code`."""
    if bound.value_set.contains(code):
        return None
    return "code-invalid", f'has the code "{code[:64]}", which is not {_described(bound.value_set)}.'


def concept_fault(concept: Mapping[str, Any], bound: Bound) -> Fault | None:
    """What is wrong with a CodeableConcept: one of its codings must be in the value set, and text alone is no code.

    A concept that has only extensions says why it has no value.
    """
    codings = concept.get("coding")
    if not isinstance(codings, list) or not codings:
        if not bound.required or not ("text" in concept or "_text" in concept):
            return None
        return "code-invalid", f"has text but no coding; one must be {_described(bound.value_set)}."
    for coding in codings:
        if not isinstance(coding, dict):
            return None  # reported as what it is
        code, system = coding.get("code"), coding.get("system")
        # Without its system a code has no meaning.
        if isinstance(code, str) and isinstance(system, str) and bound.value_set.contains(code, system):
            return None
    return "code-invalid", f"has no coding that is {_described(bound.value_set)}, with its system."


def _described(value_set: ValueSet) -> str:
    codes = "" if value_set.grammars or len(value_set.codes) > _SHOWN else ": " + ", ".join(sorted(value_set.codes))
    return f"in the value set {value_set.url}{codes}"
