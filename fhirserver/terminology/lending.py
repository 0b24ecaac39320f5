"""What terminology lends to FHIRPath: `memberOf`, `subsumes` and `subsumedBy`, by R4's own code systems and value sets.

No store is asked, so that it can be used where nothing may wait; what is not R4's own is not decided.

https://hl7.org/fhir/R4/fhirpath.html#functions
"""

from __future__ import annotations

from fhirserver.definitions import load_terminology
from fhirserver.definitions.codes.grammars import GRAMMARS
from fhirserver.fhirpath import Host, Node
from fhirserver.fhirpath.values.nodes import plain
from fhirserver.model.outcome import FhirError
from fhirserver.terminology.catalogue import Catalogue, Parsed
from fhirserver.terminology.coded import relation
from fhirserver.terminology.value_set import ValueSet, value_set

_PARSED = Parsed()


def host() -> Host:
    """The functions, for an engine."""
    return Host(member_of=member_of, subsumes=subsumes)


def member_of(node: Node, url: str) -> bool | None:
    """Whether a code, Coding or CodeableConcept is in the value set; None where that is not known here."""
    try:
        asked = value_set(Catalogue(load_terminology(), _PARSED, alone=True), url)
        if isinstance(code := plain(node[1]), str):
            return _has_code(asked, code)
        return any(asked.member(system, code) is not None for system, code in _codings(node))
    except FhirError:
        return None


def subsumes(one: Node, other: Node) -> bool | None:
    """Whether some code of the one is, or is above, some code of the other; None where that is not known here."""
    catalogue = Catalogue(load_terminology(), _PARSED, alone=True)
    outcomes = []
    for system, code in _codings(one):
        described = catalogue.code_system(system)
        if described is None or not described.is_complete:
            continue
        outcomes += [
            relation(described, code, below) for other_system, below in _codings(other) if other_system == system
        ]
    if any(each in ("equivalent", "subsumes") for each in outcomes):
        return True
    return False if outcomes and None not in outcomes else None


def _has_code(asked: ValueSet, code: str) -> bool:
    """A bare code has the system of the value set, whichever it is."""
    grammars, listed = asked.listed()
    return any(GRAMMARS[each](code) for each in grammars) or any(each.code == code for each in listed)


def _codings(node: Node) -> list[tuple[str, str]]:
    type, value = node
    if not isinstance(value, dict):
        return []
    codings = value.get("coding", ()) if type == "CodeableConcept" else (value,)
    # A Coding without a system has no meaning.
    return [(each["system"], each["code"]) for each in codings if "code" in each and "system" in each]
