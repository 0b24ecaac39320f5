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
from fhirserver.search.escaping import divide
from fhirserver.search.expression import Exists, Expression, In, all_of, negate
from fhirserver.search.parameters.term import Circumstances, Term
from fhirserver.search.registry import PAIR, Registry, Searchable, registry, resource_types
from fhirserver.search.request import Bounds, SearchRequest
from fhirserver.search.result import READERS, ResultParameters
from fhirserver.search.unsupported import Unsupported

ELSEWHERE = frozenset({"_format", "_pretty"})
"""Parameters of every interaction; they are read where the answer is written."""

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
    for name, value in pairs:
        if name in ELSEWHERE:
            continue
        if not value:
            reading.ignore(name)
            continue
        try:
            reading.take(name, value)
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
        self.circumstances = Circumstances(base_url, definitions.case_sensitive_systems, resource_types(definitions))
        self.now = now
        self.bounds = bounds
        self.asked: Asked = []
        self.used: list[tuple[str, str]] = []

    def ignore(self, name: str) -> None:
        """An empty value asks for nothing."""
        text = f"The parameter '{name[:100]}' has no value and was ignored."
        self.result.notices.append(Issue("information", "informational", text))

    def take(self, name: str, value: str) -> None:
        """Read one parameter. Raises Unsupported, BadRequest or TooCostly."""
        if len(value) > self.bounds.value_length:
            raise TooCostly(f"A parameter's value has at most {self.bounds.value_length} characters.")
        if name in READERS:
            self.used.append((name, self.result.take(name, value)))
            return
        searchable = self.registry.searchable.get(name)
        modifier = ""
        if searchable is None:
            code, _, modifier = name.partition(":")
            searchable = self.registry.searchable.get(code)
            if searchable is None or modifier not in searchable.modifiers or modifier == "[type]":
                self._check_modifier(name, code, modifier, searchable)
        assert searchable is not None  # noqa: S101
        alternatives = self._alternatives(name, value)
        if not alternatives:
            self.ignore(name)
            return
        term = Term(
            name,
            searchable.path,
            searchable.targets,
            modifier,
            alternatives,
            self.circumstances,
            self.now,
            searchable.scalars,
        )
        expression = _missing(term) if modifier == "missing" else searchable.condition(term)
        if not modifier and searchable.code in self.registry.implied:
            wider = self.registry.searchable[self.registry.implied[searchable.code]]
            expression = all_of(wider.condition(replace(term, path=wider.path)), expression)
        self.asked.append((searchable, expression))
        self.used.append((name, value))

    def _check_modifier(self, name: str, code: str, modifier: str, searchable: Searchable | None) -> None:
        """Let the name of a type that the reference may point to pass as its modifier; raise for everything else."""
        if searchable is None or "." in modifier:
            raise Unsupported(_unknown(self.result.definitions, self.resource_type, name))
        if modifier in self.circumstances.resource_types and "[type]" in searchable.modifiers:
            if searchable.targets and modifier not in searchable.targets:
                raise BadRequest(f"The parameter '{code}' does not point to {modifier}.")
            return
        raise Unsupported(f"The parameter '{code}' has no modifier ':{modifier[:100]}' on this server.")

    def _alternatives(self, name: str, value: str) -> tuple[str, ...]:
        if "," not in value:
            return (value,)
        alternatives = tuple(part for part in divide(value, ",") if part)
        if len(alternatives) > self.bounds.alternatives:
            raise TooCostly(f"The parameter '{name}' has more than {self.bounds.alternatives} alternatives.")
        return alternatives

    def request(self) -> SearchRequest:
        """The request, complete."""
        result = self.result
        return SearchRequest(
            self.resource_type,
            all_of(
                *_pairs(self.registry, self.asked),
                *_of_patients(self.registry, self.asked),
                *(expression for _, expression in self.asked),
            ),
            result.sort,
            result.count,
            result.total,
            result.summary_count,
            tuple(result.includes),
            tuple(self.used),
            tuple(result.notices),
            _patients(self.resource_type, self.registry, self.asked),
            result.subset(),
        )


def _missing(term: Term) -> Expression:
    if term.alternatives not in (("true",), ("false",)):
        raise term.refuse("':missing' is either true or false.")
    present = Exists(term.path)
    return negate(present) if term.alternatives == ("true",) else present


def _unknown(definitions: Definitions, resource_type: str, name: str) -> str:
    shown = name[:100]
    if name.startswith("_has:"):
        return "Reverse chains ('_has') are not supported yet."
    if name.startswith(("_include:", "_revinclude:")):
        return f"'{shown}' is not supported yet: included resources are one step away."
    if "." in name:
        return f"Chained parameters ('{shown}') are not supported yet."
    parameter = definitions.search_parameters(resource_type).get(name.partition(":")[0])
    if parameter is not None:
        return f"The parameter '{shown}' of the type {parameter.type} is not supported yet."
    return f"{resource_type} has no search parameter '{shown}'."


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


def _pairs(known: Registry, asked: Asked) -> list[Expression]:
    """For a patient and a code, the same again over the pairs stored: it changes no answer, and one index then does for both."""
    if not known.paired:
        return []
    patients = next(
        (ids for each, found in asked if each.code in known.paired and (ids := _patient_ids(found)) is not None), None
    )
    codes = next((found.values for each, found in asked if each.code == "code" and isinstance(found, In)), None)
    if not patients or not codes or len(patients) * len(codes) > _PAIRS:
        return []
    return [In(f"index.{PAIR}", frozenset(f"Patient/{patient}|{code}" for patient in patients for code in codes))]
