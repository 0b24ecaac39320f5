"""Uri parameters: equal byte for byte, nothing folded; a canonical also without its version.

https://hl7.org/fhir/R4/search.html#uri
"""

from __future__ import annotations

from fhirserver.search.expression import Expression, In
from fhirserver.search.parameters.reference import canonical
from fhirserver.search.parameters.term import Circumstances, Indexed, Node, Term

MODIFIERS = frozenset({"missing"})


def condition(term: Term) -> Expression:
    """What the query asks."""
    return In(term.path, frozenset(term.texts()))


def indexed(nodes: list[Node], _: Circumstances) -> Indexed | None:
    """What is stored for these values."""
    found: dict[str, None] = {}
    for kind, value in nodes:
        if isinstance(value, str) and value:
            found.update(dict.fromkeys(canonical(value) if kind == "canonical" else (value,)))
    if not found:
        return None
    return list(found), min(found), max(found)
