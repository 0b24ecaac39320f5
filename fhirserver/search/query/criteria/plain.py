"""A parameter of the type that is searched: its name looked up, its modifier checked, its values divided.

https://hl7.org/fhir/R4/search.html#modifiers
"""

from __future__ import annotations

from dataclasses import replace

from fhirserver.definitions import Definitions
from fhirserver.model.outcome import BadRequest, TooCostly
from fhirserver.search.expression import Exists, Expression, all_of, any_of, negate
from fhirserver.search.parameters import string
from fhirserver.search.parameters.term import Term
from fhirserver.search.query.escaping import divide, is_escaped
from fhirserver.search.query.unsupported import Unsupported, UnsupportedAlways
from fhirserver.search.registry import Registry, Searchable, registry, resource_types


def looked_up(definitions: Definitions, resource_type: str, name: str) -> tuple[Searchable, str]:
    """The parameter and its modifier, "" for none; the name of a type may be one. Raises Unsupported or BadRequest."""
    known = registry(definitions, resource_type).searchable
    found = known.get(name)
    if found is not None:
        return found, ""
    code, _, modifier = name.partition(":")
    found = known.get(code)
    if found is None or "." in modifier:
        raise Unsupported(_unknown(definitions, resource_type, name))
    if modifier in found.modifiers and modifier != "[type]":
        return found, modifier
    if modifier in resource_types(definitions) and "[type]" in found.modifiers:
        if found.targets and modifier not in found.targets:
            raise BadRequest(f"The parameter '{code}' does not point to {modifier}.")
        return found, modifier
    raise UnsupportedAlways(f"The parameter '{code}' has no modifier ':{modifier[:100]}' on this server.")


def alternatives(name: str, value: str, most: int) -> tuple[str, ...]:
    """The values between commas, still escaped, the empty ones left out. Raises BadRequest or TooCostly."""
    if "\\" in value and not is_escaped(value):
        raise BadRequest(
            f"The parameter '{name[:100]}' cannot be read: a backslash stands before ',', '|', '$' or another backslash, "
            "and is itself written twice."
        )
    if "," not in value:
        return (value,) if value else ()
    found = tuple(part for part in divide(value, ",") if part)
    if len(found) > most:
        raise TooCostly(f"The parameter '{name[:100]}' has more than {most} alternatives.")
    return found


def condition(known: Registry, searchable: Searchable, term: Term) -> Expression:
    """What the query asks of this parameter; and of a wider one, where that has the index."""
    if term.modifier == "missing":
        return _missing(term, searchable)
    asked = searchable.condition(term)
    if term.modifier == "contains" and searchable.code in known.ended:
        return all_of(string.ending(term), asked)
    if term.modifier or searchable.code not in known.implied:
        return asked
    wider = known.searchable[known.implied[searchable.code]]
    return all_of(wider.condition(replace(term, path=wider.path)), asked)


def _missing(term: Term, searchable: Searchable) -> Expression:
    if term.alternatives not in (("true",), ("false",)):
        raise term.refuse("':missing' is either true or false.")
    present = any_of(*(Exists(path) for path in searchable.paths))
    return negate(present) if term.alternatives == ("true",) else present


def _unknown(definitions: Definitions, resource_type: str, name: str) -> str:
    shown = name[:100]
    if definitions.is_awaited(resource_type, name.partition(":")[0]):
        return f"The parameter '{shown}' is known and not used yet: what is stored has still to be indexed for it."
    parameter = definitions.search_parameters(resource_type).get(name.partition(":")[0])
    if parameter is not None:
        return f"The parameter '{shown}' of the type {parameter.type} is not supported yet."
    return f"{resource_type} has no search parameter '{shown}'."
