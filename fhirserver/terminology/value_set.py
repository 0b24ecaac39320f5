"""Value sets as two questions that agree: whether a code is in it, and which codes are.

The first needs no list of codes, so it is also asked of what is excluded and of value sets that are imported, and it is answered
where the second cannot be: for code systems that are known by a grammar, and for a code of one part when another part is missing.

https://hl7.org/fhir/R4/valueset.html#compositions
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple, TypeVar, cast

from fhirserver.definitions.codes.grammars import GRAMMARS
from fhirserver.definitions.codes.values import unversioned
from fhirserver.model.outcome import BadRequest, FhirError, TooCostly, Unprocessable, Unresolved
from fhirserver.terminology.catalogue import Asked, Catalogue, Json, needed, whole
from fhirserver.terminology.code_system import CodeSystem, Concept
from fhirserver.terminology.filters import Test, cost_of, cost_of_making, test_of

T = TypeVar("T")

MAX_DEPTH: Final = 16
"""Value sets that import one another, one inside the next."""


class Member(NamedTuple):
    """A code of a value set: its system, how the value set lists it (if it does), and what its code system says of it."""

    system: str
    code: str
    version: str | None
    listed: Json
    concept: Concept | None

    @property
    def is_inactive(self) -> bool:
        """Whether it is no longer to be used."""
        return self.listed.get("inactive") is True or (self.concept is not None and self.concept.is_inactive)

    @property
    def is_abstract(self) -> bool:
        """Whether it is not to be chosen."""
        return self.listed.get("abstract") is True or (self.concept is not None and self.concept.is_abstract)


class ValueSet:
    """The codes that a compose describes, or where that cannot be worked out here, those of the expansion that came with it.

    Raises, when it is made, `Wanted` for what it draws on, and for circles.
    """

    def __init__(self, catalogue: Catalogue, resource: Json, within: tuple[str, ...] = ()) -> None:
        self.resource = resource
        url = resource.get("url", "")
        if url and url in within:
            raise Unprocessable(f"The value set '{url[:300]}' includes itself.", code="processing")
        if len(within) >= MAX_DEPTH:
            raise TooCostly(f"Value sets include one another more than {MAX_DEPTH} deep.")
        compose = resource.get("compose")
        self._kept = _Kept(resource["expansion"]) if "expansion" in resource else None
        if compose is None and self._kept is None:
            raise Unprocessable(
                "The value set has neither a compose nor an expansion; which codes it means is not known.",
                code="not-supported",
            )
        self._is_kept = compose is None
        compose = compose or {}
        path = (*within, url)
        self._catalogue = catalogue
        self._without_inactive = compose.get("inactive") is False
        self._includes = [_Part(catalogue, each, path) for each in compose.get("include", ())]
        self._excludes = [_Part(catalogue, each, path) for each in compose.get("exclude", ())]
        self._known: dict[tuple[str, str], Member | FhirError | None] = {}
        self._members: list[Member] | None = None

    def member(self, system: str, code: str) -> Member | None:
        """The code, if it is in the value set. Raises where that depends on something that is not here."""
        key = (system, code)
        if key not in self._known:
            self._catalogue.spend()
            try:
                self._known[key] = self._decided(system, code)
            except FhirError as error:
                self._known[key] = error
        known = self._known[key]
        if isinstance(known, FhirError):
            raise known
        return known

    def members(self) -> list[Member]:
        """Every code, once, in the order of the parts. Raises where something is not here, or too much."""
        if self._members is None:
            self._members = self._whole(self._composed, _Kept.members)
        return self._members

    def _whole(self, work: Callable[[], T], otherwise: Callable[[_Kept], T]) -> T:
        """What the compose gives; what the expansion does where there is no compose, or what it needs is not here."""
        if self._kept is None:
            return work()
        if not self._is_kept:
            try:
                return work()
            except (Unresolved, Unprocessable):
                self._is_kept = True
        self._catalogue.spend(len(self._kept))
        return otherwise(self._kept)

    def _composed(self) -> list[Member]:
        found: dict[tuple[str, str], Member] = {}
        for each in (each for part in self._includes for each in part.members()):
            self._catalogue.spend()
            if (each.system, each.code) not in found and not self._excluded(each):
                found[each.system, each.code] = each
        return list(found.values())

    def listed(self) -> tuple[frozenset[str], list[Member]]:
        """The code systems that are in it whole and known by a grammar, whose codes have no list; and the other codes."""
        if self._excludes:
            return frozenset(), self.members()
        return self._whole(self._by_grammars, lambda kept: (frozenset[str](), kept.members()))

    def _by_grammars(self) -> tuple[frozenset[str], list[Member]]:
        grammars = frozenset[str]().union(*(part.grammars() for part in self._includes))
        return grammars, [each for part in self._includes if not part.grammars() for each in part.members()]

    def parent(self, system: str, code: str, among: Collection[tuple[str, str]]) -> tuple[str, str] | None:
        """The first code above this one that is among others of its system."""
        described = self._catalogue.code_system(system)
        parents = () if described is None else described.hierarchy.parents.get(code, ())
        return next(((system, each) for each in parents if (system, each) in among), None)

    @property
    def systems(self) -> frozenset[str]:
        """The code systems that it draws on."""
        if self._is_kept and self._kept is not None:
            return self._kept.systems
        return frozenset[str]().union(*(part.systems for part in self._includes))

    def _decided(self, system: str, code: str) -> Member | None:
        return self._whole(lambda: self._by_parts(system, code), lambda kept: kept.member(system, code))

    def _by_parts(self, system: str, code: str) -> Member | None:
        failure: FhirError | None = None
        for part in self._includes:
            try:
                found = part.member(system, code)
            except FhirError as error:
                failure = failure or error
                continue
            if found is not None:
                return None if self._excluded(found) else found
        if failure is not None:
            raise failure
        return None

    def _excluded(self, member: Member) -> bool:
        if self._without_inactive and member.is_inactive:
            return True
        return any(part.member(member.system, member.code) is not None for part in self._excludes)


class _Kept:
    """An expansion that came with a value set: what somebody else worked out, flat."""

    def __init__(self, expansion: Json) -> None:
        found: dict[tuple[str, str], Member] = {}
        waiting = list(reversed(expansion.get("contains", ())))
        while waiting:
            each = waiting.pop()
            if "system" in each and "code" in each:
                made = Member(each["system"], each["code"], each.get("version"), each, None)
                found.setdefault((made.system, made.code), made)
            waiting += reversed(each.get("contains", ()))
        self._found = found
        total = expansion.get("total")
        self._is_whole = not expansion.get("offset") and (not isinstance(total, int) or total <= len(found))

    def __len__(self) -> int:
        return len(self._found)

    @property
    def systems(self) -> frozenset[str]:
        """The code systems that it draws on."""
        return frozenset(system for system, _ in self._found)

    def member(self, system: str, code: str) -> Member | None:
        """The code. Raises where it may be in the part that is not here."""
        found = self._found.get((system, code))
        if found is None:
            self._check()
        return found

    def members(self) -> list[Member]:
        """All of it. Raises where it is a part."""
        self._check()
        return list(self._found.values())

    def _check(self) -> None:
        if not self._is_whole:
            raise Unprocessable("Only a part of the value set's expansion is here.", code="not-supported")


class _Part:
    """One include or exclude: codes of a system that are in each of the value sets named beside it."""

    def __init__(self, catalogue: Catalogue, stated: Json, path: tuple[str, ...]) -> None:
        catalogue.spend()
        self._catalogue = catalogue
        self._system: str | None = stated.get("system")
        self._version: str | None = stated.get("version")
        self._filters: Sequence[Json] = stated.get("filter", ())
        self._listed: Mapping[str, Json] | None = None
        if "concept" in stated:
            self._listed = {each["code"]: each for each in stated["concept"] if "code" in each}
        self._imports = [value_set(catalogue, each, path) for each in stated.get("valueSet", ())]
        if self._system is None and not self._imports:
            raise Unprocessable("A part of a value set names neither a code system nor a value set.")
        self._tests: list[Test] | None = None
        self._cost = 0
        # Asked for now, so that everything is at hand before codes are looked at.
        self._described = self._code_system()
        if self._listed is not None and self._described is not None and self._described.is_complete:
            # What a complete code system does not have is no code of it, whoever lists it.
            find = self._described.find
            self._listed = {code: each for code, each in self._listed.items() if find(code) is not None}

    def _code_system(self) -> CodeSystem | None:
        if self._system is None:
            return None
        if self._system not in GRAMMARS:
            return self._catalogue.code_system(self._system, self._version)
        if self._filters:
            raise Unprocessable(f"Codes of '{self._system}' cannot be filtered here: they are made by a grammar.")
        return None

    @property
    def systems(self) -> frozenset[str]:
        """The code systems it draws on."""
        if self._system is not None:
            return frozenset((self._system,))
        return frozenset.intersection(*(each.systems for each in self._imports))

    def grammars(self) -> frozenset[str]:
        """Its system, where that is included whole and has no list."""
        system = self._system
        if system is not None and system in GRAMMARS and self._listed is None and not self._imports:
            return frozenset((system,))
        return frozenset()

    def member(self, system: str, code: str) -> Member | None:
        """The code, if it is in this part."""
        self._catalogue.spend()
        if self._system is None:
            found = self._imports[0].member(system, code)
        else:
            found = self._of_system(code) if system == self._system else None
        if found is None:
            return None
        rest = self._imports[1:] if self._system is None else self._imports
        # What the part itself lists or draws on is found in each imported value set, under the code as that spells it.
        return found if all(each.member(found.system, found.code) is not None for each in rest) else None

    def members(self) -> Iterator[Member]:
        """Its codes. Raises where they have no list."""
        candidates: Iterable[Member] = self._of_whole_system() if self._system else self._imports[0].members()
        rest = self._imports if self._system else self._imports[1:]
        for each in candidates:
            if all(other.member(each.system, each.code) is not None for other in rest):
                yield each

    def _of_system(self, code: str) -> Member | None:
        if self._listed is not None:
            return self._as_listed(code)
        system = str(self._system)
        if system in GRAMMARS:
            return Member(system, code, None, {}, None) if GRAMMARS[system](code) else None
        described = needed(self._catalogue, system, self._version)
        concept = described.find(code)
        if concept is None:
            if not described.is_complete:
                whole(self._catalogue, system, self._version)
            return None
        return self._as_member(described, concept) if self._passes(described, concept) else None

    def _of_whole_system(self) -> Iterator[Member]:
        system = str(self._system)
        if self._listed is not None:
            return (self._listed_member(each) for each in self._listed)
        if system in GRAMMARS:
            raise TooCostly(
                f"The codes of '{system}' have no list: they are made by a grammar. A code can be validated."
            )
        described = whole(self._catalogue, system, self._version)
        concepts = described.concepts.values()
        return (self._as_member(described, each) for each in concepts if self._passes(described, each))

    def _as_listed(self, code: str) -> Member | None:
        listed = self._listed or {}
        if code in listed:
            return self._listed_member(code)
        if self._described is not None and self._described.folds:
            for each in listed:
                if each.casefold() == code.casefold():
                    return self._listed_member(each)
        return None

    def _listed_member(self, code: str) -> Member:
        described = self._described
        concept = None if described is None else described.find(code)
        version = self._version if described is None else described.version
        return Member(str(self._system), code, version, (self._listed or {})[code], concept)

    def _as_member(self, described: CodeSystem, concept: Concept) -> Member:
        return Member(str(self._system), concept.code, described.version, {}, concept)

    def _passes(self, described: CodeSystem, concept: Concept) -> bool:
        if self._tests is None:
            if self._filters:
                whole(self._catalogue, str(self._system), self._version)
            self._catalogue.spend(sum(cost_of_making(described, each) for each in self._filters))
            self._tests = [test_of(described, each) for each in self._filters]
            self._cost = sum(cost_of(each) for each in self._filters)
        self._catalogue.spend(self._cost)
        return all(test(concept) for test in self._tests)


def value_set(catalogue: Catalogue, canonical: str, within: tuple[str, ...] = ()) -> ValueSet:
    """The value set of a canonical. Raises Unresolved where it is not here."""
    asked = asked_for("ValueSet", canonical)
    made = catalogue.made.get(asked)
    if made is None:
        resource = catalogue.resource(asked)
        if resource is None:
            raise asked.absent()
        made = catalogue.made[asked] = ValueSet(catalogue, resource, within)
    return cast("ValueSet", made)


def asked_for(resource_type: str, canonical: Any, version: str | None = None) -> Asked:
    """A canonical, as it is looked up. Raises BadRequest where it names nothing."""
    if not isinstance(canonical, str) or not (url := unversioned(canonical)):
        raise BadRequest("A canonical is a URL, with or without '|' and a version.")
    stated = canonical.partition("#")[0].partition("|")[2]
    if stated and version and stated != version:
        raise BadRequest("Two versions of the same canonical are asked for.")
    return Asked(resource_type, url, stated or version or None)
