"""A query, name by name and value by value, into a SearchRequest.

After this room's door nobody sees a raw string again: names are looked up, values are parsed, and what cannot be read or is not
supported is refused with a sentence; with lenient handling the unsupported is left out, and said.

https://hl7.org/fhir/R4/search.html
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from fhirserver.definitions import Definitions
from fhirserver.model.outcome import BadRequest, Issue, TooCostly
from fhirserver.search.expression import Expression, In, all_of
from fhirserver.search.parameters.term import Circumstances
from fhirserver.search.query import contained
from fhirserver.search.query.criteria import Reader
from fhirserver.search.query.criteria.plain import looked_up
from fhirserver.search.query.result import READERS, ResultParameters
from fhirserver.search.query.unsupported import Refused, Unsupported, UnsupportedAlways
from fhirserver.search.registry import PAIR, Registry, Searchable, registry, resource_types
from fhirserver.search.request import Bounds, SearchRequest

ELSEWHERE = frozenset({"_format", "_pretty"})
"""Parameters of every interaction; they are read where the answer is written."""

QUERY = "_query"

_PAIRS = 100
"""So many combinations of patients and codes are looked up as pairs; beyond, each by itself."""

Asked = list[tuple[Searchable, Expression]]


def parse_search(
    definitions: Definitions,
    resource_type: str,
    pairs: Sequence[tuple[str, str]],
    *,
    lenient: bool,
    base_url: str,
    now: datetime,
    bounds: Bounds,
) -> SearchRequest:
    """Read a search of one type. Names and values come percent-decoded; `now` is what `ap` dates are measured from.

    Raises BadRequest, or TooCostly where a bound is passed.
    """
    if len(pairs) > bounds.parameters:
        raise TooCostly(f"A search has at most {bounds.parameters} parameters.")
    reading = _Reading(definitions, resource_type, base_url, now, bounds)
    reading.result.contained = contained.wanted(pairs) if bounds.contained else None
    for name, value in pairs:
        if name in ELSEWHERE:
            continue
        if not value:
            reading.ignore(name)
            continue
        try:
            reading.take(name, value)
        except UnsupportedAlways as reason:
            raise Refused(str(reason), code="not-supported") from None
        except Unsupported as reason:
            if not lenient:
                raise BadRequest(str(reason), code="not-supported") from None
            reading.result.notices.append(Issue("warning", "not-supported", f"{reason} It was ignored."))
    return reading.request()


class _Reading:
    """A query that is being read."""

    def __init__(
        self, definitions: Definitions, resource_type: str, base_url: str, now: datetime, bounds: Bounds
    ) -> None:
        self.resource_type = resource_type
        self.registry = registry(definitions, resource_type)
        self.result = ResultParameters(definitions, resource_type, bounds)
        circumstances = Circumstances(base_url, definitions.case_sensitive_systems, resource_types(definitions))
        self.reader = Reader(definitions, circumstances, now, bounds)
        self.bounds = bounds
        self.asked: Asked = []
        self.followed: list[Expression] = []
        self.used: list[tuple[str, str]] = []

    def ignore(self, name: str) -> None:
        """An empty value asks for nothing."""
        text = f"The parameter '{name[:100]}' has no value and was ignored."
        self.result.notices.append(Issue("information", "informational", text))

    def take(self, name: str, value: str) -> None:
        """Read one parameter. Raises Unsupported, BadRequest or TooCostly."""
        if len(value) > self.bounds.value_length:
            raise TooCostly(f"A parameter's value has at most {self.bounds.value_length} characters.")
        if name == QUERY:
            raise UnsupportedAlways("There are no named queries here: '_query' cannot be asked for.")
        if name in READERS:
            self.used.append((name, self.result.take(name, value)))
            return
        contained.check(self.result, name, value)
        base, colon, modifier = name.partition(":")
        if colon and base in READERS:
            raise UnsupportedAlways(f"The parameter '{base}' has no modifier ':{modifier[:100]}' on this server.")
        if self.reader.follows(name):
            expression = self.reader.read(self.resource_type, name, value)
            if expression is not None:
                self.followed.append(contained.checked(self.result, None, expression))
        else:
            searchable, modifier = looked_up(self.result.definitions, self.resource_type, name)
            expression = self.reader.plain(name, self.registry, searchable, modifier, value)
            if expression is not None:
                self.asked.append((searchable, contained.checked(self.result, searchable, expression)))
        if expression is None:
            self.ignore(name)
        else:
            self.used.append((name, value))

    def request(self) -> SearchRequest:
        """The request, complete."""
        result = self.result
        pairs, rest = _paired(self.registry, self.asked)
        expression = all_of(
            *pairs,
            *_of_patients(self.registry, rest),
            *(expression for _, expression in rest),
            *self.followed,
        )
        return SearchRequest(
            self.resource_type,
            expression,
            result.sort,
            result.count,
            result.total,
            result.summary_count,
            tuple(result.includes),
            tuple(self.used),
            tuple(result.notices),
            _patients(self.resource_type, self.registry, self.asked),
            subset=result.subset(),
            containment=contained.containment(result, expression),
        )


def _patient_ids(expression: Expression) -> frozenset[str] | None:
    """The ids, if the expression is true only of resources that refer to one of these patients."""
    if not isinstance(expression, In):
        return None
    ids = set()
    for value in expression.values:
        if not isinstance(value, str) or not value.startswith("Patient/"):
            return None
        ids.add(value.removeprefix("Patient/"))
    return frozenset(ids)


def _patients(resource_type: str, known: Registry, asked: Asked) -> frozenset[str] | None:
    """The fewest patients to one of whom every match must belong."""
    found: frozenset[str] | None = None
    for searchable, expression in asked:
        ids = None
        if searchable.code in known.owners:
            ids = _patient_ids(expression)
        elif searchable.code == "_id" and resource_type == "Patient" and isinstance(expression, In):
            ids = frozenset(str(value) for value in expression.values)
        if ids is not None and (found is None or len(ids) < len(found)):
            found = ids
    return found


def _of_patients(known: Registry, asked: Asked) -> list[Expression]:
    """For a subject that is a patient, the same again of `patient`, which has the index."""
    if not known.is_subject_patient:
        return []
    path = known.searchable["patient"].path + ".r"
    return [
        replace(found, path=path)
        for each, found in asked
        if each.code == "subject" and isinstance(found, In) and _patient_ids(found) is not None
    ]


def _paired(known: Registry, asked: Asked) -> tuple[list[Expression], Asked]:
    """A patient and a code as one condition on the pairs stored, which one index serves, and what else is asked."""
    patients = next(
        (each for each in asked if each[0].code in known.paired and _patient_ids(each[1]) is not None), (None, None)
    )
    codes = next((each for each in asked if isinstance(each[1], In) and each[1].path == "index.code"), (None, None))
    if not isinstance(patients[1], In) or not isinstance(codes[1], In):
        return [], asked
    whose, what = patients[1].values, codes[1].values
    if len(whose) * len(what) > _PAIRS:
        return [], asked
    pairs = In(f"index.{PAIR}", frozenset(f"{patient}|{code}" for patient in whose for code in what))
    # The pairs say all that the two say, where no other reference than `subject` makes a patient.
    rest = [each for each in asked if each is not patients and each is not codes] if known.is_subject_patient else asked
    return [pairs], rest
