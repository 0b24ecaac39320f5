"""The reader of criteria: what a name and a value ask of resources of a type, also where the name leads to other resources.

A chain goes from a reference of the resource to what it refers to (`subject:Patient.name`), a reverse chain from the resource to
those that refer to it (`_has:Observation:patient:code`), and a list is a reverse chain by another name. Where a reference may
point to several types and the chain does not say which, all of them that have the parameter are meant.

https://hl7.org/fhir/R4/search.html#chaining and https://hl7.org/fhir/R4/search.html#has
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from fhirserver.definitions import Definitions
from fhirserver.model.outcome import BadRequest, TooCostly
from fhirserver.search.expression import Chain, Expression, Has, In, all_of, any_of, negate
from fhirserver.search.parameters.term import Circumstances, Term
from fhirserver.search.query.criteria import plain
from fhirserver.search.query.criteria.current import CURRENT
from fhirserver.search.query.escaping import unescape
from fhirserver.search.query.includes import canonical_targets
from fhirserver.search.query.unsupported import Unsupported, UnsupportedAlways
from fhirserver.search.registry import PROHIBITS, Registry, Searchable, registry, resource_types
from fhirserver.search.request import Bounds

HAS: Final = "_has"
LIST: Final = "_list"
FILTER: Final = "_filter"
_ID: Final = "_id"

_PIECE: Final = 50
"""Characters of a value that count as one more: it may be made of many words."""
_CANONICAL: Final = "'{}' refers by canonical URL, which chains do not follow: search for the URL itself."


@dataclass(slots=True)
class Reader:
    """Reads the criteria of one search, within its bounds."""

    definitions: Definitions
    circumstances: Circumstances
    now: datetime
    bounds: Bounds
    _followed: int = field(default=0, init=False)
    _values: int = field(default=0, init=False)
    _depths: dict[str, int] = field(default_factory=dict, init=False)

    def follows(self, name: str) -> bool:
        """Whether a name is more than a parameter of the type itself."""
        return name in (LIST, FILTER) or name.startswith(f"{HAS}:") or "." in name

    def read(self, resource_type: str, name: str, value: str) -> Expression | None:
        """What is asked; None where there is no value. Raises Unsupported, BadRequest or TooCostly."""
        if name == FILTER:
            return self._filter(resource_type, value)
        if name == LIST:
            return self._list(resource_type, value)
        if name.startswith(f"{HAS}:"):
            return self._has(resource_type, name, value)
        if "." in name:
            return self._chain(resource_type, name, value)
        searchable, modifier = plain.looked_up(self.definitions, resource_type, name)
        return self.plain(name, registry(self.definitions, resource_type), searchable, modifier, value)

    def plain(self, name: str, known: Registry, searchable: Searchable, modifier: str, value: str) -> Expression | None:
        """What is asked of a parameter of the type itself; None where there is no value."""
        alternatives = plain.alternatives(name, value, self.bounds.alternatives)
        if not alternatives:
            return None
        return plain.condition(known, searchable, self.term(name, searchable, modifier, alternatives))

    def term(self, name: str, searchable: Searchable, modifier: str, alternatives: tuple[str, ...]) -> Term:
        """The term of a parameter, as its type reads it. Raises TooCostly."""
        self._values += sum(1 + len(each) // _PIECE for each in alternatives)
        if self._values > self.bounds.values:
            raise TooCostly(f"The search names more than {self.bounds.values} values; ask for fewer at a time.")
        return Term(
            name[:100],
            searchable.path,
            searchable.targets,
            modifier,
            alternatives,
            self.circumstances,
            self.now,
            searchable.scalars,
            is_moment=searchable.is_moment,
        )

    def follow(
        self, resource_type: str, step: str, build: Callable[[str], Expression | None], *, wanted: str = ""
    ) -> Expression | None:
        """What `build` asks of what the reference parameter `step` refers to, in each type that it can be asked of."""
        searchable = self._reference(resource_type, step)
        if wanted and wanted not in resource_types(self.definitions):
            raise Unsupported(f"'{step[:100]}:{wanted[:100]}' names a resource type that does not exist.")
        if wanted and searchable.targets and wanted not in searchable.targets:
            raise BadRequest(f"The parameter '{step}' does not point to {wanted}.")
        targets = (wanted,) if wanted else searchable.targets or tuple(sorted(resource_types(self.definitions)))
        found: list[Expression] = []
        refusal: Unsupported | None = None
        with self._deeper("chain", self.bounds.chain):
            for target in targets:
                try:
                    asked = build(target)
                except Unsupported as reason:
                    # A parameter that some type has, and not its modifier, says more than one that a type does not have.
                    refusal = reason if refusal is None or isinstance(reason, UnsupportedAlways) else refusal
                    continue
                if asked is None:
                    return None
                self._count(step)
                found.append(Chain(searchable.path, target, asked))
        if not found:
            assert refusal is not None  # noqa: S101
            if len(targets) == 1:
                raise refusal
            raise type(refusal)(f"Nothing that '{step}' of {resource_type} points to can be searched so.")
        return any_of(*found)

    def _chain(self, resource_type: str, name: str, value: str) -> Expression | None:
        step, _, rest = name.partition(".")
        code, _, wanted = step.partition(":")
        if not rest or not code or step.endswith(":"):
            raise BadRequest("A chain is written reference.parameter or reference:Type.parameter.")
        return self.follow(resource_type, code, lambda target: self.read(target, rest, value), wanted=wanted)

    def _has(self, resource_type: str, name: str, value: str) -> Expression | None:
        parts = name.split(":", 3)
        if len(parts) != 4 or not all(parts):
            raise BadRequest("A reverse chain is written _has:Type:reference:parameter.")
        _, source_type, step, rest = parts
        if source_type not in resource_types(self.definitions):
            raise Unsupported("'_has' names a resource type that does not exist.")
        searchable = self._reference(source_type, step)
        if searchable.targets and resource_type not in searchable.targets:
            raise Unsupported(f"'{source_type}:{step}' does not point to {resource_type}.")
        with self._deeper(HAS, self.bounds.has):
            asked = self.read(source_type, rest, value)
        self._count(step)
        return None if asked is None else Has(source_type, searchable.path, asked)

    def _list(self, resource_type: str, value: str) -> Expression | None:
        named = [unescape(each) for each in plain.alternatives(LIST, value, self.bounds.alternatives)]
        if not named:
            return None
        found = [self._current(resource_type, each) for each in named if each.startswith("$")]
        ids = frozenset(each.removeprefix("List/") for each in named if not each.startswith("$"))
        if ids:
            self._count(LIST)
            item = registry(self.definitions, "List").searchable["item"]
            found.append(Has("List", item.path, In(_ID, ids)))
        return any_of(*found)

    def _current(self, resource_type: str, name: str) -> Expression:
        """What of this type is on one of R4's current lists."""
        if name not in CURRENT:
            raise Unsupported(f"The current lists are {', '.join(CURRENT)}; any other List is named by its id.")
        filters = CURRENT[name]
        if resource_type not in filters:
            raise Unsupported(f"On the list '{name}' is {' and '.join(filters)}, not {resource_type}.")
        return all_of(
            self._filter(resource_type, filters[resource_type]), negate(In(f"index.{PROHIBITS}", frozenset({True})))
        )

    def _filter(self, resource_type: str, value: str) -> Expression:
        # Not above: filters are made of criteria, and criteria of filters.
        from fhirserver.search.query.filtering import filtered

        return filtered(self, resource_type, value)

    def _reference(self, resource_type: str, code: str) -> Searchable:
        found = registry(self.definitions, resource_type).searchable.get(code)
        if found is None:
            raise Unsupported(f"{resource_type} has no search parameter '{code[:100]}' to follow.")
        if found.type != "reference":
            raise Unsupported(
                f"The parameter '{code}' of {resource_type} is not a reference: nothing stands behind it."
            )
        if canonical_targets(self.definitions, resource_type, code):
            raise Unsupported(_CANONICAL.format(code))
        return found

    def _count(self, step: str) -> None:
        self._followed += 1
        if self._followed > self.bounds.followed:
            raise TooCostly(
                f"The search looks into more than {self.bounds.followed} kinds of other resources at '{step[:100]}'. "
                "Say which type is meant, as in 'subject:Patient.name'."
            )

    @contextmanager
    def _deeper(self, kind: str, most: int) -> Iterator[None]:
        depth = self._depths.get(kind, 0)
        if depth >= most:
            what = "A reverse chain ('_has') is nested" if kind == HAS else "A chain has"
            unit = "deep" if kind == HAS else "steps"
            raise TooCostly(f"{what} at most {most} {unit}.")
        self._depths[kind] = depth + 1
        try:
            yield
        finally:
            self._depths[kind] = depth
