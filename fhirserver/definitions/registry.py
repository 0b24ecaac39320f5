"""The registry: every definition of R4, decoded when it is first asked for.

https://hl7.org/fhir/R4/resourcelist.html
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from functools import cache, cached_property
from importlib.resources import files
from types import MappingProxyType
from typing import Any, Generic, TypeVar, cast

from fhirserver.definitions.codes.values import ValueSet, unversioned, value_set
from fhirserver.definitions.operations import Compartment, Operation, OperationParameter
from fhirserver.definitions.parameters import Component, SearchParameter
from fhirserver.definitions.structures import Binding, Constraint, Element, ElementType, Structure
from fhirserver.definitions.wire import (
    WireElement,
    WireFile,
    WireOperation,
    WireOperationParameter,
    WireParameter,
    WireStructure,
    decode,
    unpack,
)

V = TypeVar("V")

FILE = "r4/definitions.bin"

# Parameters is a resource without an end point of its own.
UNROUTED = frozenset({"Parameters"})


class Lazy(Mapping[str, V], Generic[V]):
    """A mapping whose values are made when first asked for."""

    __slots__ = ("_made", "_make", "_names")

    def __init__(self, names: Mapping[str, Any], make: Callable[[str], V]) -> None:
        self._names = names
        self._make = make
        self._made: dict[str, V] = {}

    def __getitem__(self, name: str) -> V:
        try:
            return self._made[name]
        except KeyError:
            if name not in self._names:
                raise
        return self._made.setdefault(name, self._make(name))

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    def __contains__(self, name: object) -> bool:
        return name in self._names


class Definitions:
    """R4, as compiled."""

    def __init__(self, data: bytes) -> None:
        self._file: WireFile = unpack(data)
        self.package = self._file.package
        # Every type a resource may have, and those of them that have an end point.
        self.concrete_types = tuple(self._file.concrete_types)
        self.resource_types = tuple(name for name in self.concrete_types if name not in UNROUTED)
        self.unexpanded: Mapping[str, str] = MappingProxyType(self._file.unexpanded)
        self.structures: Mapping[str, Structure] = Lazy(self._file.structures, self._structure)
        self._parameters = Lazy(self._file.structures, self._search_parameters)
        self.value_sets: Mapping[str, ValueSet] = Lazy(self._file.value_sets, self._value_set)
        self._children: dict[str, tuple[Element, ...]] = {}
        self.core = self
        self._further: Mapping[str, Mapping[str, SearchParameter]] = {}
        self._awaited: Mapping[str, frozenset[str]] = {}

    @cached_property
    def compartments(self) -> Mapping[str, Compartment]:
        """The compartments by the type that defines them."""
        return {
            code: Compartment(code, MappingProxyType({type: tuple(codes) for type, codes in resources.items()}))
            for code, resources in self._file.compartments.items()
        }

    @cached_property
    def operations(self) -> tuple[Operation, ...]:
        """The operations, by id."""
        return tuple(_operation(each) for each in decode(self._file.operations, list[WireOperation]))

    @cached_property
    def case_sensitive_systems(self) -> frozenset[str]:
        """The code systems whose codes are told apart by case."""
        return frozenset(decode(self._file.case_sensitive_systems, list[str]))

    def children(self, path: str) -> tuple[Element, ...]:
        """The elements right below a type, a backbone element or an element that shares another's content.

        Empty for an element whose content is that of its type: ask for the type.
        """
        found = self._children.get(path)
        if found is None:
            name = path.partition(".")[0]
            if name not in self.structures:
                return ()
            self._children.update(_children(self.structures[name]))
            found = self._children.setdefault(path, ())
        return found

    def extended(
        self,
        parameters: Mapping[str, Mapping[str, SearchParameter]],
        awaited: Mapping[str, frozenset[str]] | None = None,
    ) -> Definitions:
        """R4 with further search parameters, by resource type and code; everything else is shared with `core`.

        `awaited` are codes of each type that cannot be asked yet: it is only known that they will be."""
        other = copy.copy(self.core)
        other._further = {name: MappingProxyType(dict(each)) for name, each in parameters.items() if each}
        other._awaited = awaited or {}
        return other

    def about(self, resource_type: str) -> Definitions:
        """These definitions, or R4's own where they say nothing more of the type: what to remember things of a type by."""
        return self if resource_type in self._further else self.core

    def search_parameters(self, resource_type: str) -> Mapping[str, SearchParameter]:
        """The search parameters of a resource type by code, those of every resource included; a KeyError if unknown."""
        known = self._parameters[resource_type]
        further = self._further.get(resource_type)
        return known if further is None else MappingProxyType({**known, **further})

    def further_parameters(self, resource_type: str) -> Mapping[str, SearchParameter]:
        """Those of the search parameters of a type that are not R4's."""
        return self._further.get(resource_type, MappingProxyType({}))

    def is_awaited(self, resource_type: str, code: str) -> bool:
        """Whether a search parameter of this code is known, and cannot be asked yet."""
        return code in self._awaited.get(resource_type, ())

    def value_set(self, canonical: str) -> ValueSet | None:
        """The expansion of a value set that no value may leave; None if it has none here."""
        return self.value_sets.get(unversioned(canonical))

    @cached_property
    def _types(self) -> list[ElementType]:
        return [
            ElementType(code, tuple(targets), tuple(profiles)) for code, targets, profiles in self._file.tables.types
        ]

    @cached_property
    def _bindings(self) -> list[Binding]:
        return [Binding(*cast("tuple[Any, ...]", each)) for each in self._file.tables.bindings]

    @cached_property
    def _constraints(self) -> list[tuple[Constraint, ...]]:
        constraints = [Constraint(*cast("tuple[Any, ...]", each)) for each in self._file.tables.constraints]
        return [tuple(constraints[number] for number in numbers) for numbers in self._file.tables.constraint_lists]

    def _structure(self, name: str) -> Structure:
        wire = decode(self._file.structures[name], WireStructure)
        elements = tuple(self._element(name, each) for each in wire.elements)
        return Structure(name, cast("Any", wire.kind), wire.base, wire.abstract, elements)

    def _element(self, name: str, wire: WireElement) -> Element:
        path = name + wire.path
        return Element(
            path=path,
            name=path.rpartition(".")[2],
            min=wire.min,
            max=None if wire.max < 0 else wire.max,
            types=tuple([self._types[number] for number in wire.types]),
            content_reference=wire.content_reference,
            binding=None if wire.binding is None else self._bindings[wire.binding],
            is_modifier=bool(wire.flags & 1),
            is_summary=bool(wire.flags & 2),
            constraints=self._constraints[wire.constraints],
            max_length=wire.max_length,
        )

    def _search_parameters(self, resource_type: str) -> Mapping[str, SearchParameter]:
        structure = self.structures[resource_type]
        inherited = self._parameters[structure.base] if structure.base else {}
        found = dict(inherited)
        section = self._file.parameters.get(resource_type)
        if section is not None:
            found.update({wire.code: self._parameter(wire) for wire in decode(section, list[WireParameter])})
        return MappingProxyType(found)

    def _parameter(self, wire: WireParameter) -> SearchParameter:
        names = self._file.tables.names
        return SearchParameter(
            code=wire.code,
            url=wire.url,
            type=cast("Any", wire.type),
            expression=wire.expression,
            base=tuple(names[wire.base]),
            targets=tuple(names[wire.targets]),
            components=tuple(Component(*cast("tuple[Any, ...]", each)) for each in wire.components),
            multiple_or=wire.multiple_or,
            multiple_and=wire.multiple_and,
            modifiers=tuple(wire.modifiers),
            comparators=tuple(wire.comparators),
            chains=tuple(wire.chains),
            usage=wire.usage,
        )

    def _value_set(self, url: str) -> ValueSet:
        by_system, grammars = decode(self._file.value_sets[url], tuple[dict[str, list[str]], list[str]])
        return value_set(url, by_system, grammars)


