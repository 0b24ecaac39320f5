"""The fields that search: `PatientList` and `PatientConnection` at the root, and inside a resource those of what refers to it.

The arguments are the search parameters, a hyphen in a code written as `_`. Modifiers and chains have no names here: `_filter`
says what they say.

https://hl7.org/fhir/R4/graphql.html
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Final

from graphql import (
    GraphQLArgument,
    GraphQLArgumentMap,
    GraphQLField,
    GraphQLFieldMap,
    GraphQLFloat,
    GraphQLID,
    GraphQLInt,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLString,
)

from fhirserver.definitions import Definitions
from fhirserver.interactions.graphql import fields
from fhirserver.interactions.graphql.fields import Element, Search, meant
from fhirserver.search.registry import registry

_RESULTS: Final = {fields.COUNT: GraphQLInt, "_sort": GraphQLString, "_filter": GraphQLString, "_list": GraphQLString}


class Searches:
    """The fields, each made once: types that are referred to by the same share them."""

    def __init__(self, definitions: Definitions) -> None:
        self._definitions = definitions
        self._connections: dict[str, GraphQLObjectType] = {}
        self._made: dict[tuple[str, bool], GraphQLFieldMap] = {}

    def of(self, resource_type: str, resource: GraphQLObjectType) -> GraphQLFieldMap:
        """The searches of a type, over all of it."""
        codes = self._codes(resource_type)
        searches = [Search(resource_type, codes, is_connection=each) for each in (False, True)]
        return self._pair(resource, self._arguments(codes), searches)

    def to(self, resource_type: str, of: Callable[[str], GraphQLObjectType]) -> GraphQLFieldMap:
        """The searches for what refers to a resource of this type."""
        found: GraphQLFieldMap = {}
        for source in self._definitions.resource_types:
            targets = self._targets[source]
            named = any(resource_type in each for each in targets.values() if len(each) < self._everything)
            if named or any(resource_type in each for each in targets.values()):
                found |= self._referring(source, of(source), is_shown=named)
        return found

    def _referring(self, source: str, resource: GraphQLObjectType, *, is_shown: bool) -> GraphQLFieldMap:
        made = self._made.get((source, is_shown))
        if made is None:
            codes, targets = self._codes(source), self._targets[source]
            searches = [
                Search(source, codes, is_connection=each, targets=targets, is_shown=is_shown) for each in (False, True)
            ]
            which = {fields.REFERENCE: GraphQLArgument(GraphQLNonNull(GraphQLString))}
            made = self._made[source, is_shown] = self._pair(resource, which | self._arguments(codes), searches)
        return made

    def _pair(
        self, resource: GraphQLObjectType, arguments: GraphQLArgumentMap, searches: list[Search]
    ) -> GraphQLFieldMap:
        as_list, as_connection = searches
        paged = arguments | {fields.CURSOR: GraphQLArgument(GraphQLString)}
        connection = self._connection(resource)
        return {
            f"{resource.name}List": GraphQLField(GraphQLList(resource), arguments, extensions=meant(as_list)),
            f"{resource.name}Connection": GraphQLField(connection, paged, extensions=meant(as_connection)),
        }

    def _codes(self, resource_type: str) -> Mapping[str, str]:
        """The search parameter of each argument."""
        searchable = registry(self._definitions, resource_type).searchable
        return {code.replace("-", "_"): code for code in (*_RESULTS, *searchable)}

    def _arguments(self, codes: Mapping[str, str]) -> GraphQLArgumentMap:
        values = GraphQLList(GraphQLNonNull(GraphQLString))
        return {name: GraphQLArgument(_RESULTS.get(code, values)) for name, code in codes.items()}

    @cached_property
    def _everything(self) -> int:
        return len(self._definitions.resource_types)

    @cached_property
    def _targets(self) -> Mapping[str, Mapping[str, frozenset[str]]]:
        """For each type its reference parameters, by argument, with the types that they may point to."""
        everything = frozenset(self._definitions.resource_types)
        return {
            name: {
                code.replace("-", "_"): frozenset(each.targets) or everything
                for code, each in registry(self._definitions, name).searchable.items()
                if each.type == "reference"
            }
            for name in self._definitions.resource_types
        }

    def _connection(self, resource: GraphQLObjectType) -> GraphQLObjectType:
        found = self._connections.get(resource.name)
        if found is None:
            edge = GraphQLObjectType(
                f"{resource.name}Edge",
                {
                    "mode": _plain("mode", GraphQLString),
                    "score": _plain("score", GraphQLFloat),
                    "resource": GraphQLField(resource, extensions=meant(fields.Match())),
                },
            )
            found = self._connections[resource.name] = GraphQLObjectType(
                f"{resource.name}Connection",
                {
                    "count": GraphQLField(GraphQLInt, extensions=meant(fields.Total())),
                    **{name: _plain(name, GraphQLInt) for name in ("offset", "pagesize")},
                    **{name: _plain(name, GraphQLID) for name in ("first", "previous", "next", "last")},
                    "edges": GraphQLField(GraphQLList(edge), extensions=meant(Element("edges", None, is_list=True))),
                },
            )
        return found


def _plain(name: str, type: object) -> GraphQLField:
    return GraphQLField(type, extensions=meant(Element(name)))  # type: ignore[arg-type]
