"""What a search asks of other types than its own: every step of a chain is a search of its own for the token's scopes.

What the token rules out is refused before any data is asked. Where a reference may point to several types, those out of reach hold
nothing for this caller, and it is refused if all of them are.

https://hl7.org/fhir/R4/search.html#chaining and https://hl7.org/fhir/smart-app-launch/scopes-and-launch-context.html
"""

from __future__ import annotations

from collections import defaultdict

from fhirserver.access.principal import Principal, allows
from fhirserver.access.reasons import NARROWED, STEPS_NARROWED
from fhirserver.model.outcome import Forbidden, TooCostly
from fhirserver.search.expression import And, Chain, Expression, Has, Not, Or
from fhirserver.search.permit import Permit


def check_steps(principal: Principal, resource_type: str, expression: Expression) -> None:
    """Raise Forbidden where the search of this type goes through a type that the token does not reach."""
    if not _reached(principal, resource_type, expression):
        raise Forbidden(scope=True)


def check_whole(permit: Permit) -> None:
    """Raise TooCostly where the gate could not decide for all that the steps may go through: less would be found unsaid."""
    if NARROWED in permit.reasons:
        raise TooCostly(STEPS_NARROWED)


def _reached(principal: Principal, own: str, expression: Expression) -> bool:
    match expression:
        case And(terms):
            return all(_reached(principal, own, term) for term in terms)
        case Or(terms):
            return _any_reached(principal, own, terms)
        case Not(term):
            return _reached(principal, own, term)
        case Chain(_, resource_type, term) | Has(resource_type, _, term):
            return _reaches(principal, own, resource_type) and _reached(principal, own, term)
        case _:
            return True


def _any_reached(principal: Principal, own: str, terms: tuple[Expression, ...]) -> bool:
    """Of the types of one reference one is enough; every other alternative counts by itself."""
    by_path: defaultdict[str, list[bool]] = defaultdict(list)
    for term in terms:
        reached = _reached(principal, own, term)
        if isinstance(term, Chain):
            by_path[term.path].append(reached)
        elif not reached:
            return False
    return all(any(each) for each in by_path.values())


def _reaches(principal: Principal, own: str, resource_type: str) -> bool:
    # What comes along with a search has to be readable, as the permit has it; and a step tells what a search would.
    is_readable = resource_type == own or allows(principal, resource_type, "read")
    return is_readable and allows(principal, resource_type, "search-type")
