"""The search parameters that work, resource type by resource type, looked up once.

https://hl7.org/fhir/R4/searchparameter-registry.html
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from types import MappingProxyType

from fhirserver.definitions import Definitions, SearchParameter
from fhirserver.search.endings import branches, elements_at, is_single
from fhirserver.search.expression import Expression, In, all_of, any_of, negate
from fhirserver.search.parameters import PHONETIC, TYPES, ParameterType, date, reference, token, uri, words
from fhirserver.search.parameters.term import Part, Term

PAIR = "_pair"
"""The key, under `index`, of the strings `Patient/id|token` that answer `patient=...&code=...` from one index."""

PROHIBITS = "_prohibits"
"""The key, under `index`, that is true of a request not to do something: R4 has no search parameter for it."""

_PAIRED_CODE, _PAIRED_PATIENTS = "code", ("patient", "subject")
_SAYS = frozenset(
    (
        *("asserter", "attester", "author", "link", "performer", "receiver"),
        *("recipient", "recorder", "requester", "sender", "source"),
    )
)
"""Parameters of the Patient compartment by which a patient only did something: what is found may be another patient's."""
MOMENTS = frozenset({"date", "dateTime", "instant"})
_NAME = "name"
_WIDER = {"phone": "telecom", "email": "telecom", "given": "name"}
_FIRST_RESOURCE = "Bundle.entry[0].resource"
"""Leads to a resource and to no reference: `Bundle:composition` and `Bundle:message` are kept as if the Bundle contained it."""
_CORRECTED: Mapping[tuple[str, str], tuple[str, ...]] = {("DocumentReference", "relationship"): ("target", "code")}
"""Components whose expressions R4 publishes in the wrong order: the reference's is that of the token, and the other way round."""
_TRUTH = re.compile(r"[\w.]+\.exists\(\) and [\w.]+ != false")
_WHERE = re.compile(r"\.where\([^()]*\)")
_RESOLVED = re.compile(r"resolve\(\) is (\w+)")


@dataclass(frozen=True, slots=True)
class Searchable:
    """A search parameter of one resource type, ready to be asked.

    `targets` are the types that its expression lets through, which can be fewer than its definition names. `low` and `high` are ""
    where there is no order. `is_indexed` is false of what is not under `index` by its code: `_id`, `_lastUpdated`, words, and what
    only unites others. `is_single` says that a resource has at most one value, `is_moment` that it is no period. `parts` are the components of a composite; `stored`
    is how its values are kept, if they are under `index` by its code. `united` are the parameters that together select what this
    one does: nothing is stored for it but what is stored for them.
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
    parts: tuple[Part, ...] = ()
    stored: ParameterType | None = None
    united: tuple[Searchable, ...] = ()
    is_moment: bool = False

    @property
    def paths(self) -> tuple[str, ...]:
        """Where its values are stored: at one place, or at those of the parameters that it unites."""
        return tuple(each.path for each in self.united) or (self.path,)

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
    the `subject` that is a patient. `ended` are the names whose endings are stored; there are none where the type has no `name`.
    """

    searchable: Mapping[str, Searchable]
    owners: frozenset[str]
    paired: frozenset[str]
    implied: Mapping[str, str]
    is_subject_patient: bool
    ended: frozenset[str]


def resource_types(definitions: Definitions) -> frozenset[str]:
    """The types that a reference in a query may name."""
    return _resource_types(definitions.core)


@cache
def _resource_types(definitions: Definitions) -> frozenset[str]:
    return frozenset(definitions.resource_types)


def registry(definitions: Definitions, resource_type: str) -> Registry:
    """The registry of a type; made once for these definitions, or for R4's where they say nothing more of the type."""
    return _registry(definitions.about(resource_type), resource_type)


@lru_cache(maxsize=1_024)
def _registry(definitions: Definitions, resource_type: str) -> Registry:
    parameters = definitions.search_parameters(resource_type)
    searchable = {
        code: _searchable(definitions, parameter, type, _parts(definitions, resource_type, parameter))
        for code, parameter in parameters.items()
        if (type := _type(parameter)) is not None
    }
    searchable |= {
        code: _uniting(each, united) for code, each in searchable.items() if (united := _united(each, searchable))
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
        _ended(searchable),
    )


def _ended(searchable: Mapping[str, Searchable]) -> frozenset[str]:
    """`name`, and the parameters that select a part of it."""
    name = searchable.get(_NAME)
    if name is None or name.type != "string":
        return frozenset()
    parts = tuple(f"{branch}." for branch in branches(name.definition.expression))
    return frozenset((_NAME,)) | {
        code
        for code, each in searchable.items()
        if each.type == "string" and each.stored is name.stored and each.definition.expression.startswith(parts)
    }


def _implies(searchable: Mapping[str, Searchable], code: str, wider: str) -> bool:
    """Whether what the parameter selects is, by its expression, a part of what the wider one does."""
    if code not in searchable or wider not in searchable:
        return False
    narrow, wide = searchable[code].definition.expression, searchable[wider].definition.expression
    return narrow.startswith((f"{wide}.where(", f"{wide}.given"))


def _type(parameter: SearchParameter) -> ParameterType | None:
    """How the parameter is stored and asked; None if it is not: without an expression there are no values."""
    if parameter.code not in _OUTSIDE and not parameter.expression:
        return None
    return PHONETIC if parameter.usage == "phonetic" else TYPES[parameter.type]


def _modifiers(
    definitions: Definitions, parameter: SearchParameter, type: ParameterType, *, is_hierarchical: bool
) -> frozenset[str]:
    """A reference has something above and below it where it is a canonical, or points to what is part of another."""
    if parameter.type != "reference" or is_hierarchical:
        return type.modifiers
    elements = [element for branch in branches(parameter.expression) for element in elements_at(definitions, branch)]
    if any(kind.code == "canonical" for element in elements for kind in element.types):
        return type.modifiers
    return type.modifiers - {"above", "below"}


