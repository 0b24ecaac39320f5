"""Reading profiles: from a StructureDefinition's snapshot, or from its differential over what it is built on.

https://hl7.org/fhir/R4/profiling.html#snapshot
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

from fhirserver.definitions.codes.values import unversioned
from fhirserver.validation.conformance.profile import (
    Asked,
    Bound,
    Discriminator,
    ElementDefinition,
    Json,
    Profile,
    Slicing,
    TypeRef,
)
from fhirserver.validation.shapes import Property, Shapes

MAX_BASES: Final = 20
"""Profiles that are built on one another."""
MAX_ELEMENTS: Final = 5_000
"""Elements of one profile."""
MAX_DEPTH: Final = 50
"""Steps of one element's path."""
STRUCTURE: Final = "http://hl7.org/fhir/StructureDefinition/"
_SYSTEM: Final = "http://hl7.org/fhirpath/System."
_MAX_VALUE_SET: Final = f"{STRUCTURE}elementdefinition-maxValueSet"
_REGEX: Final = f"{STRUCTURE}regex"
_MIN_LENGTH: Final = f"{STRUCTURE}minLength"
_BY_URL: Final = Slicing((Discriminator("value", "url"),))
_BY_TYPE: Final = Slicing((Discriminator("type", "$this"),))

Find = Callable[[str], Json | None]
"""The StructureDefinition of a canonical, or None."""


def read_profile(definition: Json, shapes: Shapes, find: Find) -> Profile | None:
    """The profile; None if it is no constraint on a type of R4, or too large to be read."""
    type = definition.get("type")
    if not isinstance(type, str) or type not in shapes.definitions.structures:
        return None
    root, missing = _root(definition, type, shapes, find, 0)
    if root is None:
        return None
    contexts = tuple((str(each.get("type")), str(each.get("expression"))) for each in definition.get("context", ()))
    invariants = tuple(each for each in definition.get("contextInvariant", ()) if isinstance(each, str))
    return Profile(str(definition.get("url", "")), type, contexts, invariants, root, missing)


def _root(
    definition: Json, type: str, shapes: Shapes, find: Find, depth: int
) -> tuple[ElementDefinition | None, str | None]:
    """The root element, and the canonical of what is missing to build it."""
    snapshot = definition.get("snapshot")
    if snapshot is not None:
        return _built(ElementDefinition(type), type, snapshot, shapes), None
    base, missing = definition.get("baseDefinition"), None
    root: ElementDefinition | None = ElementDefinition(type)
    if isinstance(base, str) and unversioned(base).removeprefix(STRUCTURE) not in shapes.definitions.structures:
        found = find(base) if depth < MAX_BASES else None
        if found is None:
            missing = base
        else:
            root, missing = _root(found, type, shapes, find, depth + 1)
    if root is None:
        return None, missing
    return _built(root, type, definition.get("differential", {}), shapes), missing


def _built(root: ElementDefinition, type: str, part: Json, shapes: Shapes) -> ElementDefinition | None:
    elements = part.get("element", ())
    if len(elements) > MAX_ELEMENTS:
        return None
    builder = _Builder(root, type, shapes)
    for element in elements:
        if str(element.get("path")).count(".") > MAX_DEPTH:
            return None
        builder.add(element)
    return root


class _Builder:
    """Puts elements into a tree, in their order: a path without its slices means the slice that came last."""

    def __init__(self, root: ElementDefinition, type: str, shapes: Shapes) -> None:
        self._root = root
        self._type = type
        self._shapes = shapes
        self._last: dict[str, str] = {}

    def add(self, element: Json) -> None:
        """Merge one element of a snapshot or differential into the tree."""
        path = str(element.get("path", ""))
        parent, found, shape = self._root, self._root, self._type
        for name, slice in _named(element, path) or self._tracked(element, path):
            parent = found
            found, shape, is_short = self._step(found, shape, name, slice)
        if found is not self._root and is_short:
            # Named by its type, `valueQuantity`: no other type is left.
            parent.children[found.name].types = found.types
        _merge(found, element)

    def _tracked(self, element: Json, path: str) -> list[tuple[str, str | None]]:
        """The steps of an element without an id that tells."""
        names = path.split(".")
        if "sliceName" in element:
            self._last[path] = str(element["sliceName"])
        else:
            self._last.pop(path, None)
        for each in [each for each in self._last if each.startswith(f"{path}.")]:
            del self._last[each]  # what is below begins anew
        return [(name, self._last.get(".".join(names[: index + 2]))) for index, name in enumerate(names[1:])]

    def _step(
        self, parent: ElementDefinition, shape: str, name: str, slice: str | None
    ) -> tuple[ElementDefinition, str, bool]:
        """The element of one step, made if it is new; the shape of what it holds, as far as that is known; and whether it is
        named by its type."""
        properties = self._properties(shape)
        property = properties.get(name)
        is_short = property is not None and property.stem != name and slice is None
        if property is not None and property.stem != name:  # `valueQuantity` for `value[x]`
            name, slice = property.stem, slice or name
        stem = name.removesuffix("[x]")
        found = parent.children.get(stem)
        if found is None:
            found = parent.children[stem] = ElementDefinition(stem)
        if slice is not None:
            found = _sliced(found, slice, properties)
        return found, self._shape(found, stem, properties, slice), is_short

    def _properties(self, shape: str) -> dict[str, Property]:
        if not shape or (shape[0].islower() and shape not in self._shapes.definitions.structures):
            return {}
        return dict(self._shapes[shape].properties)

    def _shape(self, found: ElementDefinition, stem: str, properties: dict[str, Property], slice: str | None) -> str:
        choices = [each for each in properties.values() if each.stem == stem]
        if len(choices) > 1:
            codes = {each.code for each in found.types or ()}
            choices = [each for each in choices if each.type in codes or each.name == slice]
        if len(choices) != 1:
            return ""
        if choices[0].kind == "resource":
            types = [each.code for each in found.types or ()]
            return types[0] if len(types) == 1 and types[0] in self._shapes.resource_types else "Resource"
        return "Element" if choices[0].kind == "primitive" else choices[0].shape


