"""Holding an item against a profile: everything that the profile asks and the item does not keep.

https://hl7.org/fhir/R4/profiling.html
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from fhirserver.fhirpath import FhirPathError, Host, Node
from fhirserver.fhirpath.errors import Misuse
from fhirserver.fhirpath.values.nodes import plain
from fhirserver.model.json import dump
from fhirserver.model.outcome import Issue, Severity
from fhirserver.validation.conformance.coded import codes, codes_of
from fhirserver.validation.conformance.comparing import is_like, is_same, order
from fhirserver.validation.conformance.elements import Item, children, resource_item, shape_of
from fhirserver.validation.conformance.profile import Bound, ElementDefinition, Profile, TypeRef
from fhirserver.validation.conformance.session import Session
from fhirserver.validation.conformance.slicing import Slices
from fhirserver.validation.rules import PROVEN

_SHOWN: Final = 100
_SEVERITIES: Final[Mapping[str, Severity]] = {"required": "error", "extensible": "warning", "preferred": "information"}
_STRONGER: Final = ("required", "extensible", "preferred", "example")


class Check:
    """Checks of one validation."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._slices = Slices(session, self.conforms, self.keeps)
        self._decided: dict[tuple[int | str, str], bool] = {}
        session.host = Host(conforms_to=self.conforms_to, member_of=self.member_of)

    def issues(self, item: Item, profile: Profile) -> Iterator[Issue]:
        """Everything in which the item leaves the profile."""
        if not self._session.is_a(item.type, profile.type):
            yield _error("value", f"The profile {profile.url} is on {profile.type}, not on {item.type}.", item.place)
            return
        if profile.base is not None:
            self._session.note(
                f"The profile {profile.url} builds on {profile.base}, which is not known here.", item.place
            )
        yield from self._item(item, profile.root, profile)

    def conforms(self, item: Item, profile: Profile) -> bool:
        """Whether there is no error. An item that is being judged is taken to conform: else profiles could ask in circles."""
        # Equal primitives may be one object, so their places tell them apart; those of what is referred to in circles would not end.
        key = (item.place if item.is_primitive else id(item.value), profile.url)
        if key not in self._decided:
            self._decided[key] = True
            self._decided[key] = not any(each.severity == "error" for each in self.issues(item, profile))
        return self._decided[key]

    def keeps(self, item: Item, asked: ElementDefinition, profile: Profile) -> bool:
        """Whether one item keeps, without error, what is asked of it."""
        return not any(each.severity == "error" for each in self._item(item, asked, profile))

    def _item(self, item: Item, asked: ElementDefinition, profile: Profile) -> Iterator[Issue]:
        self._session.spend()
        if asked.types is not None and not self._has_type(item, asked.types):
            names = ", ".join(dict.fromkeys(each.code for each in asked.types))
            yield _error(
                "value", f"{_named(asked)} is of the type {item.type}; {_by(profile)} allows {names}.", item.place
            )
            return
        yield from self._value(item, asked, profile)
        if asked.binding is not None:
            yield from self._binding(item, asked.binding, asked, profile)
        yield from self._invariants(item, asked, profile)
        if asked.types is not None:
            yield from self._typed(item, asked.types, profile)
        yield from self._children(item, asked, profile)

    def conforms_to(self, node: Node, canonical: str) -> bool | None:
        """`conformsTo()` in an invariant, of a resource. Raises Misuse for what no profile can be found for."""
        type, value = node
        if type not in self._session.shapes.resource_types:
            raise Misuse("conformsTo() is decided of resources only.")
        own = self._session.type_of(canonical)
        if own is not None:
            return self._session.is_a(type, own)
        profile = self._session.profile(canonical)
        if profile is None:
            raise Misuse(f"The profile {canonical[:300]} is not known here.")
        return self.conforms(resource_item(value), profile)

    def member_of(self, node: Node, value_set: str) -> bool | None:
        """`memberOf()` in an invariant. Raises Misuse where it is not known here what is in the value set."""
        found = codes(node[0], plain(node[1]))
        if not found:
            return None if found is None else False
        answer = self._session.knowledge.contains(value_set, found)
        if answer is None:
            raise Misuse(f"The value set {value_set[:300]} is not known here, or not in full.")
        return answer

    def _has_type(self, item: Item, types: Sequence[TypeRef]) -> bool:
        return any(not each.code or self._session.is_a(item.type, each.code) for each in types)

    def _value(self, item: Item, asked: ElementDefinition, profile: Profile) -> Iterator[Issue]:
        if asked.fixed is not None and not is_same(item.value, asked.fixed[0]):
            yield _error(
                "value", f"{_named(asked)} must be exactly {_shown(asked.fixed[0])} by {_by(profile)}.", item.place
            )
        if asked.pattern is not None and not is_like(item.value, asked.pattern[0], self._session.spend):
            yield _error(
                "value", f"{_named(asked)} must have {_shown(asked.pattern[0])} by {_by(profile)}.", item.place
            )
        if isinstance(item.value, str):
            yield from self._text(item, item.value, asked, profile)
        for bound, beyond, word in ((asked.lowest, -1, "least"), (asked.highest, 1, "most")):
            if bound is None or item.value is None:
                continue
            found = order(item.type, item.value, bound[0])
            if found is None:
                self._session.note(f"{_named(asked)} could not be compared with a bound of {_by(profile)}.", item.place)
            elif found == beyond:
                yield _error("value", f"{_named(asked)} is at {word} {_shown(bound[0])} by {_by(profile)}.", item.place)

    def _text(self, item: Item, text: str, asked: ElementDefinition, profile: Profile) -> Iterator[Issue]:
        """Of a primitive that is a text: its length and its form."""
        has = f"{_named(asked)} has {len(text)} characters; {_by(profile)}"
        if asked.max_length is not None and len(text) > asked.max_length:
            yield _error("too-long", f"{has} allows {asked.max_length}.", item.place)
        if asked.min_length is not None and len(text) < asked.min_length:
            yield _error("value", f"{has} asks for {asked.min_length}.", item.place)
        for pattern in asked.regexes:
            try:
                if not self._session.matches(pattern, text):
                    sentence = f"{_named(asked)} must be of the form {_shown(pattern)} by {_by(profile)}."
                    yield _error("value", sentence, item.place)
            except FhirPathError as error:
                self._session.note(
                    f"A form that {_by(profile)} asks for was not looked at: {error.message}", item.place
                )

    def _binding(self, item: Item, bound: Bound, asked: ElementDefinition, profile: Profile) -> Iterator[Issue]:
        codes = codes_of(item)
        if codes is None or (item.value is None) or self._is_of_type(item, bound):
            return
        for value_set, strength in ((bound.value_set, bound.strength), (bound.maximum, "required")):
            if value_set is None or strength not in _SEVERITIES:
                continue
            if not codes:
                if strength == "preferred":
                    continue
                is_in, found = False, "has no code with its system"
            else:
                answer = self._session.knowledge.contains(value_set, codes)
                if answer is None:
                    if strength != "preferred":
                        self._session.note(
                            f"The value set {value_set} of {_by(profile)} is not known here, or not in full.",
                            item.place,
                        )
                    continue
                is_in, found = (
                    answer,
                    "has the code " + ", ".join(f"{each.system or ''}|{each.code}" for each in codes)[:200],
                )
            if not is_in:
                severity = _SEVERITIES[strength]
                sentence = f"{_named(asked)} {found}; {_by(profile)} binds it to {value_set} ({strength})."
                yield Issue(severity, "code-invalid", sentence, item.place)

    def _is_of_type(self, item: Item, bound: Bound) -> bool:
        """Whether R4 itself binds the element so, and it was judged by that."""
        own = None if item.definition is None else item.definition.element.binding
        if own is None or own.value_set is None or bound.value_set is None or bound.maximum is not None:
            return False
        is_same_set = own.value_set == bound.value_set.partition("|")[0]
        return is_same_set and _STRONGER.index(own.strength) <= _rank(bound.strength)

    def _invariants(self, item: Item, asked: ElementDefinition, profile: Profile) -> Iterator[Issue]:
        if not asked.constraints:
            return
        session, definition = self._session, item.definition
        own = (
            session.rules.of(item.type)
            if definition is None or item.is_resource
            else session.shapes.rules_of(definition, session.rules)
        )
        known = PROVEN | {each.key for each in own}
        for each in asked.constraints:
            if each.key in known:
                continue
            try:
                if not session.holds(each.key, each.expression, item):
                    severity: Severity = "warning" if each.severity == "warning" else "error"
                    asks = each.human or f"This must hold: {each.expression} ."
                    sentence = f"{each.key}: {asks[:500]} So {_by(profile)} asks."
                    yield Issue(severity, "invariant", sentence, item.place)
            except FhirPathError as error:
                session.note(f"{each.key} of {_by(profile)} could not be evaluated: {error.message}", item.place)

    def _typed(self, item: Item, types: Sequence[TypeRef], profile: Profile) -> Iterator[Issue]:
        """The profiles of the value's type, and of what it refers to."""
        fitting = [each for each in types if self._session.is_a(item.type, each.code)]
        named = tuple(dict.fromkeys(one for each in fitting for one in each.profiles))
        if named and all(each.profiles for each in fitting):
            yield from self._one_of(item, named, profile)
        targets = tuple(dict.fromkeys(one for each in fitting for one in each.targets))
        if item.type == "Reference" and targets and all(each.targets for each in fitting):
            yield from self._target(item, targets, profile)

    def _one_of(self, item: Item, named: Sequence[str], profile: Profile) -> Iterator[Issue]:
        """The item against profiles of which it has to keep one."""
        if any(self._session.type_of(each) is not None for each in named):
            return  # the type itself, which was looked at
        found = [self._session.profile(each) for each in named]
        known = [each for each in found if each is not None]
        if len(known) < len(named):
            if not any(self.conforms(item, each) for each in known):
                missing = ", ".join(each for each, one in zip(named, found, strict=True) if one is None)
                self._session.note(
                    f"The profile {profile.url} asks for {missing}, which is not known here.", item.place
                )
        elif len(known) == 1:
            yield from self.issues(item, known[0])
        elif not any(self.conforms(item, each) for each in known):
            yield _error(
                "value", f"This conforms to none of {', '.join(named)}; {_by(profile)} asks for one.", item.place
            )

    def _target(self, item: Item, targets: Sequence[str], profile: Profile) -> Iterator[Issue]:
        session, target = self._session, self._session.resolved(item)
        type = target.type if target is not None else session.target_type(item)
        if type is None:
            return
        fitting, unknown = [], False
        for each in targets:
            own = session.type_of(each)
            if own is not None:
                if session.is_a(type, own):
                    return
                continue
            found = session.profile(each)
            unknown |= found is None
            if found is not None and session.is_a(type, found.type):
                fitting.append(found)
        if not fitting and not unknown:
            sentence = f"This refers to a resource of type {type}; {_by(profile)} asks for {', '.join(targets)}."
            yield _error("value", sentence, item.place)
        elif unknown or (target := target or session.followed(item)) is None:
            session.note(
                f"The profile {profile.url} asks what this refers to for {', '.join(targets)}; it was not followed.",
                item.place,
            )
        elif not any(self.conforms(target, each) for each in fitting):
            sentence = f"What this refers to conforms to none of {', '.join(targets)}; {_by(profile)} asks for one."
            yield _error("value", sentence, item.place)

    def _children(self, item: Item, asked: ElementDefinition, profile: Profile) -> Iterator[Issue]:
        below = asked
        if not asked.children and asked.content_reference is not None:
            below = profile.at(asked.content_reference) or asked
        for name, child in below.children.items():
            if item.is_primitive and name == "value":
                yield from self._value(item, child, profile)  # what a profile on a primitive type says of its value
                continue
            items = list(children(self._session.shapes, item, name))
            yield from self._count(items, child, item, profile)
            yield from self._items(items, child, item, profile)
        if not item.is_primitive:
            yield from self._again(item, below, profile)

    def _again(self, item: Item, below: ElementDefinition, profile: Profile) -> Iterator[Issue]:
        """Elements that share the content of another, of which the profile says something: `item` in an item."""
        for property in shape_of(self._session.shapes, item).properties.values():
            path = property.element.content_reference
            if path is None or property.name in below.children or property.name not in item.holder:
                continue
            shared = profile.at(path)
            if shared is not None and shared.children:
                content = ElementDefinition(property.name, children=shared.children)
                for each in children(self._session.shapes, item, property.name):
                    yield from self._item(each, content, profile)

    def _count(
        self, items: Sequence[Item], asked: ElementDefinition, parent: Item, profile: Profile
    ) -> Iterator[Issue]:
        place, count = f"{parent.place}.{asked.name}", len(items)
        if count < asked.min and (asked.slice is not None or count >= self._least(parent, asked.name)):
            found = "is missing" if count == 0 else f"is there {count} times"
            least = "it" if asked.min == 1 else f"at least {asked.min}"
            yield _error("required", f"{_named(asked)} {found}; {_by(profile)} asks for {least}.", place)
        if asked.max is not None and count > asked.max:
            if asked.max == 0:
                sentence = f"{_named(asked)} must not be given by {_by(profile)}."
            else:
                sentence = f"{_named(asked)} is there {count} times; {_by(profile)} allows {asked.max}."
            yield _error("value", sentence, items[0].place if asked.max == 0 else place)

    def _least(self, parent: Item, name: str) -> int:
        """How many R4 itself asks for, which was looked at."""
        properties = shape_of(self._session.shapes, parent).properties.values()
        return max((each.element.min for each in properties if each.stem == name), default=0)

    def _items(
        self, items: Sequence[Item], asked: ElementDefinition, parent: Item, profile: Profile
    ) -> Iterator[Issue]:
        if asked.max == 0:
            return
        for each in items:
            yield from self._item(each, asked, profile)
        if asked.slicing is None or (not asked.slices and asked.slicing.rules != "closed"):
            return
        if asked.types is not None:
            # Of another type than any slice may have, which was said.
            items = [each for each in items if self._has_type(each, asked.types)]
        found = self._slices.distributed(items, asked, profile)
        yield from found.issues
        for name, slice in asked.slices.items():
            own = found.of.get(name, [])
            counted = slice if not found.undecided else replace(slice, min=0)
            yield from self._count(own, counted, parent, profile)
            yield from self._items(own, slice, parent, profile)


def _rank(strength: str) -> int:
    return _STRONGER.index(strength) if strength in _STRONGER else len(_STRONGER)


def _error(code: str, sentence: str, place: str) -> Issue:
    return Issue("error", code, sentence, place)


def _named(asked: ElementDefinition) -> str:
    return asked.label[:1].upper() + asked.label[1:]


def _by(profile: Profile) -> str:
    return f"the profile {profile.url}"


def _shown(value: Any) -> str:
    text = dump(value).decode()
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
