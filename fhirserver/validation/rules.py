"""The rules of R4, compiled: which of them hold for which values.

Rules that the readers of this room prove while they read (that nothing is empty, that an extension has one content, that a
narrative is XHTML, that `#` references lead somewhere) are not asked again.

https://hl7.org/fhir/R4/conformance-rules.html#constraints
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from fhirserver.definitions import Constraint, Definitions, Element
from fhirserver.fhirpath import Engine, Environment, FhirPathError, Host
from fhirserver.fhirpath.language.mentioned import mentioned
from fhirserver.fhirpath.values.nodes import plain
from fhirserver.fhirpath.xhtml import has_content, xhtml_fault

Holds = Callable[[Any, Environment], bool | None]

PROVEN = frozenset({"ele-1", "ext-1", "dom-2", "ref-1", "sqty-1"})
"""Rules that the readers see to."""
OF_CONTAINED = frozenset({"dom-3", "dom-4", "dom-5"})
"""Rules that hold where nothing is contained."""

# Where R4's expression cannot say what R4's rule means. Of two dates or amounts, what cannot be decided is not wrong.
REWRITTEN: Mapping[str, str] = {
    "start.hasValue().not() or end.hasValue().not() or (start <= end)": "iif(start > end, false, true)",
    "low.empty() or high.empty() or (low <= high)": "iif(low > high, false, true)",
    "whenHandedOver.empty() or whenPrepared.empty() or whenHandedOver >= whenPrepared": (
        "iif(whenHandedOver < whenPrepared, false, true)"
    ),
    "lastModified.exists().not() or authoredOn.exists().not() or lastModified >= authoredOn": (
        "iif(lastModified < authoredOn, false, true)"
    ),
    # What is not there is not wrong.
    "fullUrl.contains('/_history/').not()": "fullUrl.empty() or fullUrl.contains('/_history/').not()",
    "name.matches('[A-Z]([A-Za-z0-9_]){0,254}')": "name.empty() or name.matches('[A-Z]([A-Za-z0-9_]){0,254}')",
    "probability is decimal implies (probability as decimal) <= 100": (
        "probability.empty() or (probability is decimal implies (probability as decimal) <= 100)"
    ),
    # The code of the status has no hyphen.
    "Appointment.cancelationReason.exists() implies (Appointment.status='no-show' or Appointment.status='cancelled')": (
        "cancelationReason.exists() implies (status = 'noshow' or status = 'cancelled')"
    ),
}
INAPPLICABLE = frozenset({("cid-0", "ChargeItemDefinition"), ("ras-1", "decimal")})
"""Rules about elements that their type does not have: a name, and the ends of a number."""


def _has_allowed_content(value: Any, environment: Environment) -> bool:
    text = plain(value)
    return text is None or xhtml_fault(text) is None


def _shows_something(value: Any, environment: Environment) -> bool:
    text = plain(value)
    return text is None or has_content(text)


def _referred_to(holds: Holds) -> Holds:
    """`dom-3`, of which most is seen without the whole expression: every contained id stands in a reference, or one nowhere."""

    def held(value: Any, environment: Environment) -> bool | None:
        contained = value.get("contained")
        if not contained:
            return True
        references, texts = _told(value)
        doubtful = [each for each in contained if "id" not in each or f"#{each['id']}" not in references]
        if not doubtful:
            return True
        # The expression looks at every element for each contained resource.
        if any("id" in each and f"#{each['id']}" not in texts and "#" not in _told(each)[1] for each in doubtful):
            return False
        return holds(value, environment)

    return held


def _told(value: Any) -> tuple[set[str], set[str]]:
    """The texts of the references within a value, and all its texts."""
    references: set[str] = set()
    texts: set[str] = set()
    stack: list[Any] = [value]
    while stack:
        each = stack.pop()
        if isinstance(each, dict):
            text = each.get("reference")
            if isinstance(text, str):
                references.add(text)
            each = each.values()
        for item in each:
            if isinstance(item, str):
                texts.add(item)
            elif isinstance(item, dict | list):
                stack.append(item)
    return references, texts


# R4 writes both rules as htmlChecks() and tells them apart in words.
NATIVE: Mapping[str, Holds] = {"txt-1": _has_allowed_content, "txt-2": _shows_something}


@dataclass(frozen=True, slots=True)
class Rule:
    """A constraint and whether it holds: of the value, in an environment whose resource is the one around it."""

    key: str
    severity: str
    expression: str
    holds: Holds
    names: tuple[str, ...]
    """The elements that it looks at first."""

    def fault(self, value: Any, environment: Environment) -> str | None:
        """None if the rule holds; else why it could not be evaluated, or an empty text."""
        try:
            if self.holds(value, environment):
                return None
            return f" It {xhtml_fault(plain(value))}" if self.key == "txt-1" else ""
        except FhirPathError as error:
            return f" It could not be evaluated: {error.message}"


class Rules:
    """All rules, compiled when the values that they are for come first."""

    def __init__(self, definitions: Definitions) -> None:
        self.definitions = definitions
        self.engine = Engine(definitions, Host(resolve=lambda address: None))
        self._made: dict[tuple[Constraint, str], Rule] = {}
        self._of_types: dict[str, tuple[Rule, ...]] = {}
        self._elements: dict[str, Element] = {}

    def of(self, type: str, element: Element | None = None) -> tuple[Rule, ...]:
        """The rules for values of a type, a data type's or a resource type's name or the path of a nested element;
        with those of the element that holds them, if it is given."""
        if element is not None and element.constraints:
            own = self._compiled(element.constraints, type)
            inherited = self.of(type)
            keys = {rule.key for rule in inherited}
            return (*inherited, *(rule for rule in own if rule.key not in keys))
        found = self._of_types.get(type)
        if found is None:
            found = self._of_types[type] = self._compiled(self._constraints(type), type)
        return found

    def _constraints(self, type: str) -> Iterable[Constraint]:
        """Those of a type itself, or of an element, also where it shares another's content."""
        if "." not in type:
            structure = self.definitions.structures.get(type)
            return () if structure is None else structure.root.constraints
        structure = self.definitions.structures[type.partition(".")[0]]
        elements = {element.path: element for element in structure.elements}
        element = elements[type]
        shared = element.content_reference
        return element.constraints if shared is None else (*element.constraints, *elements[shared].constraints)

    def _compiled(self, constraints: Iterable[Constraint], type: str) -> tuple[Rule, ...]:
        return tuple(
            self._rule(each, type)
            for each in constraints
            if each.key not in PROVEN and (each.key, type) not in INAPPLICABLE
        )

    def _rule(self, constraint: Constraint, type: str) -> Rule:
        found = self._made.get((constraint, type))
        if found is None:
            expression = REWRITTEN.get(constraint.expression, constraint.expression)
            holds = NATIVE.get(constraint.key) or self.engine.rule(expression, type)
            if constraint.key == "dom-3":
                holds = _referred_to(holds)
            if "%context" in expression:
                holds = _in_context(holds, type)
            found = Rule(constraint.key, constraint.severity, constraint.expression, holds, mentioned(expression))
            self._made[constraint, type] = found
        return found


def _in_context(holds: Holds, type: str) -> Holds:
    """For a rule that asks for `%context`: the value itself."""
    name = f"BackboneElement:{type}" if "." in type else type

    def held(value: Any, environment: Environment) -> bool | None:
        environment.context = (name, value)
        return holds(value, environment)

    return held


def is_empty(value: Any) -> bool:
    """Whether an element has nothing but an id."""
    return isinstance(value, dict) and value.keys() == {"id"}
