"""The special parameter `near`: places within a distance of a point on the earth.

Stored is the position as a GeoJSON point. A query is `latitude|longitude|distance|unit`; without a unit the distance is in
kilometres, without a distance it is 50 of them.

https://hl7.org/fhir/R4/location.html#positional
"""

from __future__ import annotations

from collections.abc import Mapping

from fhirserver.search.expression import Expression, Near, any_of
from fhirserver.search.parameters.number import decimal
from fhirserver.search.parameters.term import Circumstances, Indexed, Node, Term
from fhirserver.search.query.escaping import divide

MODIFIERS = frozenset({"missing"})

_DISTANCE = 50_000.0
_FARTHEST = 20_040_000.0
"""Half way around the earth, in metres."""

_UNITS: Mapping[str, float] = {
    "km": 1_000.0, "m": 1.0, "mi": 1_609.344, "[mi_i]": 1_609.344, "[mi_us]": 1_609.347_218_694, "[nmi_i]": 1_852.0,
    "[ft_i]": 0.304_8, "[yd_i]": 0.914_4,
}  # fmt: skip


def condition(term: Term) -> Expression:
    """What the query asks."""
    return any_of(*(_asked(term, text) for text in term.alternatives))


def _asked(term: Term, text: str) -> Expression:
    parts = divide(text, "|")
    if not 2 <= len(parts) <= 4:
        raise term.refuse("it is written latitude|longitude|distance|unit.")
    latitude, longitude, distance, unit = (*parts, *[""] * (4 - len(parts)))
    metres = _UNITS.get(unit or "km")
    if metres is None:
        raise term.refuse(f"the unit is one of {', '.join(_UNITS)}.")
    if not distance and unit:
        raise term.refuse("there is a unit and no distance.")
    radius = _number(term, distance, _FARTHEST) * metres if distance else _DISTANCE
    if radius < 0:
        raise term.refuse("the distance is zero or more.")
    return Near(term.path, _number(term, latitude, 90.0), _number(term, longitude, 180.0), min(radius, _FARTHEST))


def _number(term: Term, text: str, most: float) -> float:
    try:
        number = float(text) if text.isascii() and len(text) <= 40 else most + 1
    except ValueError:
        number = most + 1
    if not -most <= number <= most:
        raise term.refuse(f"'{text[:40]}' is not a number from {-most:.0f} to {most:.0f}.")
    return number


def indexed(nodes: list[Node], _: Circumstances) -> Indexed | None:
    """What is stored of the position, if it is one on the earth."""
    for _kind, value in nodes:
        latitude, longitude = decimal(value.get("latitude")), decimal(value.get("longitude"))
        if latitude is not None and longitude is not None and abs(latitude) <= 90 and abs(longitude) <= 180:
            return {"type": "Point", "coordinates": [float(longitude), float(latitude)]}, None, None
    return None
