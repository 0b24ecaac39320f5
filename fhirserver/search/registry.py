"""The search parameters that work, resource type by resource type, looked up once.

https://hl7.org/fhir/R4/searchparameter-registry.html
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType

from fhirserver.definitions import Definitions, SearchParameter
from fhirserver.search.endings import branches, elements_at, is_single
from fhirserver.search.expression import Expression, In, negate
from fhirserver.search.parameters import TYPES, date
from fhirserver.search.parameters.term import Term

PAIR = "_pair"
"""The key, under `index`, of the strings `Patient/id|token` that answer `patient=...&code=...` from one index."""

_PAIRED_CODE, _PAIRED_PATIENTS = "code", ("patient", "subject")
_SAYS = frozenset(
    (
        *("asserter", "attester", "author", "link", "performer", "receiver"),
        *("recipient", "recorder", "requester", "sender", "source"),
    )
)
"""Parameters of the Patient compartment by which a patient only did something: what is found may be another patient's."""
_WIDER = {"phone": "telecom", "email": "telecom", "given": "name"}
_FIRST_RESOURCE = "Bundle.entry[0].resource"
"""Leads to a resource and to no reference: of `Bundle:composition` and `Bundle:message` only a chain could ask something."""
_RESOLVED = re.compile(r"resolve\(\) is (\w+)")


@dataclass(frozen=True, slots=True)
class Searchable:
    """A search parameter of one resource type, ready to be asked.

    `targets` are the types that its expression lets through, which can be fewer than its definition names. `is_indexed` is false
    of what the document holds outside `index`: `_id` and `_lastUpdated`. `is_single` says that a resource has at most one value.
    """

    code: str
    type: str
    path: str
    low: str
    high: str
    targets: tuple[str, ...]
    modifiers: frozenset[str]
    condition: Callable[[Term], Expression]
    is_indexed: bool
    definition: SearchParameter
    is_single: bool = False

    @property
    def scalars(self) -> tuple[str, str] | None:
        """Where the one value of a resource stands as two scalars, if there cannot be more than one."""
        return (self.low, self.high) if self.is_single else None


@dataclass(frozen=True, slots=True)
class Registry:
    """What one resource type can be searched by.

    `owners` are the codes of reference parameters whose patient the resource belongs to. `paired` are those of them whose values are stored
    together with the resource's `code`; there are none where the type has no such pair. `implied` names for a parameter a wider
    one that has each of its values too, and that is the better indexed. `is_subject_patient` says that `patient` is nothing but
    the `subject` that is a patient.
    """

    searchable: Mapping[str, Searchable]
    owners: frozenset[str]
    paired: frozenset[str]
    implied: Mapping[str, str]
    is_subject_patient: bool


def supported(definitions: Definitions, resource_type: str) -> Mapping[str, SearchParameter]:
    """The search parameters of the type that work, by code."""
    return {code: each.definition for code, each in registry(definitions, resource_type).searchable.items()}


@cache
def resource_types(definitions: Definitions) -> frozenset[str]:
    """The types that a reference in a query may name."""
    return frozenset(definitions.resource_types)


@cache
def registry(definitions: Definitions, resource_type: str) -> Registry:
    """The registry of a type; the definitions are the server's one and only, so it is made once."""
    parameters = definitions.search_parameters(resource_type)
    searchable = {
        code: _searchable(definitions, parameter)
        for code, parameter in parameters.items()
        # A phonetic or geographic comparison is not what the type alone says, and without an expression there are no values.
        if parameter.type in TYPES
        and parameter.expression not in ("", _FIRST_RESOURCE)
        and parameter.usage in (None, "normal")
    }
    in_compartment = definitions.compartments["Patient"].resources.get(resource_type, ())
    owners = frozenset(
        code
        for code in (*_PAIRED_PATIENTS, *in_compartment)
        if code in searchable and code not in _SAYS and searchable[code].type == "reference"
    )
    code = searchable.get(_PAIRED_CODE)
    paired = owners.intersection(_PAIRED_PATIENTS) if code is not None and code.type == "token" else frozenset()
    implied = {code: wider for code, wider in _WIDER.items() if _implies(searchable, code, wider)}
    return Registry(
        MappingProxyType(searchable),
        owners,
        paired,
        MappingProxyType(implied),
        _implies(searchable, "patient", "subject"),
    )


def _implies(searchable: Mapping[str, Searchable], code: str, wider: str) -> bool:
    """Whether what the parameter selects is, by its expression, a part of what the wider one does."""
    if code not in searchable or wider not in searchable:
        return False
    narrow, wide = searchable[code].definition.expression, searchable[wider].definition.expression
    return narrow.startswith((f"{wide}.where(", f"{wide}.given"))


def _searchable(definitions: Definitions, parameter: SearchParameter) -> Searchable:
    code = parameter.code
    type = TYPES[parameter.type]
    if code in _OUTSIDE:
        path, modifiers, condition = _OUTSIDE[code]
        return Searchable(code, parameter.type, path, path, path, (), modifiers, condition, False, parameter)
    return Searchable(
        code,
        parameter.type,
        f"index.{code}",
        f"sort.{code}.lo",
        f"sort.{code}.hi",
        _targets(definitions, parameter),
        type.modifiers,
        type.condition,
        True,
        parameter,
        is_single(definitions, parameter.expression),
    )


def _targets(definitions: Definitions, parameter: SearchParameter) -> tuple[str, ...]:
    """The types that can be found: `patient=` can only ever find a Patient, whatever else the definition lists."""
    if parameter.type != "reference":
        return ()
    parts = branches(parameter.expression)
    resolved = _RESOLVED.findall(parameter.expression)
    if len(resolved) == len(parts):
        return tuple(dict.fromkeys(resolved))
    allowed: set[str] = set()
    for part in parts:
        types = [type for element in elements_at(definitions, part) for type in element.types]
        if not types or not all(type.target_types for type in types):
            return parameter.targets
        allowed.update(target for type in types for target in type.target_types)
    narrowed = tuple(target for target in parameter.targets if target in allowed)
    return narrowed or parameter.targets


def _id(term: Term) -> Expression:
    found = In(term.path, frozenset(term.texts()))
    return negate(found) if term.modifier == "not" else found


_OUTSIDE: Mapping[str, tuple[str, frozenset[str], Callable[[Term], Expression]]] = {
    "_id": ("_id", frozenset({"missing", "not"}), _id),
    "_lastUpdated": ("updated", date.MODIFIERS, date.condition_on_instant),
}
