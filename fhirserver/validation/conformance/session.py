"""One validation: what it knows, the profiles that it has read, how references are followed, and how much it may still do.

https://hl7.org/fhir/R4/validation.html
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from threading import Lock
from typing import Any, Final

from fhirserver.definitions.codes.values import unversioned
from fhirserver.fhirpath import Engine, Environment, FhirPathError, Host, Node
from fhirserver.fhirpath.environment import NOTHING_LENT
from fhirserver.fhirpath.errors import Misuse
from fhirserver.fhirpath.functions.strings import compiled, work_of
from fhirserver.fhirpath.values.nodes import Primitive
from fhirserver.model.outcome import Issue
from fhirserver.model.reference import Reference
from fhirserver.validation.conformance.elements import Around, Item, resource_item
from fhirserver.validation.conformance.knowledge import Json, Knowledge
from fhirserver.validation.conformance.profile import Profile
from fhirserver.validation.conformance.reading import STRUCTURE, read_profile
from fhirserver.validation.rules import NATIVE, Holds, Rules
from fhirserver.validation.shapes import Shapes

MAX_STEPS: Final = 100_000
"""Elements that one validation holds against what a profile asks of them, each as often as it does."""
MAX_EVALUATED: Final = 300_000
"""Items that all invariants of one validation may look at together."""
REMEMBERED: Final = 1_024
"""Compiled invariants of profiles that are kept."""
CHARACTERS: Final = 200_000
"""What they were written with, together."""


Index = Mapping[str, Mapping[str, Any]]


TOGETHER: Final = 10
"""The validations of one request may do together as much as so many alone."""


class Allowance:
    """How much several validations may still do together."""

    def __init__(self) -> None:
        self._steps = TOGETHER * MAX_STEPS
        self._evaluated = TOGETHER * MAX_EVALUATED
        self._lock = Lock()

    @property
    def is_spent(self) -> bool:
        """Whether nothing is left."""
        return self._steps <= 0 or self._evaluated <= 0

    def left(self) -> tuple[int, int]:
        """The steps and the evaluated items that one validation may take of it."""
        return min(self._steps, MAX_STEPS), min(self._evaluated, MAX_EVALUATED)

    def take(self, steps: int, evaluated: int = 0) -> None:
        """Count what was done."""
        with self._lock:
            self._steps -= steps
            self._evaluated -= evaluated


class Exhausted(Exception):
    """A validation has done as much as it may."""


class Compiled:
    """Invariants of profiles, compiled, for all validations; the oldest make room."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._made: OrderedDict[tuple[str, str], Holds] = OrderedDict()
        self._characters = 0
        self._lock = Lock()

    def select(self, expression: str, resource: Json, environment: Environment) -> list[Node]:
        """What an expression selects of a resource. Raises FhirPathError."""
        return self._engine.select(expression, resource, environment)

    def rule(self, key: str, expression: str, type: str) -> Holds:
        """The condition, on values of a type. Raises FhirPathError."""
        if key in NATIVE:
            return NATIVE[key]
        with self._lock:
            made = self._made.get((expression, type))
            if made is None:
                made = self._engine.rule(expression, type)
                self._made[expression, type] = made
                self._characters += len(expression)
                while len(self._made) > REMEMBERED or self._characters > CHARACTERS:
                    (oldest, _), _ = self._made.popitem(last=False)
                    self._characters -= len(oldest)
            return made