@cache
def load() -> Definitions:
    """The definitions that are shipped."""
    return Definitions(files("fhirserver.definitions").joinpath(FILE).read_bytes())


def _children(structure: Structure) -> dict[str, tuple[Element, ...]]:
    """The elements right below each path of a structure."""
    below: dict[str, list[Element]] = {}
    for element in structure.elements[1:]:
        below.setdefault(element.path.rpartition(".")[0], []).append(element)
    children = {path: tuple(elements) for path, elements in below.items()}
    for element in structure.elements:
        if element.content_reference is not None:
            children[element.path] = children[element.content_reference]
    return children


def _operation(wire: WireOperation) -> Operation:
    return Operation(
        id=wire.id,
        url=wire.url,
        code=wire.code,
        system=wire.system,
        type=wire.type,
        instance=wire.instance,
        affects_state=wire.affects_state,
        resources=tuple(wire.resources),
        parameters=tuple(_operation_parameter(each) for each in wire.parameters),
    )


def _operation_parameter(wire: WireOperationParameter) -> OperationParameter:
    return OperationParameter(
        name=wire.name,
        use=cast("Any", wire.use),
        min=wire.min,
        max=None if wire.max < 0 else wire.max,
        type=wire.type,
        search_type=wire.search_type,
        target_profiles=tuple(wire.target_profiles),
        parts=tuple(_operation_parameter(each) for each in wire.parts),
    )
