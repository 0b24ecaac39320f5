"""The compound indexes, each with the query that it serves.

About ten a collection: each one more costs every write. At most one array an index, because MongoDB refuses two (error 171)
and says so only at an insert. What no row serves is answered by `_id` order and a filter, within the time limit.

https://www.mongodb.com/docs/manual/core/indexes/index-types/index-compound/
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from fhirserver.search.expression import And, Expression, In, Or, Prefixed, Range, Some, Within
from fhirserver.search.index import contained
from fhirserver.store.layout import labels, quantities

Order = tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class Index:
    """One index: the path it leads with, the order it keeps behind that, and the query it is there for.

    `narrows` says that one value of the lead is few documents, so the index is right even where it cannot give the order.
    `is_partial` says that it has only those documents that have a value: the others cost nothing.
    """

    name: str
    lead: str | None
    order: Order
    serves: str
    narrows: bool = True
    is_partial: bool = False

    @property
    def keys(self) -> Order:
        """The keys as MongoDB takes them."""
        return ((self.lead, 1), *self.order) if self.lead is not None else self.order


BY_ID: Order = (("_id", 1),)


def _newest(code: str) -> Order:
    return ((f"sort.{code}.hi", -1), ("_id", -1))


UPDATED = Index(
    "updated", None, (("updated", 1), ("_id", 1)), "?_lastUpdated=ge..., ?_sort=_lastUpdated and -_lastUpdated"
)
OWNERS = Index("owners", "security.owners", BY_ID, "whatever a permit by owners reaches, in `_id` order")
# The sole owner stands behind the owners: what has other owners is found without a look at what has not.
SHARED = Index(
    "shared", "security.owners", (("security.owner", 1), *BY_ID), "what a patient shares with others, for the gate"
)
WRITER = Index("writer", "by.principal", BY_ID, "a permit's branch for what the caller wrote itself")
REFERENCES = Index(
    "references", "index._refs", BY_ID, "_revinclude, and a reference parameter without a row of its own"
)
QUANTITIES = Index(
    "quantities", quantities.PATH, BY_ID, "?value-quantity=gt5|system|code, and the composites with it", narrows=False
)
INSIDE = Index(
    "inside", contained.INSIDE, BY_ID, "?_contained=true, and chains into contained resources", is_partial=True
)
LABELLED = Index(
    "labels",
    labels.PATH,
    BY_ID,
    "?_tag=system|code, ?_security=..., ?_profile=..., ?_source=...",
    narrows=False,
    is_partial=True,
)
WORDS = tuple(
    Index(name, f"index.{code}.w", BY_ID, f"?{code}=word", narrows=False, is_partial=True)
    for name, code in (("narrative", "_text"), ("words", "_content"))
)
WRITTEN = frozenset(
    (
        *("AllergyIntolerance", "CarePlan", "ClinicalImpression", "Communication", "Composition", "Condition"),
        *("DiagnosticReport", "DocumentReference", "Procedure", "QuestionnaireResponse"),
    )
)
"""The types that people write. Of measurements the words would be a third more of all index keys, and hardly tell them apart."""
MENTIONS = Index(
    "mentions", "security.mentions", BY_ID, "what of others mentions a patient, for the gate", is_partial=True
)
IDENTIFIER = Index("identifier", "index.identifier", BY_ID, "?identifier=system|value")

EVERY_TYPE = (UPDATED, SHARED, OWNERS, WRITER, REFERENCES, INSIDE, LABELLED)
MENTIONING = frozenset({
    "AllergyIntolerance", "Basic", "CarePlan", "Communication", "CommunicationRequest", "Composition", "Condition",
    "DeviceRequest", "DocumentManifest", "DocumentReference", "Invoice", "List", "MedicationAdministration",
    "MedicationDispense", "Observation", "Procedure", "QuestionnaireResponse", "ServiceRequest",
})  # fmt: skip
"""The types that can be in a patient's compartment without being hers."""


def _dated(code: str) -> Index:
    return Index("date", None, _newest(code), f"?_sort=-{code}, and ?{code}=D without a patient")


