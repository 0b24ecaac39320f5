"""The schema: the types of R4 as GraphQL types, from the definitions.

A type is named as its path, without the dots: `Patient`, `PatientContact`, `HumanName`. Each primitive element has a sibling
`_name` with its id and extensions. The schema is made when it is first asked for, and once.

https://hl7.org/fhir/R4/graphql.html and https://spec.graphql.org/October2021/#sec-Type-System
"""

from __future__ import annotations

from functools import cached_property, lru_cache
from threading import Lock
from typing import Final

from graphql import (
    DirectiveLocation,
    GraphQLArgument,
    GraphQLArgumentMap,
    GraphQLBoolean,
    GraphQLDirective,
    GraphQLField,
    GraphQLFieldMap,
    GraphQLID,
    GraphQLInt,
    GraphQLInterfaceType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLOutputType,
    GraphQLScalarType,
    GraphQLSchema,
    GraphQLString,
    specified_directives,
)

from fhirserver.definitions import Definitions
from fhirserver.definitions.structures import Element, ElementType
from fhirserver.interactions.graphql import fields
from fhirserver.interactions.graphql.searches import Searches

RESOURCE: Final = "Resource"
SLICE: Final = GraphQLDirective(
    "slice",
    (DirectiveLocation.FIELD,),
    {"path": GraphQLArgument(GraphQLNonNull(GraphQLString))},
    description="Each item under a name of its own: the field's, a dot, and what this FHIRPath expression gives.",
)
FLATTEN: Final = GraphQLDirective(
    "flatten", (DirectiveLocation.FIELD,), description="The fields below stand in the place of this one."
)
FIRST: Final = GraphQLDirective("first", (DirectiveLocation.FIELD,), description="Of several items only the first.")
SINGLETON: Final = GraphQLDirective(
    "singleton", (DirectiveLocation.FIELD,), description="One value and no list; it is an error if there are more."
)
DIRECTIVES: Final = (FLATTEN, FIRST, SINGLETON, SLICE)

_SCALARS: Final = {
    "boolean": GraphQLBoolean,
    "string": GraphQLString,
    "id": GraphQLID,
    "integer": GraphQLInt,
    "positiveInt": GraphQLInt,
    "unsignedInt": GraphQLInt,
}
"""The primitive types that GraphQL has; each other one is a scalar of its own, and keeps its digits."""
_WITHIN: Final = frozenset(("BackboneElement", "Element"))
"""The types of elements whose own elements stand below them."""


_MAKING: Final = Lock()


def schema(definitions: Definitions) -> GraphQLSchema:
    """The schema of these definitions; whoever asks while it is made waits for it."""
    with _MAKING:
        return _schema(definitions)


@lru_cache(maxsize=2)
def _schema(definitions: Definitions) -> GraphQLSchema:
    return _Types(definitions).schema()


def type_name(path: str) -> str:
    """The name of the type at a path: `PatientContact` for `Patient.contact`."""
    return "".join(part[:1].upper() + part[1:] for part in path.removesuffix("[x]").split("."))


