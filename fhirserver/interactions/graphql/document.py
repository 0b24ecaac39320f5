"""A query, read: parsed within bounds, made strict where R4 writes it loosely, and validated against the schema.

R4 writes codes without quotes (`name(use: official)`) and fields of the one type right below `resource(type: Patient)`; GraphQL
itself has neither. Both are rewritten to what they mean before the query is validated.

https://hl7.org/fhir/R4/graphql.html and https://spec.graphql.org/October2021/#sec-Validation
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from copy import copy
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from graphql import (
    ArgumentNode,
    BooleanValueNode,
    DocumentNode,
    EnumValueNode,
    FieldNode,
    FloatValueNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    GraphQLSchema,
    GraphQLSyntaxError,
    InlineFragmentNode,
    IntValueNode,
    ListValueNode,
    NamedTypeNode,
    NameNode,
    OperationDefinitionNode,
    OperationType,
    SelectionNode,
    SelectionSetNode,
    StringValueNode,
    ValueNode,
    parse,
    validate,
)

from fhirserver.interactions.graphql import fields
from fhirserver.model.outcome import BadRequest, FhirError, Issue, TooCostly

TEXT_LIMIT: Final = 100_000
"""Characters of a query."""
TOKENS: Final = 10_000
DEPTH: Final = 30
"""Fields inside one another, fragments counted where they are used."""
FIELDS: Final = 1_000
"""Fields of a query, fragments counted as often as they are used."""
FRAGMENTS: Final = 100
ALIKE: Final = 20
"""Fields of one name in one place: validation compares each with each."""
_ERRORS: Final = 10
_REMEMBERED_LENGTH: Final = 5_000

_NOT_TEXT: Final = frozenset((fields.COUNT, fields.OFFSET, fields.OPTIONAL, "includeDeprecated"))
"""The arguments that are no strings."""
_LITERALS: Final = (EnumValueNode, IntValueNode, FloatValueNode, BooleanValueNode)
_META: Final = frozenset(("__schema", "__type"))


@dataclass(frozen=True, slots=True)
class Document:
    """A query that can be executed: one operation, and the fragments."""

    operation: OperationDefinitionNode
    fragments: Mapping[str, FragmentDefinitionNode]

    @property
    def asks_schema_only(self) -> bool:
        """Whether it asks about the schema and nothing else, and its answer is always the same."""
        asked = self.operation.selection_set.selections
        return not self.operation.variable_definitions and all(
            isinstance(each, FieldNode) and each.name.value in _META for each in asked
        )


def read_document(schema: GraphQLSchema, text: str, resource_type: str | None, operation_name: str | None) -> Document:
    """The operation of this name, to be asked of a resource of this type, or of the system. Raises BadRequest, TooCostly."""
    if len(text) > _REMEMBERED_LENGTH:
        return _read(schema, text, resource_type, operation_name)
    return _remembered(schema, text, resource_type, operation_name)


def _read(schema: GraphQLSchema, text: str, resource_type: str | None, operation_name: str | None) -> Document:
    if len(text) > TEXT_LIMIT:
        raise TooCostly(f"The query has more than {TEXT_LIMIT} characters.")
    try:
        document = parse(text, max_tokens=TOKENS)
        for definition in document.definitions:
            if isinstance(definition, OperationDefinitionNode | FragmentDefinitionNode):
                _make_strict(definition.selection_set)
        found = _chosen(document, operation_name)
        _check_size(found)
        errors = validate(schema, _at(document, resource_type), max_errors=_ERRORS)
    except GraphQLSyntaxError as error:
        if "tokens" in error.message:
            raise TooCostly(f"The query has more than {TOKENS} tokens.") from None
        raise refusal([error]) from None
    except RecursionError:
        raise _too_deep() from None
    if errors:
        raise refusal(errors)
    return found


_remembered = lru_cache(maxsize=128)(_read)


def refusal(errors: list[GraphQLError]) -> FhirError:
    """The error that says what is wrong with a query, and where."""
    return BadRequest.of([Issue("error", "invalid", _said(error)) for error in errors])


def _said(error: GraphQLError) -> str:
    places = "; ".join(f"line {each.line}, column {each.column}" for each in error.locations or ())
    return f"{error.message} ({places})" if places else error.message


def _too_deep() -> TooCostly:
    return TooCostly(f"The query nests deeper than {DEPTH} fields.")


def _chosen(document: DocumentNode, operation_name: str | None) -> Document:
    """The operation to be executed."""
    operations = [each for each in document.definitions if isinstance(each, OperationDefinitionNode)]
    if operation_name is not None:
        operations = [each for each in operations if each.name is not None and each.name.value == operation_name]
    if len(operations) != 1:
        raise BadRequest("The document holds one operation, or 'operationName' says which one is meant.")
    if operations[0].operation is not OperationType.QUERY:
        raise BadRequest("Only queries are supported: nothing is changed through GraphQL.", code="not-supported")
    fragments = {each.name.value: each for each in document.definitions if isinstance(each, FragmentDefinitionNode)}
    if len(fragments) > FRAGMENTS:
        raise TooCostly(f"The query has more than {FRAGMENTS} fragments.")
    return Document(operations[0], fragments)


def _make_strict(selection_set: SelectionSetNode) -> None:
    _check_alike(selection_set)
    for node in selection_set.selections:
        if isinstance(node, FieldNode):
            for argument in node.arguments:
                if argument.name.value not in _NOT_TEXT:
                    argument.value = _as_text(argument.value)
            if node.name.value == "resource":
                _narrow(node)
        if isinstance(node, FieldNode | InlineFragmentNode) and node.selection_set is not None:
            _make_strict(node.selection_set)


def _check_alike(selection_set: SelectionSetNode) -> None:
    named = Counter((each.alias or each.name).value for each in selection_set.selections if isinstance(each, FieldNode))
    if named and named.most_common(1)[0][1] > ALIKE:
        raise TooCostly(
            f"More than {ALIKE} fields of one name stand in one place; give them names (aliases), or join them."
        )


def _as_text(value: ValueNode) -> ValueNode:
    if isinstance(value, ListValueNode):
        value.values = tuple(_as_text(each) for each in value.values)
    elif isinstance(value, _LITERALS):
        text = ("false", "true")[value.value] if isinstance(value, BooleanValueNode) else value.value
        return StringValueNode(value=text, loc=value.loc)
    return value


def _narrow(node: FieldNode) -> None:
    """`resource(type: Patient) { birthDate }` asks for `... on Patient { birthDate }`."""
    for argument in node.arguments:
        if argument.name.value == fields.TYPE and isinstance(argument.value, StringValueNode) and node.selection_set:
            name = NameNode(value=argument.value.value, loc=argument.value.loc)
            condition = NamedTypeNode(name=name, loc=argument.value.loc)
            inner = InlineFragmentNode(
                type_condition=condition, directives=(), selection_set=node.selection_set, loc=node.loc
            )
            node.selection_set = SelectionSetNode(selections=(inner,), loc=node.selection_set.loc)


def _check_size(document: Document) -> None:
    count, depth = _Size(document.fragments).of(document.operation.selection_set)
    if depth > DEPTH:
        raise _too_deep()
    if count > FIELDS:
        raise TooCostly(f"The query asks for more than {FIELDS} fields; ask for fewer at a time.")


class _Size:
    """How many fields a selection comes to, and how deep; each fragment is measured once."""

    def __init__(self, fragments: Mapping[str, FragmentDefinitionNode]) -> None:
        self._fragments = fragments
        self._known: dict[str, tuple[int, int]] = {}

    def of(self, selection_set: SelectionSetNode) -> tuple[int, int]:
        count = depth = 0
        for node in selection_set.selections:
            inner_count, inner_depth = self._of_node(node)
            count, depth = count + inner_count, max(depth, inner_depth)
        return count, depth

    def _of_node(self, node: SelectionNode) -> tuple[int, int]:
        if isinstance(node, FragmentSpreadNode):
            return self._of_fragment(node.name.value)
        assert isinstance(node, FieldNode | InlineFragmentNode)  # noqa: S101
        own = 1 if isinstance(node, FieldNode) else 0
        count, depth = self.of(node.selection_set) if node.selection_set is not None else (0, 0)
        return count + own, depth + own

    def _of_fragment(self, name: str) -> tuple[int, int]:
        found = self._known.get(name)
        if found is None and name in self._fragments:
            self._known[name] = 0, 0  # one that comes back to itself: validation refuses it
            found = self._known[name] = self.of(self._fragments[name].selection_set)
        return found or (0, 0)


def _at(document: DocumentNode, resource_type: str | None) -> DocumentNode:
    """The document as the schema sees it: what is asked of a resource stands below the field that reads it."""
    if resource_type is None:
        return document
    definitions = tuple(
        _below(each, resource_type) if isinstance(each, OperationDefinitionNode) else each
        for each in document.definitions
    )
    return DocumentNode(definitions=definitions, loc=document.loc)


def _below(operation: OperationDefinitionNode, resource_type: str) -> OperationDefinitionNode:
    selections = operation.selection_set.selections
    meta = tuple(each for each in selections if isinstance(each, FieldNode) and each.name.value in _META)
    asked = tuple(each for each in selections if each not in meta)
    read = FieldNode(
        name=NameNode(value=resource_type),
        arguments=(ArgumentNode(name=NameNode(value="id"), value=StringValueNode(value="x")),),
        directives=(),
        selection_set=SelectionSetNode(selections=asked),
        loc=operation.loc,
    )
    moved = copy(operation)
    moved.selection_set = SelectionSetNode(selections=(*meta, *((read,) if asked else ())))
    return moved
