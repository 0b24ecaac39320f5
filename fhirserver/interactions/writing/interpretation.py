"""The interpretation that a laboratory left out: high, low or normal, by the reference range that it sent.

Only for clients that are registered for it, and only where there is nothing to weigh: one plain number, one range in the same unit.
A tag says that the server derived it; what bears the tag is derived anew with every version.

https://hl7.org/fhir/R4/observation.html#interpretation and
https://hl7.org/fhir/R4/observation-definitions.html#Observation.referenceRange
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from fhirserver.model.resource import Resource

TAG: Final = {
    "system": "https://fhirserver.example/CodeSystem/derived",
    "code": "interpretation",
    "display": "Interpretation derived by the server from the reference range",
}
"""The tag of a resource whose interpretation the server derived."""

_SYSTEM: Final = "http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation"
_DISPLAYS: Final = {"H": "High", "L": "Low", "N": "Normal"}
_MEANINGS: Final = "http://terminology.hl7.org/CodeSystem/referencerange-meaning"
_WITHOUT_RESULT: Final = frozenset(("registered", "cancelled", "entered-in-error"))


@dataclass(frozen=True, slots=True)
class _Plain:
    number: int | Decimal
    unit: tuple[Any, ...]


def interpreted(observation: Resource) -> Resource:
    """The valid Observation with its interpretation, where it has none of the laboratory's and one can be derived."""
    meta = observation.get("meta", {})
    tags = meta.get("tag", [])
    others = [tag for tag in tags if not _is_ours(tag)]
    if len(others) < len(tags):
        observation = {name: value for name, value in observation.items() if name not in ("interpretation", "meta")}
        meta = {name: value for name, value in meta.items() if name != "tag"} | ({"tag": others} if others else {})
        if meta:
            observation["meta"] = meta
    if "interpretation" in observation or "_interpretation" in observation:
        return observation
    code = _code(observation)
    if code is None:
        return observation
    coding = {"system": _SYSTEM, "code": code, "display": _DISPLAYS[code]}
    return observation | {"interpretation": [{"coding": [coding]}], "meta": meta | {"tag": [*others, TAG]}}


def _code(observation: Resource) -> str | None:
    normal = [each for each in observation.get("referenceRange", []) if _is_normal(each)]
    value = _plain(observation.get("valueQuantity"))
    if value is None or len(normal) != 1 or observation["status"] in _WITHOUT_RESULT:
        return None
    sent = [normal[0].get("low"), normal[0].get("high")]
    low, high = map(_plain, sent)
    for quantity, bound in zip(sent, (low, high), strict=True):
        if quantity is not None and (bound is None or bound.unit != value.unit):
            return None
    if (low is None and high is None) or (low is not None and high is not None and low.number > high.number):
        return None
    if low is not None and value.number < low.number:
        return "L"
    return "H" if high is not None and value.number > high.number else "N"


def _is_ours(tag: dict[str, Any]) -> bool:
    return tag.get("system") == TAG["system"] and tag.get("code") == TAG["code"]


def _is_normal(reference_range: dict[str, Any]) -> bool:
    """Whether a range says what is normal: the meaning of a range that states no type."""
    if "modifierExtension" in reference_range:
        return False
    codings = reference_range.get("type", {}).get("coding")
    if codings is None:
        return "type" not in reference_range
    return any(each.get("system") == _MEANINGS and each.get("code") == "normal" for each in codings)


def _plain(quantity: Any) -> _Plain | None:
    """The quantity, if it is a number and just that number. What it counts is its coded unit, else the unit as it is written."""
    if not isinstance(quantity, dict) or "comparator" in quantity or "_comparator" in quantity:
        return None
    number = quantity.get("value")
    if type(number) is not int and not isinstance(number, Decimal):
        return None
    coded = (quantity.get("system"), quantity["code"]) if "code" in quantity else (quantity.get("unit"),)
    return _Plain(number, coded)