class _Types:
    """The types, made as they are met: `_objects` by the path of their elements."""

    def __init__(self, definitions: Definitions) -> None:
        self._definitions = definitions
        self._searches = Searches(definitions)
        self._objects: dict[str, GraphQLObjectType] = {}
        self._scalars = dict(_SCALARS)

    def schema(self) -> GraphQLSchema:
        """All of them. That it is valid is tested, and not looked at again."""
        return GraphQLSchema(
            self._query(),
            types=[self._resource, *(self._object(each) for each in self._definitions.concrete_types)],
            directives=(*specified_directives, *DIRECTIVES),
            assume_valid=True,
        )

    def _query(self) -> GraphQLObjectType:
        found: GraphQLFieldMap = {}
        for name in self._definitions.resource_types:
            resource = self._object(name)
            id = {"id": GraphQLArgument(GraphQLNonNull(GraphQLID))}
            found[name] = GraphQLField(resource, id, extensions=fields.meant(fields.Read(name)))
            found |= self._searches.of(name, resource)
        return GraphQLObjectType("Query", found, description="The resources of this server that you may see.")

    @cached_property
    def _resource(self) -> GraphQLInterfaceType:
        """What every resource has; the type of those whose type is known when they are seen."""
        return GraphQLInterfaceType(RESOURCE, lambda: self._elements(RESOURCE))

    @cached_property
    def _element(self) -> GraphQLObjectType:
        return self._object("Element")

    def _object(self, path: str) -> GraphQLObjectType:
        found = self._objects.get(path)
        if found is None:
            is_resource = path in self._definitions.concrete_types
            found = self._objects[path] = GraphQLObjectType(
                type_name(path),
                lambda: self._fields(path),
                interfaces=(lambda: [self._resource]) if is_resource else None,
            )
        return found

    def _fields(self, path: str) -> GraphQLFieldMap:
        found = self._elements(path)
        if path in self._definitions.concrete_types:
            found |= self._searches.to(path, self._object)
        if path == "Reference":
            arguments = {
                fields.OPTIONAL: GraphQLArgument(GraphQLBoolean, default_value=False),
                fields.TYPE: GraphQLArgument(GraphQLString),
            }
            found["resource"] = GraphQLField(self._resource, arguments, extensions=fields.meant(fields.Target()))
        return found

    def _elements(self, path: str) -> GraphQLFieldMap:
        found: GraphQLFieldMap = {}
        if path == RESOURCE or path in self._definitions.concrete_types:
            meant = fields.meant(fields.Element("resourceType", "code"))
            found["resourceType"] = GraphQLField(GraphQLString, extensions=meant)
        for element in self._definitions.children(path):
            for name, type in element.json_names():
                found[name] = self._field(name, element, type)
                if type is not None and name != "id" and self._has_sibling(type.code):
                    found[f"_{name}"] = self._sibling(f"_{name}", element)
        return found

    def _field(self, name: str, element: Element, type: ElementType | None) -> GraphQLField:
        path = element.content_reference if type is None else self._path(element, type)
        of = self._scalar(type.code) if path is None and type is not None else None
        output: GraphQLOutputType = of if of is not None else self._named(path or RESOURCE)
        fhir_type = type.code if type is not None and path == type.code else path
        meant = fields.meant(fields.Element(name, fhir_type or (type.code if type else None), element.is_list))
        if not element.is_list:
            return GraphQLField(output, extensions=meant)
        return GraphQLField(GraphQLList(output), self._filters(path), extensions=meant)

    def _sibling(self, name: str, element: Element) -> GraphQLField:
        meant = fields.meant(fields.Element(name, "Element", element.is_list))
        return GraphQLField(GraphQLList(self._element) if element.is_list else self._element, extensions=meant)

    def _path(self, element: Element, type: ElementType) -> str | None:
        """Where the elements of an element stand: below itself, or in its type; None of a primitive."""
        if self._is_primitive(type.code):
            return None
        return element.path if type.code in _WITHIN and self._definitions.children(element.path) else type.code

    def _named(self, path: str) -> GraphQLObjectType | GraphQLInterfaceType:
        return self._resource if path == RESOURCE else self._object(path)

    def _filters(self, path: str | None) -> GraphQLArgumentMap:
        """The arguments of a list: which of its items, by their primitive elements or an expression, and how many."""
        found = {
            fields.FHIRPATH: GraphQLArgument(GraphQLString),
            fields.OFFSET: GraphQLArgument(GraphQLInt),
            fields.COUNT: GraphQLArgument(GraphQLInt),
        }
        for each in self._definitions.children(path) if path is not None else ():
            if each.types and not each.is_choice and not each.is_list and self._is_primitive(each.types[0].code):
                found[each.name] = GraphQLArgument(GraphQLString)
        return found

    def _has_sibling(self, code: str) -> bool:
        return code != "xhtml" and self._is_primitive(code)

    def _is_primitive(self, code: str) -> bool:
        return self._definitions.structures[code].kind == "primitive-type"

    def _scalar(self, code: str) -> GraphQLScalarType:
        return self._scalars.setdefault(code, GraphQLScalarType(code))
