"""Weighing owners: whose resources can be decided upon in one request, and what their Consents say.

What is too much to be weighed is hidden, each resource by how many owners it has and each owner by how many Consents she gave:
never by what else is there, which may be hidden, and must then change nothing.

https://hl7.org/fhir/R4/consent.html
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Final

from fhirserver.access.gate.effect import effective
from fhirserver.access.gate.facts import DECIDING, Facts, OwnedFacts, owners_of
from fhirserver.access.reasons import TOO_MANY_OWNERS
from fhirserver.model.dates import BEGINNING, END
from fhirserver.model.outcome import TooCostly
from fhirserver.search.expression import Expression, In, all_of

MOST: Final = 100_000
"""Owners that one request weighs."""
MAX_RULES: Final = 50_000
"""Active Consents that are read at once."""
RULES_OF_ONE: Final = 5_000
"""Active Consents of one patient; with more, what is hers is hidden from all who need one."""
_AT_ONCE: Final = 5_000
"""Owners whose Consents are asked for at once."""
_ROWS: Final = 1_000
"""Resources that are read for their owners; of more than that MongoDB gathers them."""

Rules = dict[str, list[Mapping[str, Any]]]
"""The rules of each patient asked for."""

_ACTIVE: Final = In("security.rule.status", frozenset(("active",)))
_DENIES_ALL: Final[Mapping[str, Any]] = {
    "deny": [{"actors": [], "everybody": True, "low": BEGINNING, "high": END}],
    "permit": None,
}


def weighable(resources: Iterable[Collection[str]], most_of_one: int) -> tuple[frozenset[str], bool]:
    """The owners of these resources, as far as they can be weighed together, and whether all can.

    Those with the fewest owners come first, so that what has many never stands in their way.
    """
    found: set[str] = set()
    for owners in sorted(resources, key=len):
        if len(owners) > most_of_one or len(found) + len(owners) > MOST:
            return frozenset(found), False
        found.update(owners)
    return frozenset(found), True


async def owners_where(facts: OwnedFacts, resource_type: str, which: Expression) -> frozenset[str]:
    """The owners of all resources of which this is true, hidden ones too. Raises TooCostly only for more than people share."""
    rows = await facts.facts(resource_type, which, DECIDING, limit=_ROWS + 1)
    if len(rows) <= _ROWS:
        return owners_of(rows)
    owners = await facts.owners(resource_type, which, DECIDING, limit=MOST + 1)
    if len(owners) > MOST:
        raise TooCostly(TOO_MANY_OWNERS)
    return owners


async def rules_of(facts: Facts, owners: Collection[str]) -> Rules:
    """What the active Consents of these patients say; each patient has an entry."""
    ordered, rules = sorted(owners), Rules()
    for start in range(0, len(ordered), _AT_ONCE):
        rules |= await _rules(facts, ordered[start : start + _AT_ONCE])
    return rules


async def _rules(facts: Facts, owners: Sequence[str]) -> Rules:
    active = all_of(In("security.owners", frozenset(owners)), _ACTIVE)
    rows = await facts.facts("Consent", active, DECIDING, limit=MAX_RULES + 1)
    rules: Rules = {owner: [] for owner in owners}
    for rule in map(effective, rows):
        if (patient := rule.get("patient")) in rules:
            rules[patient].append(rule)
    are_all = len(rows) <= MAX_RULES
    too_many: Rules = {owner: [_DENIES_ALL] for owner, its in rules.items() if len(its) > RULES_OF_ONE}
    if are_all:
        return rules | too_many
    if len(owners) == 1:
        return {owners[0]: [_DENIES_ALL]}
    left = [owner for owner in owners if owner not in too_many]
    # What is known to be too many is set aside; else half of them may be few enough.
    parts = [left] if too_many else [left[: len(left) // 2], left[len(left) // 2 :]]
    for part in parts:
        too_many |= await _rules(facts, part) if part else {}
    return too_many