class Session:
    """The state of one validation. `notes` are what it could not look at, each said once."""

    def __init__(
        self,
        shapes: Shapes,
        rules: Rules,
        compiled: Compiled,
        knowledge: Knowledge,
        now: datetime | None,
        allowance: Allowance,
    ) -> None:
        self.shapes = shapes
        self.now = now
        self.rules = rules
        self.knowledge = knowledge
        self.notes: dict[tuple[str, str | None], Issue] = {}
        self.host: Host = NOTHING_LENT
        self._compiled = compiled
        self._profiles: dict[str, Profile | None] = {}
        self._indexes: dict[tuple[int, Any], Index] = {}
        self._selected: dict[tuple[str, int], frozenset[int]] = {}
        self._targets: dict[str, Mapping[str, Any] | None] = {}
        self._allowance = allowance
        self._allowed = allowance.left()
        self._steps, self._evaluated = self._allowed

    def close(self) -> None:
        """Take what was done from the allowance."""
        steps, evaluated = self._allowed
        self._allowance.take(steps - max(self._steps, 0), evaluated - max(self._evaluated, 0))

    def spend(self, steps: int = 1) -> None:
        """Count what is done. Raises Exhausted."""
        self._steps -= steps
        if self._steps < 0:
            raise Exhausted

    def note(self, sentence: str, place: str | None) -> None:
        """Say that something was not looked at."""
        self.notes.setdefault((sentence, place), Issue("information", "not-supported", sentence, place))

    def profile(self, canonical: str) -> Profile | None:
        """The profile of a canonical, read once; None where it is not known, or constrains nothing of R4."""
        if canonical not in self._profiles:
            found = self.knowledge.profile(canonical)
            read = None if found is None else read_profile(found, self.shapes, self.knowledge.profile)
            self._profiles[canonical] = read
        return self._profiles[canonical]

    def type_of(self, canonical: str) -> str | None:
        """R4's type of this canonical; None where it is none."""
        name = unversioned(canonical).removeprefix(STRUCTURE)
        known = self.shapes.definitions.structures
        return name if name in known and name not in ("SimpleQuantity", "MoneyQuantity") else None

    def is_a(self, type: str, ancestor: str) -> bool:
        """Whether a type is another one or derived from it."""
        name: str | None = type
        while name is not None and name != ancestor:
            structure = self.shapes.definitions.structures.get(name)
            name = None if structure is None else structure.base
        return name is not None

    def holds(
        self, key: str, expression: str, item: Item, variables: Mapping[str, Sequence[Node]] | None = None
    ) -> bool | None:
        """Whether an invariant holds of an item. Raises FhirPathError where it cannot be evaluated."""
        environment = self._environment(item)
        environment.variables = variables or {}
        try:
            return self._compiled.rule(key, expression, item.asked_as)(item.focus, environment)
        except RecursionError:
            raise FhirPathError("It goes too deep.", 0, expression) from None
        finally:
            self._evaluated = max(environment.steps, 0)

    def is_selected(self, expression: str, item: Item) -> bool:
        """Whether an expression selects the item of the resource that it is in. Raises FhirPathError."""
        resource = item.around.resource
        key = expression, id(resource)
        if key not in self._selected:
            environment = self._environment(item)
            try:
                found = self._compiled.select(expression, resource, environment)
            finally:
                self._evaluated = max(environment.steps, 0)
            values = (value.element if isinstance(value, Primitive) else value for _, value in found)
            self._selected[key] = frozenset(id(each) for each in values if isinstance(each, dict))
        return id(item.holder) in self._selected[key]

    def matches(self, pattern: str, text: str) -> bool:
        """Whether the whole of a text is of the form of a regular expression. Raises FhirPathError."""
        try:
            expression = compiled(pattern, whole=True)
        except Misuse as misuse:
            raise FhirPathError(str(misuse), 0, pattern) from None
        self.spend(1 + work_of(expression, text))
        return expression.search(text) is not None

    def _environment(self, item: Item) -> Environment:
        """That of an expression about the item, with what is left to evaluate."""
        self.spend()
        if self._evaluated <= 0:
            raise Exhausted
        environment = Environment(item.around.resource)
        if item.around.container is not item.around.resource:
            environment.root = item.around.container
        environment.steps, environment.host, environment.now = self._evaluated, self.host, self.now
        return environment

    def resolved(self, item: Item) -> Item | None:
        """The resource that a Reference or canonical leads to, in the resource itself or in its Bundle; None if it is not there."""
        text = item.value.get("reference") if isinstance(item.value, dict) else item.value
        if not isinstance(text, str):
            return None
        container, bundle = item.around.container, item.around.bundle
        if text == "#":
            found: Mapping[str, Any] | None = container
        elif text.startswith("#"):
            found = self._index(container, _contained).get(text[1:])
        else:
            found = None if bundle is None else self._index(bundle, _entries).get(text)
        if found is None or found.get("resourceType") not in self.shapes.resource_types:
            return None
        around = Around(found, container, bundle) if text.startswith("#") else Around(found, found, bundle)
        return resource_item(found, f"{item.place}.resolve()", around)

    def followed(self, item: Item) -> Item | None:
        """The same, or what is stored and may be read."""
        text = item.value.get("reference") if isinstance(item.value, dict) else None
        found = self.resolved(item)
        if found is not None or not isinstance(text, str) or text.startswith("#"):
            return found
        if text not in self._targets:
            self._targets[text] = self.knowledge.target(text)
        stored = self._targets[text]
        if stored is None or stored.get("resourceType") not in self.shapes.resource_types:
            return None
        return resource_item(stored, f"{item.place}.resolve()", Around(stored, stored))

    def _index(self, holder: Mapping[str, Any], make: Callable[[Mapping[str, Any]], Index]) -> Index:
        if (id(holder), make) not in self._indexes:
            self._indexes[id(holder), make] = make(holder)
        return self._indexes[id(holder), make]

    def target_type(self, item: Item) -> str | None:
        """The resource type of what a Reference leads to, as far as its text and `type` tell."""
        text, stated = item.value.get("reference"), item.value.get("type")
        type = Reference.parse(text).type if isinstance(text, str) else None
        if type is None and isinstance(stated, str):
            type = stated.removeprefix(STRUCTURE)
        return type if type in self.shapes.resource_types else None


def _contained(container: Mapping[str, Any]) -> Index:
    """The contained resources by id."""
    return {str(each.get("id")): each for each in container.get("contained", ()) if isinstance(each, dict)}


def _entries(bundle: Mapping[str, Any]) -> Index:
    """The resources of a Bundle by the texts of references that lead to them."""
    found: dict[str, Mapping[str, Any]] = {}
    for entry in bundle.get("entry", ()):
        resource, url = entry.get("resource"), str(entry.get("fullUrl", ""))
        if isinstance(resource, dict):
            local = f"{resource.get('resourceType')}/{resource.get('id')}"
            for text in {url, local} if not url or url.endswith(f"/{local}") else {url}:
                found.setdefault(text, resource)
    return found


Judge = Callable[[Item, Profile], bool]
"""Whether an item conforms to a profile."""
