"""Reading resources: search pages with their includes, and the derived facts that access decides from.

Public: `find`, `Page`, `Position`, `Facts`. Single versions are in `store.history.versions`.
"""

from fhirserver.store.resources.facts import FACTS_LIMIT, Facts
from fhirserver.store.resources.find import Page, find
from fhirserver.store.resources.paging import Position

__all__ = ["FACTS_LIMIT", "Facts", "Page", "Position", "find"]
