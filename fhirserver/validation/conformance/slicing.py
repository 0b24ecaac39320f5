"""Slicing: which value belongs to which slice, by the discriminators, and whether the slices stand as they must.

https://hl7.org/fhir/R4/profiling.html#slicing
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from fhirserver.definitions.codes.values import unversioned
from fhirserver.model.outcome import Issue
from fhirserver.validation.conformance.coded import codes_of
from fhirserver.validation.conformance.comparing import is_like, is_same
from fhirserver.validation.conformance.discriminators import Step, read_path
from fhirserver.validation.conformance.elements import Item, children
from fhirserver.validation.conformance.profile import Discriminator, ElementDefinition, Profile, Slicing
from fhirserver.validation.conformance.session import Judge, Session

Keeps = Callable[[Item, ElementDefinition, Profile], bool]
Verdict = bool | None
"""Whether a value is in a slice; None where that cannot be decided."""

_BOUND: Final = ("required", "extensible")


@dataclass(slots=True)
class Distribution:
    """The values by slice, those of which it cannot be decided, and what is wrong with how they stand."""

    of: dict[str, list[Item]] = field(default_factory=dict)
    undecided: list[Item] = field(default_factory=list)
    issues: list[Issue] = field(default_factory=list)


class Slices:
    """Tells slices apart. What is asked of the values is judged by the two functions that are lent."""

    def __init__(self, session: Session, conforms: Judge, keeps: Keeps) -> None:
        self._session = session
        self._conforms = conforms
        self._keeps = keeps

    def distributed(self, items: Sequence[Item], asked: ElementDefinition, profile: Profile) -> Distribution:
        """The values of a sliced element by slice."""
        found, slicing = Distribution(), asked.slicing or Slicing()
        places: list[int | None] = []
        order = {name: index for index, name in enumerate(asked.slices)}
        for item in items:
            name, is_decided = self._slice_of(item, asked, slicing, profile)
            places.append(None if name is None else order[name])
            if name is not None:
                found.of.setdefault(name, []).append(item)
            elif not is_decided:
                found.undecided.append(item)
        if found.undecided:
            paths = ", ".join(f"{each.type}:{each.path}" for each in slicing.discriminators) or "nothing"
            sentence = (
                f'The slices of "{asked.name}" by {paths} in the profile {profile.url} could not be told apart here.'
            )
            self._session.note(sentence, found.undecided[0].place)
        else:
            found.issues += _standing(items, places, asked, slicing, profile)
        return found

    def _slice_of(
        self, item: Item, asked: ElementDefinition, slicing: Slicing, profile: Profile
    ) -> tuple[str | None, bool]:
        """The slice, and whether it is decided that there is none."""
        is_decided = True
        for name, slice in asked.slices.items():
            self._session.spend()
            verdict = self._is_in(item, slice, slicing, profile)
            if verdict:
                return name, True
            is_decided &= verdict is not None
        return None, is_decided

    def _is_in(self, item: Item, slice: ElementDefinition, slicing: Slicing, profile: Profile) -> Verdict:
        if not slicing.discriminators:
            return None
        verdicts = [self._by(each, item, slice, profile) for each in slicing.discriminators]
        return False if False in verdicts else None if None in verdicts else True

    def _by(self, discriminator: Discriminator, item: Item, slice: ElementDefinition, profile: Profile) -> Verdict:
        steps = read_path(discriminator.path)
        if steps is None or discriminator.type not in ("value", "pattern", "exists", "type", "profile"):
            return None
        return self._along(steps, discriminator.type, [item], slice, profile)

    def _along(
        self, steps: Sequence[Step], kind: str, items: Sequence[Item], asked: ElementDefinition, profile: Profile
    ) -> Verdict:
        """Whether some of the items has, along the path, what the slice asks there; None if it asks nothing."""
        if not steps:
            return self._at(kind, items, asked, profile)
        step, rest = steps[0], steps[1:]
        if step.kind == "resolve":
            return self._resolved(rest, kind, items, asked, profile)
        if step.kind == "ofType":
            typed = [each for each in items if each.type == step.name]
            return self._along(rest, kind, typed, asked, profile)
        if step.kind == "extension":
            return self._extension(step.name, rest, kind, items, asked, profile)
        return self._child(step.name, rest, kind, items, asked, profile)

    def _child(
        self,
        name: str,
        rest: Sequence[Step],
        kind: str,
        items: Sequence[Item],
        asked: ElementDefinition,
        profile: Profile,
    ) -> Verdict:
        if name == "url" and not rest and asked.type_profiles and "url" not in asked.children:
            urls = {unversioned(each) for each in asked.type_profiles}
            return any(each.holder.get("url") in urls for each in items)
        below = [child for each in items for child in children(self._session.shapes, each, name)]
        verdicts = []
        for definition, owner in self._definitions(name, asked, profile):
            verdicts.append(self._along(rest, kind, below, definition, owner))
            verdicts += [
                self._along(rest, kind, below, each, owner) for each in definition.slices.values() if each.min > 0
            ]
        said = [each for each in verdicts if each is not None]
        return all(said) if said else None

    def _definitions(
        self, name: str, asked: ElementDefinition, profile: Profile
    ) -> list[tuple[ElementDefinition, Profile]]:
        """What is asked of the children of one name: by the element, by its fixed value or pattern, by the profile of its type."""
        if name in asked.children:
            return [(asked.children[name], profile)]
        for value, is_fixed in ((asked.fixed, True), (asked.pattern, False)):
            if value is not None and isinstance(value[0], dict) and name in value[0]:
                stated = value[0][name]
                made = (_implied(name, each, is_fixed) for each in (stated if isinstance(stated, list) else [stated]))
                return [(each, profile) for each in made]
        found = []
        for each in asked.type_profiles:
            known = self._session.profile(each)
            if known is not None and name in known.root.children:
                found.append((known.root.children[name], known))
        return found

    def _extension(
        self,
        url: str,
        rest: Sequence[Step],
        kind: str,
        items: Sequence[Item],
        asked: ElementDefinition,
        profile: Profile,
    ) -> Verdict:
        shapes = self._session.shapes
        below = [one for each in items for one in children(shapes, each, "extension") if one.holder.get("url") == url]
        sliced = asked.children.get("extension")
        for each in () if sliced is None else sliced.slices.values():
            if url in {unversioned(one) for one in each.type_profiles}:
                return self._along(rest, kind, below, each, profile)
        return None

    def _resolved(
        self, rest: Sequence[Step], kind: str, items: Sequence[Item], asked: ElementDefinition, profile: Profile
    ) -> Verdict:
        """What a reference leads to, by the profiles that the slice asks of it."""
        targets = [one for each in asked.types or () for one in each.targets]
        found = [self._session.resolved(each) for each in items]
        if kind == "type" and not rest:
            types = [
                self._session.target_type(item) if target is None else target.type
                for item, target in zip(items, found, strict=True)
            ]
            wanted = [self._type_asked(each) for each in targets]
            if not targets or None in types or None in wanted:
                return None
            return any(self._session.is_a(str(type), str(each)) for type in types for each in wanted)
        if None in found:
            return None
        known = [each for each in map(self._session.profile, targets) if each is not None]
        verdicts = [
            self._along(rest, kind, [each for each in found if each is not None], each.root, each) for each in known
        ]
        return True if True in verdicts else None if not verdicts or None in verdicts else False

    def _type_asked(self, canonical: str) -> str | None:
        own = self._session.type_of(canonical)
        if own is not None:
            return own
        profile = self._session.profile(canonical)
        return None if profile is None else profile.type

    def _at(self, kind: str, items: Sequence[Item], asked: ElementDefinition, profile: Profile) -> Verdict:
        """The end of the path."""
        if kind == "exists":
            return not items if asked.max == 0 else bool(items) if asked.min > 0 else None
        if kind == "type":
            types = asked.types
            return None if types is None else any(self._session.is_a(i.type, t.code) for i in items for t in types)
        if kind == "profile":
            return self._by_profile(items, asked)
        return self._by_value(items, asked, profile)

    def _by_profile(self, items: Sequence[Item], asked: ElementDefinition) -> Verdict:
        named = [one for each in asked.types or () for one in each.profiles]
        known = [each for each in map(self._session.profile, named) if each is not None]
        if any(
            self._session.is_a(item.type, each.type) and self._conforms(item, each) for item in items for each in known
        ):
            return True
        return False if named and len(known) == len(named) else None

    def _by_value(self, items: Sequence[Item], asked: ElementDefinition, profile: Profile) -> Verdict:
        if asked.fixed is not None:
            return any(is_same(each.value, asked.fixed[0]) for each in items)
        if asked.pattern is not None:
            return any(is_like(each.value, asked.pattern[0], self._session.spend) for each in items)
        if _asks(asked):
            return any(self._keeps(each, asked, profile) for each in items)
        if asked.binding is not None and asked.binding.strength in _BOUND and asked.binding.value_set is not None:
            return self._bound(items, asked.binding.value_set)
        return None

    def _bound(self, items: Iterable[Item], value_set: str) -> Verdict:
        codes = [code for each in items for code in codes_of(each) or ()]
        return self._session.knowledge.contains(value_set, codes) if codes else False


def _asks(asked: ElementDefinition) -> bool:
    """Whether anything in the element is fixed, at any depth."""
    if asked.fixed is not None or asked.pattern is not None:
        return True
    return any(_asks(each) for each in (*asked.children.values(), *asked.slices.values()))


def _implied(name: str, value: Any, is_fixed: bool) -> ElementDefinition:
    """What a fixed value or pattern above asks of one of its parts."""
    return ElementDefinition(name, fixed=(value,)) if is_fixed else ElementDefinition(name, pattern=(value,))


def _standing(
    items: Sequence[Item], places: Sequence[int | None], asked: ElementDefinition, slicing: Slicing, profile: Profile
) -> list[Issue]:
    """What is wrong with the order of the values, and with those that are in no slice."""
    found, last = [], -1
    last_sliced = max((index for index, place in enumerate(places) if place is not None), default=-1)
    for index, (item, place) in enumerate(zip(items, places, strict=True)):
        if place is None:
            is_out = slicing.rules == "closed" or (slicing.rules == "openAtEnd" and index < last_sliced)
            where = "" if slicing.rules == "closed" else " before the last of them"
            if is_out:
                sentence = f'This "{asked.name}" is in none of the slices that the profile {profile.url} allows{where}.'
                found.append(Issue("error", "value", sentence, item.place))
        elif slicing.ordered and place < last:
            sentence = f'This "{asked.name}" does not stand in the order of slices of the profile {profile.url}.'
            found.append(Issue("error", "value", sentence, item.place))
        else:
            last = place
    return found