def _clinical(date: str) -> tuple[Index, ...]:
    """What a type with a patient, a code and a date is asked for."""
    return (
        IDENTIFIER,
        Index("pair", "index._pair", _newest(date), f"?patient=P&code=C&_sort=-{date}"),
        Index("patient", "index.patient.r", _newest(date), f"?patient=P&_sort=-{date}"),
        Index("code", "index.code", _newest(date), f"?code=C&_sort=-{date}, and ?code=C&{date}=D", narrows=False),
        _dated(date),
    )


def _of_patient(order: Order, serves: str) -> tuple[Index, ...]:
    return (IDENTIFIER, Index("patient", "index.patient.r", order, serves))


def _reference(code: str, order: Order = BY_ID, serves: str | None = None) -> Index:
    return Index(code, f"index.{code}.r", order, serves or f"?{code}=Type/id")


ENDINGS = Index("endings", "index._endings", BY_ID, "?name:contains=part", narrows=False)


def _name(code: str) -> Index:
    # A prefix is a range, and behind a range no index keeps an order: these sort what they find.
    return Index(code, f"index.{code}.f", BY_ID, f"?{code}=beginning", narrows=False)


CANONICAL = Index("url", "index.url", BY_ID, "?url=canonical: what the canonicals of terminology mean")


def _uri(code: str) -> Index:
    return Index(code, f"index.{code}", BY_ID, f"?{code}=uri")


OF_TYPE: dict[str, tuple[Index, ...]] = {
    "Observation": (*_clinical("date"), QUANTITIES),
    "Condition": _clinical("recorded-date"),
    "Procedure": _clinical("date"),
    "DiagnosticReport": _clinical("date"),
    "ServiceRequest": _clinical("authored"),
    "MedicationRequest": _clinical("authoredon"),
    "AllergyIntolerance": _clinical("date"),
    "Immunization": _of_patient(_newest("date"), "?patient=P&_sort=-date"),
    "Encounter": (*_of_patient(_newest("date"), "?patient=P&_sort=-date"), _dated("date")),
    "DocumentReference": _of_patient(_newest("date"), "?patient=P&_sort=-date"),
    "Coverage": (*_of_patient(BY_ID, "?patient=P"), _reference("beneficiary")),
    "Consent": (
        *_of_patient(_newest("date"), "?patient=P&_sort=-date, and the rules of the owners of what is asked for"),
        _reference("actor"),
        Index(
            "permits", "security.rule.actors", BY_ID, "the Consents that permit an actor: whose records may she see?"
        ),
    ),
    "Appointment": (
        *_of_patient(_newest("date"), "?patient=P&_sort=-date"),
        _reference("actor", _newest("date"), "?actor=Practitioner/p&_sort=-date"),
        Index("participants", "security.actors", BY_ID, "the Appointments in which a caller takes part"),
        _dated("date"),
    ),
    "Schedule": (IDENTIFIER, _reference("actor")),
    "Slot": (
        _reference("schedule", (("sort.start.lo", 1), ("_id", 1)), "?schedule=Schedule/s&_sort=start"),
        Index("status", "index.status", (("sort.start.lo", 1), ("_id", 1)), "?status=free&_sort=start", narrows=False),
    ),
    "Patient": (
        IDENTIFIER,
        Index("telecom", "index.telecom", BY_ID, "?telecom=number, ?phone=number, ?email=address"),
        _name("name"),
        _name("family"),
        ENDINGS,
        # The high end stands last: what begins before the date asked and does not reach it is passed over in the index.
        Index(
            "birthdate",
            None,
            (("sort.birthdate.lo", 1), ("_id", 1), ("sort.birthdate.hi", 1)),
            "?birthdate=D, ?_sort=birthdate",
        ),
    ),
    "Practitioner": (IDENTIFIER, _name("name"), ENDINGS),
    "PractitionerRole": (
        IDENTIFIER,
        _reference("practitioner"),
        Index("holder", "security.role.practitioner", BY_ID, "the roles of a caller"),
        _reference("organization"),
    ),
    "Organization": (IDENTIFIER, _name("name"), ENDINGS, _reference("partof")),
    "Location": (IDENTIFIER, _name("name"), ENDINGS),
    "HealthcareService": (IDENTIFIER, _reference("organization")),
    "CodeSystem": (IDENTIFIER, CANONICAL),
    "ValueSet": (IDENTIFIER, CANONICAL),
    "ConceptMap": (IDENTIFIER, CANONICAL, *(_uri(f"{end}-system") for end in ("source", "target"))),
}

