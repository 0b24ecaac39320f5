"""What a write of a SearchParameter passes through: it is judged, and the catalog hears of it in the same transaction.

https://hl7.org/fhir/R4/searchparameter.html
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from fhirserver.interactions.parameters.catalog import MOST
from fhirserver.interactions.parameters.keeper import CHANGES, SEARCH_PARAMETER, Keeper
from fhirserver.model.outcome import Unprocessable
from fhirserver.model.resource import Resource
from fhirserver.search.custom import Custom, custom
from fhirserver.store import Member, Seal
from fhirserver.store.commit import Companion
from fhirserver.store.layout.further import MOST as MOST_INDEXES

_CLASHES: Final = "Another search parameter has that code on one of these types."
_FULL: Final = f"This server uses at most {MOST} search parameters beside R4's: retire one, or store this as a draft."
_CROWDED: Final = f"One resource type has at most {MOST_INDEXES} search parameters beside R4's."
_UNREADABLE: Final = "This server cannot read resources by that expression."


async def judge(keeper: Keeper | None, resource: Resource) -> None:
    """Raise Unprocessable where a SearchParameter is to be used and cannot be. Other resources pass."""
    if keeper is None or resource["resourceType"] != SEARCH_PARAMETER:
        return
    # Reading expressions takes its time: others go on meanwhile.
    found = await asyncio.to_thread(custom, keeper.core, resource)
    if found is None:
        return
    catalog = keeper.catalog
    if catalog.clashes(found):
        raise Unprocessable(_CLASHES, code="duplicate", expression="SearchParameter.code")
    if not catalog.takes(found):
        raise Unprocessable(_FULL, code="too-costly", expression="SearchParameter.status")
    others = [each for each in catalog.entries if each.id != found.id]
    if any(sum(base in each.bases for each in others) >= MOST_INDEXES for base in found.bases):
        raise Unprocessable(_CROWDED, code="too-costly", expression="SearchParameter.base")
    await asyncio.to_thread(_try, keeper, found)


def _try(keeper: Keeper, found: Custom) -> None:
    """Make ready to read resources by it: what the catalog holds has to work on every server."""
    definitions = keeper.core.extended({base: {found.code: each} for base, each in found.parameters.items()})
    try:
        keeper.derivation.prepared(definitions, found.bases)
    except Exception as error:
        raise Unprocessable(_UNREADABLE, expression="SearchParameter.expression") from error


def noting(seal: Seal, heard: Callable[[], None]) -> Seal:
    """What is written with every group of writes: with those of SearchParameters goes a row that tells the catalog of each."""

    def sealed(members: Sequence[Member]) -> Iterable[Companion]:
        yield from seal(members)
        for member in members:
            if member.write.resource_type == SEARCH_PARAMETER:
                heard()
                yield CHANGES, {"_id": f"{member.write.id}.{member.version.version}", "id": member.write.id}

    return sealed
