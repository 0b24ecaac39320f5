"""The execution of a query: level by level, so that all hops of a level begin together.

Between hops everything is at hand, and is selected without waiting; after so many values others get their turn.

https://spec.graphql.org/October2021/#sec-Execution
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, Final

from graphql import (
    FieldNode,
    GraphQLEnumType,
    GraphQLError,
    GraphQLField,
    GraphQLInterfaceType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLSchema,
    SchemaMetaFieldDef,
    TypeMetaFieldDef,
    TypeNameMetaFieldDef,
    get_argument_values,
)
from graphql.execution.collect_fields import collect_fields, collect_sub_fields

from fhirserver.interactions.graphql import fields
from fhirserver.interactions.graphql.budget import SCHEMA_VALUES, VALUES, Budget, Exhausted
from fhirserver.interactions.graphql.document import Document
from fhirserver.interactions.graphql.hops import Asked, Found, Held, Hops, Inside, Place
from fhirserver.interactions.graphql.items import Filters
from fhirserver.interactions.graphql.output import Directives, Output
from fhirserver.model.outcome import BadRequest, FhirError

_TURN: Final = 1_000
"""Values after which others get their turn."""
_META: Final = {"__schema": SchemaMetaFieldDef, "__type": TypeMetaFieldDef, "__typename": TypeNameMetaFieldDef}
_BESIDE: Final = ThreadPoolExecutor(1, "graphql-schema")
_OF_SCHEMA: Final = (SchemaMetaFieldDef, TypeMetaFieldDef)
_CONTAINED: Final = "contained"

Path = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Selected:
    """A field of a selection: what it is called in the answer, what it stands for, and with which arguments."""

    key: str
    nodes: Sequence[FieldNode]
    field: GraphQLField
    meaning: fields.Meaning | None
    arguments: Mapping[str, Any] | GraphQLError
    directives: Directives


@dataclass(frozen=True, slots=True)
class _Pending:
    """A field whose hop is still to come."""

    selected: Selected
    asked: Asked
    object: dict[str, Any]
    path: Path


@dataclass(slots=True)
class Execution:
    """One query under way."""

    schema: GraphQLSchema
    document: Document
    variables: dict[str, Any]
    hops: Hops
    filters: Filters
    budget: Budget
    output: Output
    errors: list[dict[str, Any]] = field(default_factory=list)
    _pending: list[_Pending] = field(default_factory=list)
    _selections: dict[tuple[int, str], list[Selected]] = field(default_factory=dict)
    _turn: int = 0

    async def run(self, root: GraphQLObjectType, place: Place) -> dict[str, Any]:
        """The data. Raises Exhausted."""
        nodes = collect_fields(
            self.schema, dict(self.document.fragments), self.variables, root, self.document.operation.selection_set
        )
        selection = self._selected(root, nodes)
        if any(each.field in _OF_SCHEMA for each in selection):
            data = await self._about_schema(selection, root, place)
        else:
            data = self._object(selection, root, place.resource, place, ())
        while self._pending:
            level, self._pending = self._pending, []
            found = await self.hops.all(each.asked for each in level)
            for pending, answer in zip(level, found, strict=True):
                await self._settle(pending, answer)
        for path, error in self.output.shape():
            self._fail(error, path)
        return data

    async def _about_schema(self, selection: list[Selected], root: GraphQLObjectType, place: Place) -> dict[str, Any]:
        """The same beside the event loop, one query at a time, with room for the whole schema."""
        self.budget.value_limit = SCHEMA_VALUES
        loop = asyncio.get_running_loop()
        data = await loop.run_in_executor(_BESIDE, self._object, selection, root, place.resource, place, ())
        self.budget.values, self.budget.value_limit = 0, VALUES
        return data

    def _selected(self, type: GraphQLObjectType, nodes: Mapping[str, list[FieldNode]]) -> list[Selected]:
        found = []
        for key, each in nodes.items():
            name = each[0].name.value
            field = _META.get(name) or type.fields[name]
            try:
                arguments: Mapping[str, Any] | GraphQLError = get_argument_values(field, each[0], self.variables)
                directives = Directives.of(each[0], self.variables)
            except GraphQLError as error:
                arguments, directives = error, Directives()
            found.append(Selected(key, each, field, fields.meaning(field), arguments, directives))
        return found

    def _below(self, type: GraphQLObjectType, selected: Selected) -> list[Selected]:
        """The fields that are selected of an object of this type."""
        key = (id(selected), type.name)
        found = self._selections.get(key)
        if found is None:
            nodes = collect_sub_fields(
                self.schema, dict(self.document.fragments), self.variables, type, list(selected.nodes)
            )
            found = self._selections[key] = self._selected(type, nodes)
        return found

    def _object(
        self, selection: Sequence[Selected], type: GraphQLObjectType, source: Any, place: Place, path: Path
    ) -> dict[str, Any]:
        object: dict[str, Any] = {}
        for each in selection:
            self.budget.value()
            object[each.key] = None
            here = (*path, each.key)
            try:
                object[each.key] = self._value(each, type, source, place, object, here)
            except Exhausted:
                raise
            except (FhirError, GraphQLError) as error:
                self._fail(error, here, each)
        return object

    def _value(
        self, selected: Selected, type: GraphQLObjectType, source: Any, place: Place, object: dict[str, Any], path: Path
    ) -> Any:
        arguments, meaning = selected.arguments, selected.meaning
        if isinstance(arguments, GraphQLError):
            raise arguments
        match meaning:
            case fields.Element():
                value = source.get(meaning.name)
                if meaning.is_list and value is not None:
                    value = self._items(selected, meaning.type, value, arguments, object, path)
                else:
                    self._note(selected, object, path, None, None)
                return self._complete(selected, selected.field.type, value, place, path)
            case None:
                if selected.field is TypeNameMetaFieldDef:
                    return type.name
                value = _introspected(selected.field, source, arguments, self.schema)
                return self._complete(selected, selected.field.type, value, place, path)
            case _:
                asked = Asked(meaning, arguments, source, place)
                self._pending.append(_Pending(selected, asked, object, path))
                return None

    def _items(
        self,
        selected: Selected,
        type: str | None,
        items: Sequence[Any],
        arguments: Mapping[str, Any],
        object: dict[str, Any],
        path: Path,
    ) -> Sequence[Any]:
        """The items of a list that are asked for; if their names are made from them, these are made."""
        if arguments:
            items = self.filters.filtered(items, type, arguments)
        directives = selected.directives
        if directives.first:
            items = items[:1]
        self._note(selected, object, path, items, type)
        return items

    def _note(
        self, selected: Selected, object: dict[str, Any], path: Path, items: Sequence[Any] | None, type: str | None
    ) -> None:
        directives = selected.directives
        if directives.shapes:
            names = self.filters.names(directives.slice, items or (), type)
            self.output.note(object, selected.key, directives, names, path, is_list=items is not None)

    def _complete(self, selected: Selected, type: Any, value: Any, place: Place, path: Path) -> Any:
        if isinstance(type, GraphQLNonNull):
            type = type.of_type
        if value is None:
            return None
        if isinstance(type, GraphQLList):
            completed = []
            for index, item in enumerate(value):
                self.budget.value()
                completed.append(self._complete(selected, type.of_type, item, place, (*path, index)))
            return completed
        if isinstance(type, GraphQLObjectType | GraphQLInterfaceType):
            return self._complete_object(selected, type, value, place, path)
        if isinstance(value, str):
            self.budget.text(len(value))
        return type.serialize(value) if isinstance(type, GraphQLEnumType) else value

    def _complete_object(
        self, selected: Selected, type: GraphQLObjectType | GraphQLInterfaceType, value: Any, place: Place, path: Path
    ) -> dict[str, Any]:
        if isinstance(type, GraphQLInterfaceType):
            name = value["resourceType"]
            type = self.schema.type_map[name]  # type: ignore[assignment]
            if isinstance(selected.meaning, fields.Element) and selected.meaning.name != _CONTAINED:
                place = Place(value)  # one in a Bundle stands by itself; one that is contained does not
        assert isinstance(type, GraphQLObjectType)  # noqa: S101
        return self._object(self._below(type, selected), type, value, place, path)

    async def _settle(self, pending: _Pending, found: Found | FhirError) -> None:
        """Put what a hop led to in its place."""
        selected, object, path = pending.selected, pending.object, pending.path
        try:
            if isinstance(found, FhirError):
                raise found
            if isinstance(found, Sequence):
                object[selected.key] = await self._settled_list(pending, found)
                return
            self._note(selected, object, path, None, None)
            object[selected.key] = self._settled(selected, selected.field.type, found, path)
        except Exhausted:
            raise
        except (FhirError, GraphQLError) as error:
            self._fail(error, path, selected)
        await self._breathe()

    async def _settled_list(self, pending: _Pending, found: Sequence[Held]) -> list[Any]:
        selected, path = pending.selected, pending.path
        held = found[:1] if selected.directives.first else found
        type = selected.field.type
        assert isinstance(type, GraphQLList)  # noqa: S101
        resources = [each.place.resource for each in held] if selected.directives.shapes else []
        self._note(selected, pending.object, path, resources, type.of_type.name)
        completed = []
        for index, each in enumerate(held):
            completed.append(self._settled(selected, type.of_type, each, (*path, index)))
            await self._breathe()
        return completed

    def _settled(self, selected: Selected, type: Any, found: Found, path: Path) -> Any:
        match found:
            case Held():
                return self._complete(selected, type, found.place.resource, found.place, path)
            case Inside():
                return self._complete(selected, type, found.resource, found.place, path)
            case _:
                return self._complete(selected, type, found, _NOWHERE, path)

    async def _breathe(self) -> None:
        if self.budget.values - self._turn >= _TURN:
            self._turn = self.budget.values
            await asyncio.sleep(0)

    def _fail(self, error: FhirError | GraphQLError, path: Path, selected: Selected | None = None) -> None:
        """Say in the answer why a field has no value."""
        self.budget.error()
        said: dict[str, Any] = {
            "message": error.issues[0].diagnostics if isinstance(error, FhirError) else error.message
        }
        if selected is not None and (location := selected.nodes[0].loc) is not None:
            place = location.source.get_location(location.start)
            said["locations"] = [{"line": place.line, "column": place.column}]
        code = error.issues[0].code if isinstance(error, FhirError) else BadRequest.code
        self.errors.append({**said, "path": list(path), "extensions": {"code": code}})


_NOWHERE: Final = Place({})


def _introspected(field: GraphQLField, source: Any, arguments: Mapping[str, Any], schema: GraphQLSchema) -> Any:
    """A value of the schema about itself. Searches by references that may point anywhere are there and not listed."""
    assert field.resolve is not None  # noqa: S101
    found = field.resolve(source, SimpleNamespace(schema=schema), **arguments)
    if isinstance(source, GraphQLObjectType) and isinstance(found, list):
        return [each for each in found if not _is_unlisted(each)]
    return found


def _is_unlisted(each: Any) -> bool:
    meaning = fields.meaning(each[1]) if isinstance(each, tuple) else None
    return isinstance(meaning, fields.Search) and not meaning.is_shown
