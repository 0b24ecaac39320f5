"""The current lists of R4, `_list=$current-...`: what is on them is decided from the records themselves.

What is not known to be over, refuted or entered in error is on its list, so that nothing is missed because a field is empty.

https://hl7.org/fhir/R4/lifecycle.html#current
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

_CODES: Final = "http://terminology.hl7.org/CodeSystem"
_PROBLEM: Final = f"{_CODES}/condition-clinical"
_DOUBT: Final = f"{_CODES}/condition-ver-status"
_ALLERGY: Final = f"{_CODES}/allergyintolerance-clinical"
_REACTION: Final = f"{_CODES}/allergyintolerance-verification"

_ALLERGIES: Final = (
    f"(clinical-status eq {_ALLERGY}|active or clinical-status pr false) "
    f"and not (verification-status eq {_REACTION}|refuted or verification-status eq {_REACTION}|entered-in-error)"
)

CURRENT: Final[Mapping[str, Mapping[str, str]]] = {
    "$current-problems": {
        "Condition": (
            f"(clinical-status eq {_PROBLEM}|active or clinical-status eq {_PROBLEM}|recurrence "
            f"or clinical-status eq {_PROBLEM}|relapse or (clinical-status pr false and abatement-date pr false "
            f"and abatement-age pr false and abatement-string pr false)) "
            f"and not (verification-status eq {_DOUBT}|refuted or verification-status eq {_DOUBT}|entered-in-error)"
        )
    },
    "$current-medications": {
        "MedicationRequest": "status eq active and not (intent eq proposal or intent eq option)",
        "MedicationStatement": "status eq active",
    },
    "$current-allergies": {"AllergyIntolerance": _ALLERGIES},
    "$current-drug-allergies": {
        "AllergyIntolerance": (
            f"(category eq medication or category eq biologic or category pr false) and ({_ALLERGIES})"
        )
    },
}
"""The lists, and for each type that is on one the filter that says what of it is."""
