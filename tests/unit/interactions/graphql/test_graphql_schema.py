"""The schema: every type of R4 has one of its own, with all of its elements and searches."""

from __future__ import annotations

from graphql import (
    GraphQLArgument,
    GraphQLInterfaceType,
    GraphQLList,
    GraphQLObjectType,
    GraphQLSchema,
    get_named_type,
    validate_schema,
)

from fhirserver.definitions import load
from fhirserver.interactions.graphql.fields import Element, Search, meaning
from fhirserver.interactions.graphql.schema import schema, type_name
from fhirserver.search.registry import registry


def fields_of(name: str) -> dict[str, object]:
    found = schema(load()).type_map[name]
    assert isinstance(found, GraphQLObjectType | GraphQLInterfaceType)
    return dict(found.fields)


def test_the_schema_is_valid() -> None:
    """https://spec.graphql.org/October2021/#sec-Type-System.Schema: built without a look, so it is looked at here."""
    known = schema(load())
    copy = GraphQLSchema(known.query_type, types=list(known.type_map.values()), directives=known.directives)
    assert validate_schema(copy) == []


def test_every_type_has_its_elements() -> None:
    """Each structure that values can have, with the JSON names of its definition; lists are lists."""
    definitions, known = load(), schema(load())
    for name, structure in definitions.structures.items():
        if structure.abstract or structure.kind == "primitive-type" or name not in known.type_map:
            continue
        by_path: dict[str, set[str]] = {}
        for element in structure.elements[1:]:
            by_path.setdefault(element.path.rpartition(".")[0], set()).update(each for each, _ in element.json_names())
        for path, names in by_path.items():
            if "[x]" in path:
                continue
            found = known.type_map[type_name(path)]
            assert isinstance(found, GraphQLObjectType), path
            assert names <= found.fields.keys(), path
            for element in definitions.children(path):
                for json_name, _ in element.json_names():
                    assert isinstance(found.fields[json_name].type, GraphQLList) == element.is_list, (path, json_name)


def test_no_two_paths_have_one_type() -> None:
    """A name without its dots is not the name of something else."""
    definitions = load()
    paths = {
        element.path
        for structure in definitions.structures.values()
        for element in structure.elements
        if element.path.count(".") and any(each.code in ("BackboneElement", "Element") for each in element.types)
    }
    reserved = {"Query", *(f"{each}{end}" for each in definitions.resource_types for end in ("Connection", "Edge"))}
    names = [type_name(path) for path in paths] + [*definitions.structures, *reserved]
    assert len(names) == len(set(names))


def test_every_resource_type_is_read_and_searched_at_the_root() -> None:
    definitions, root = load(), schema(load()).query_type
    assert root is not None
    for name in definitions.resource_types:
        assert {name, f"{name}List", f"{name}Connection"} <= root.fields.keys()
        codes = {code.replace("-", "_") for code in registry(definitions, name).searchable}
        assert codes | {"_count", "_sort", "_filter"} <= root.fields[f"{name}List"].args.keys()
    assert len(root.fields) == 3 * len(definitions.resource_types)


def test_arguments_name_search_parameters_one_to_one() -> None:
    """No two codes become one argument."""
    definitions = load()
    for name in definitions.resource_types:
        codes = registry(definitions, name).searchable
        assert len({code.replace("-", "_") for code in codes}) == len(codes), name


def test_a_resource_has_the_searches_of_what_can_refer_to_it() -> None:
    patient, organization = fields_of("Patient"), fields_of("Organization")
    assert {"ObservationList", "ObservationConnection", "ProvenanceList"} <= patient.keys()
    assert "PatientList" in organization
    assert "SlotList" not in patient
    assert "ObservationList" not in fields_of("HumanName")


def test_types_that_are_referred_to_by_the_same_share_their_fields() -> None:
    """Otherwise the schema would be ten times as large."""
    assert fields_of("Slot")["ProvenanceList"] is fields_of("Account")["ProvenanceList"]


def test_lists_are_chosen_from_by_their_primitive_elements() -> None:
    arguments: dict[str, GraphQLArgument] = fields_of("Patient")["name"].args  # type: ignore[attr-defined]
    assert arguments.keys() == {"fhirpath", "_offset", "_count", "id", "use", "text", "family"}


def test_every_field_says_what_it_stands_for() -> None:
    for found in schema(load()).type_map.values():
        if isinstance(found, GraphQLObjectType) and not found.name.startswith("__"):
            for name, field in found.fields.items():
                meant = meaning(field)
                assert meant is not None, (found.name, name)
                if isinstance(meant, Element):
                    assert meant.name == name
                if isinstance(meant, Search):
                    assert get_named_type(field.type).name.startswith(meant.resource_type)