def _parts(definitions: Definitions, resource_type: str, parameter: SearchParameter) -> tuple[Part, ...]:
    """The components of a composite."""
    corrected = _CORRECTED.get((resource_type, parameter.code))
    parts = []
    for place, component in enumerate(parameter.components):
        defined = definitions.search_parameters(resource_type).get(component.code)
        targets = _targets(definitions, defined) if defined is not None else ()
        expression = corrected[place] if corrected else component.expression
        path = f"index.{component.code}" if defined is not None and _type(defined) is not None else ""
        scalars = None
        if path and is_single(definitions, defined.expression if defined is not None else ""):
            scalars = (f"sort.{component.code}.lo", f"sort.{component.code}.hi")
        parts.append(Part(component.type, TYPES[component.type].condition, targets, expression, path, scalars))
    return tuple(parts)


@cache
def _hierarchies(definitions: Definitions) -> Mapping[str, str]:
    """For each type whose resources can be part of each other, the path of the reference to the whole."""
    found = {}
    for resource_type in definitions.resource_types:
        for code in ("partof", "part-of"):
            parameter = definitions.search_parameters(resource_type).get(code)
            if parameter is not None and resource_type in _targets(definitions, parameter):
                found[resource_type] = f"index.{code}"
    return found


def _searchable(
    definitions: Definitions, parameter: SearchParameter, type: ParameterType, parts: tuple[Part, ...]
) -> Searchable:
    code = parameter.code
    if code in _OUTSIDE:
        path, modifiers, condition = _OUTSIDE[code]
        scalar = path if condition is not words.condition else ""
        return Searchable(code, parameter.type, path, scalar, scalar, (), modifiers, condition, False, parameter)
    targets = _targets(definitions, parameter)
    if parameter.expression == _FIRST_RESOURCE:
        modifiers = frozenset({"missing", "[type]"})
        return Searchable(
            code, parameter.type, f"index.{code}", "", "", targets, modifiers, reference.to_first, False, parameter
        )
    hierarchies = _hierarchies(definitions.core)
    parents = tuple((each, hierarchies[each]) for each in targets or definitions.resource_types if each in hierarchies)
    has_order = parameter.type not in ("composite", "special")
    return Searchable(
        code,
        parameter.type,
        f"index.{code}",
        f"sort.{code}.lo" if has_order else "",
        f"sort.{code}.hi" if has_order else "",
        targets,
        _modifiers(definitions, parameter, type, is_hierarchical=bool(parents)),
        _condition(definitions, parameter, type, parts, parents),
        True,
        parameter,
        is_single(definitions, parameter.expression),
        parts,
        type,
        is_moment=_is_moment(definitions, parameter),
    )


def _is_moment(definitions: Definitions, parameter: SearchParameter) -> bool:
    elements = elements_at(definitions, parameter.expression)
    return (
        parameter.type == "date"
        and bool(elements)
        and {kind.code for each in elements for kind in each.types} <= MOMENTS
    )


def _condition(
    definitions: Definitions,
    parameter: SearchParameter,
    type: ParameterType,
    parts: tuple[Part, ...],
    parents: tuple[tuple[str, str], ...],
) -> Callable[[Term], Expression]:
    if parameter.type == "token":
        kinds = _kinds(definitions, _WHERE.sub("", parameter.expression))
        if kinds == {"ContactPoint"}:
            return token.contact
        if kinds == {"boolean"} or _TRUTH.fullmatch(parameter.expression):
            return token.boolean
    if parameter.type == "uri" and _is_canonical(definitions, parameter):
        return uri.canonical_url
    if parts or (parents and parameter.type == "reference"):
        return lambda term: type.condition(replace(term, parts=parts, parents=parents))
    return type.condition


def _is_canonical(definitions: Definitions, parameter: SearchParameter) -> bool:
    """Whether it is the URL by which others name a resource that has versions."""
    resource_type, _, name = parameter.expression.partition(".")
    version = definitions.search_parameters(resource_type).get("version")
    return name == "url" and version is not None and version.expression == f"{resource_type}.version"


def _kinds(definitions: Definitions, expression: str) -> set[str]:
    """The data types at which the expression ends, as far as it is made of plain paths."""
    elements = [element for branch in branches(expression) for element in elements_at(definitions, branch)]
    return {kind.code for element in elements for kind in element.types}


def _united(parameter: Searchable, searchable: Mapping[str, Searchable]) -> tuple[Searchable, ...]:
    """The parameters whose expressions are, taken together, that of this one; none if there are no such."""
    if parameter.stored is None or parameter.type not in ("token", "quantity", "composite"):
        return ()
    whole = set(branches(parameter.definition.expression))
    found = [
        each
        for each in searchable.values()
        if each.stored is parameter.stored
        and [(part.type, part.expression) for part in each.parts]
        == [(part.type, part.expression) for part in parameter.parts]
        and set(branches(each.definition.expression)) < whole
    ]
    covered = {branch for each in found for branch in branches(each.definition.expression)}
    return tuple(found) if found and covered == whole else ()


def _uniting(parameter: Searchable, united: tuple[Searchable, ...]) -> Searchable:
    def condition(term: Term) -> Expression:
        terms = (each.condition(replace(term, path=each.path, scalars=each.scalars)) for each in united)
        return all_of(*terms) if term.modifier in ("not", "not-in") else any_of(*terms)

    return replace(parameter, condition=condition, is_indexed=False, united=united)


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
    "_text": (words.TEXT, words.MODIFIERS, words.condition),
    "_content": (words.CONTENT, words.MODIFIERS, words.condition),
}