def _sliced(found: ElementDefinition, slice: str, properties: dict[str, Property]) -> ElementDefinition:
    """The slice of an element; `a/b` is a slice of the slice `a`."""
    outer, _, _ = slice.rpartition("/")
    if outer and outer in found.slices:
        found = found.slices[outer]
    if slice not in found.slices:
        found.slices[slice] = ElementDefinition(found.name, slice)
        typed = properties.get(slice)
        if typed is not None and typed.stem == found.name and typed.name != found.name:
            found.slices[slice].types = (TypeRef(typed.type),)
    if found.slicing is None:
        if found.name in ("extension", "modifierExtension"):
            found.slicing = _BY_URL
        elif f"{found.name}[x]" in {each.element.name for each in properties.values()}:
            found.slicing = _BY_TYPE
    return found.slices[slice]


def _named(element: Json, path: str) -> list[tuple[str, str | None]] | None:
    """The steps that the element's id tells; None if it has none, or one that is not of its path."""
    id = element.get("id")
    if not isinstance(id, str):
        return None
    steps: list[tuple[str, str | None]] = []
    for each in id.split(".")[1:]:
        name, colon, slice = each.partition(":")
        steps.append((name, slice if colon else None))
    if [name for name, _ in steps] != path.split(".")[1:] or (
        "sliceName" in element and steps[-1:] and not steps[-1][1]
    ):
        return None
    return steps


def _merge(found: ElementDefinition, element: Json) -> None:
    """Take over what the element says; what it does not mention stays."""
    if isinstance(element.get("min"), int):
        found.min = max(found.min, int(element["min"]))
    maximum = element.get("max")
    if isinstance(maximum, str) and maximum.isdecimal():
        found.max = int(maximum[:9])
    if element.get("type"):
        found.types = tuple(_types(element["type"]))
    for key, value in element.items():
        if key.startswith("fixed"):
            found.fixed = (value,)
        elif key.startswith("pattern"):
            found.pattern = (value,)
        elif key.startswith("minValue"):
            found.lowest = (value,)
        elif key.startswith("maxValue"):
            found.highest = (value,)
    _merge_text(found, element)
    if isinstance(element.get("isModifier"), bool):
        found.is_modifier = element["isModifier"]
    if "binding" in element:
        found.binding = _binding(element["binding"])
    known = {each.key for each in found.constraints}
    found.constraints += tuple(each for each in _constraints(element) if each.key not in known)
    if isinstance(element.get("contentReference"), str):
        found.content_reference = element["contentReference"].partition("#")[2]
    if "slicing" in element:
        found.slicing = _slicing(element["slicing"])


def _merge_text(found: ElementDefinition, element: Json) -> None:
    """What it says of a text: lengths, and the regular expressions of the element or of its type."""
    if isinstance(element.get("maxLength"), int):
        found.max_length = int(element["maxLength"])
    extensions = list(element.get("extension", ()))
    for each in element.get("type", ()):
        extensions += each.get("extension", ())
    for each in extensions:
        if each.get("url") == _MIN_LENGTH and isinstance(each.get("valueInteger"), int):
            found.min_length = int(each["valueInteger"])
        elif each.get("url") == _REGEX and isinstance(each.get("valueString"), str):
            found.regexes = (*dict.fromkeys((*found.regexes, each["valueString"])),)


def _types(stated: Any) -> Iterator[TypeRef]:
    for each in stated:
        code = str(each.get("code", "")).removeprefix(_SYSTEM)
        if code[:1].isupper() and str(each.get("code")).startswith(_SYSTEM):
            code = code[:1].lower() + code[1:]
        profiles, targets = (tuple(one for one in each.get(name, ()) if one) for name in ("profile", "targetProfile"))
        yield TypeRef(code, profiles, targets)


def _binding(stated: Json) -> Bound:
    maximum = next(
        (each.get("valueCanonical") for each in stated.get("extension", ()) if each.get("url") == _MAX_VALUE_SET), None
    )
    return Bound(str(stated.get("strength")), stated.get("valueSet"), maximum)


def _constraints(element: Json) -> Iterator[Asked]:
    for each in element.get("constraint", ()):
        if isinstance(each.get("expression"), str):
            human = each.get("human")
            said = human if isinstance(human, str) else None
            yield Asked(str(each.get("key")), str(each.get("severity")), each["expression"], said)


def _slicing(stated: Json) -> Slicing:
    discriminators = tuple(
        Discriminator(str(each.get("type")), str(each.get("path"))) for each in stated.get("discriminator", ())
    )
    return Slicing(discriminators, stated.get("ordered") is True, str(stated.get("rules", "open")))