THE_EIGHT = (
    "Patient",
    "Coverage",
    "MedicationRequest",
    "Immunization",
    "Observation",
    "Consent",
    "Slot",
    "Appointment",
)
DIRECTORY = (
    "Schedule",
    "Practitioner",
    "PractitionerRole",
    "Organization",
    "Location",
    "HealthcareService",
    "Endpoint",
    "Medication",
)


def of(resource_type: str) -> tuple[Index, ...]:
    """The indexes of a type's collection, the more telling first."""
    mentions = (MENTIONS,) if resource_type in MENTIONING else ()
    words = WORDS if resource_type in WRITTEN else ()
    return (*OF_TYPE.get(resource_type, (IDENTIFIER,)), *EVERY_TYPE, *mentions, *words)


def choose(resource_type: str, expression: Expression, order: Sequence[tuple[str, int]] | None) -> Index | None:
    """The index to name for a search: one whose lead the expression fixes, best with the order wanted, if any.

    One whose lead does not narrow is named only where no other could do better.
    """
    fixed = set(_fixed(expression))
    narrowing = broad = None
    for index in of(resource_type):
        if index.lead is None or index.lead not in fixed:
            continue
        if not index.narrows:
            broad = broad or index
        elif order is None or keeps(index.order, order):
            return index
        else:
            narrowing = narrowing or index
    if narrowing is not None or broad is None or (order is not None and not keeps(broad.order, order)):
        return narrowing
    return None if _others(resource_type, expression, broad) else broad


def serves(resource_type: str, expression: Expression, leads: frozenset[str] = frozenset()) -> bool:
    """Whether some index narrows a search, or gives it a place to start; `leads` are those of indexes beside the table."""
    return bool(_served(expression, _starts(resource_type) | leads))


def orders(resource_type: str, order: Sequence[tuple[str, int]]) -> bool:
    """Whether some index gives this order by itself."""
    return any(index.lead is None and keeps(index.order, order) for index in of(resource_type))


def keeps(kept: Sequence[tuple[str, int]], wanted: Sequence[tuple[str, int]]) -> bool:
    """Whether an index with this order gives the wanted one, read forwards or backwards."""
    start = tuple(kept[: len(wanted)])
    return start == tuple(wanted) or start == tuple((path, -direction) for path, direction in wanted)


def _others(resource_type: str, expression: Expression, index: Index) -> bool:
    """Whether another index than this could serve, by what this one does not keep in order itself."""
    return bool(_served(expression, _starts(resource_type) - {path for path, _ in index.keys}))


@cache
def _starts(resource_type: str) -> frozenset[str]:
    return frozenset(index.keys[0][0] for index in of(resource_type)) | {"_id"}


def _fixed(expression: Expression) -> Sequence[str]:
    terms = expression.terms if isinstance(expression, And) else (expression,)
    return [term.path for term in terms if isinstance(term, In)]


def _served(expression: Expression, starts: frozenset[str]) -> frozenset[str]:
    """Those of the paths at which a search can start: every match has one of some values there, or one in a range."""
    match expression:
        case And(terms):
            return frozenset[str]().union(*(_served(term, starts) for term in terms))
        case In(path) | Within(path) | Prefixed(path) | Range(path):
            return starts & {path}
        case Some(path, term):
            inner = frozenset(start.removeprefix(f"{path}.") for start in starts if start.startswith(f"{path}."))
            return frozenset(f"{path}.{found}" for found in _served(term, inner))
        case Or(terms):
            # Each alternative needs an index, which may be its own.
            each = [_served(term, starts) for term in terms]
            return frozenset[str]().union(*each) if all(each) else frozenset()
        case _:
            return frozenset()
