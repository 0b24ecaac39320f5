"""Functions that know FHIR: trees, types, references, terminology, narratives.

What needs another room is lent by the caller; without it these functions are errors where the resource alone does not decide.

https://hl7.org/fhir/R4/fhirpath.html#functions and https://hl7.org/fhirpath/N1/#tree-navigation
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from fhirserver.fhirpath import tables
from fhirserver.fhirpath.compiling import operators
from fhirserver.fhirpath.compiling.elements import TypeSystem
from fhirserver.fhirpath.environment import Environment, weight
from fhirserver.fhirpath.errors import Misuse
from fhirserver.fhirpath.functions.calls import Judging, Selecting, subject
from fhirserver.fhirpath.language.syntax import Call
from fhirserver.fhirpath.runtime import Step, Truth
from fhirserver.fhirpath.tables import TYPE_INFO
from fhirserver.fhirpath.values.equality import equal_nodes
from fhirserver.fhirpath.values.nodes import KINDS, Kind, Node, Nodes, plain, single, text
from fhirserver.fhirpath.xhtml import xhtml_fault

if TYPE_CHECKING:
    from fhirserver.fhirpath.compiling.compiler import Compiler
    from fhirserver.fhirpath.compiling.elements import Static
    from fhirserver.fhirpath.compiling.then import Then

_MARKUP_BITS = 3
"""Reading markup takes so much longer than looking at a text."""

Arguments = Sequence[Nodes]
Make = Callable[[TypeSystem, Nodes, Arguments, Environment], list[Node]]
Judge = Callable[[TypeSystem, Nodes, Arguments, Environment], bool | None]


def _selecting(arguments: range, run: Make) -> Selecting:
    def make(compiler: Compiler, call: Call, focus: Static, then: Then) -> Step | None:
        types = compiler.types
        target, _ = compiler.collection(subject(call), focus)
        given = [compiler.collection(argument, focus)[0] for argument in call.arguments]
        collect = operators.applied(
            compiler, call, lambda nodes, found, environment: run(types, nodes, found, environment), target, given
        )
        return compiler.computed(collect, then)

    return Selecting(arguments, make)


def _judging(arguments: range, judge: Judge) -> Judging:
    def make(compiler: Compiler, call: Call, focus: Static) -> Truth:
        types = compiler.types
        target, _ = compiler.collection(subject(call), focus)
        given = [compiler.collection(argument, focus)[0] for argument in call.arguments]

        def truth(value: object, environment: Environment) -> bool | None:
            found = [argument(value, environment) for argument in given]
            nodes = target(value, environment)
            environment.spend(weight(nodes))
            return judge(types, nodes, found, environment)

        return operators.placed(compiler, call, truth)

    return Judging(arguments, make)


# Trees


def children(types: TypeSystem, nodes: Nodes, arguments: Arguments, environment: Environment) -> list[Node]:
    """`children()`"""
    found: list[Node] = []
    for node in nodes:
        tables.children(types.tables, node, found)
    return found


def descendants(types: TypeSystem, nodes: Nodes, arguments: Arguments, environment: Environment) -> list[Node]:
    """`descendants()`"""
    found: list[Node] = []
    for node in nodes:
        tables.children(types.tables, node, found)
    for node in found:  # it grows meanwhile
        tables.children(types.tables, node, found)
    return found


# Types and values


def type_info(types: TypeSystem, nodes: Nodes, arguments: Arguments, environment: Environment) -> list[Node]:
    """`type()`"""
    found: list[Node] = []
    for type, _ in nodes:
        namespace, _, name = (
            type.partition(".") if type.startswith("System.") else ("FHIR", "", type.rpartition(":")[2])
        )
        found.append((TYPE_INFO, {"namespace": namespace, "name": name}))
    return found


def has_value(types: TypeSystem, nodes: Nodes, arguments: Arguments, environment: Environment) -> bool | None:
    """`hasValue()`: whether it is one primitive, and not only extensions"""
    if len(nodes) != 1:
        return False
    type, value = nodes[0]
    return _is_primitive(types, type) and plain(value) is not None


def get_value(types: TypeSystem, nodes: Nodes, arguments: Arguments, environment: Environment) -> list[Node]:
    """`getValue()`: a primitive's value as FHIRPath's own type"""
    if len(nodes) != 1 or not has_value(types, nodes, arguments, environment):
        return []
    type, value = nodes[0]
    kind = KINDS.get(type)
    return [] if kind is None else [(f"System.{kind.value}", plain(value))]


def _is_primitive(types: TypeSystem, type: str) -> bool:
    if type.startswith("System."):
        return type != TYPE_INFO
    structure = types.definitions.structures.get(type)
    return structure is not None and structure.kind == "primitive-type"


# References


def resolve(types: TypeSystem, nodes: Nodes, arguments: Arguments, environment: Environment) -> list[Node]:
    """`resolve()`: contained resources, entries of the Bundle around, and what the caller can fetch"""
    found: list[Node] = []
    for _, value in nodes:
        address = plain(value.get("reference") if isinstance(value, dict) else value)
        if isinstance(address, str):
            resource = _resolved(address, environment)
            if resource is not None:
                found.append((tables.resource_type(resource), resource))
    return found


def _resolved(address: str, environment: Environment) -> Mapping[str, Any] | None:
    container = environment.container
    if isinstance(container, dict):
        if address == "#":
            return container
        if address.startswith("#"):
            contained = container.get("contained", ())
            return next((each for each in contained if each.get("id") == address[1:]), None)
        if container.get("resourceType") == "Bundle":
            for entry in container.get("entry", ()):
                url = entry.get("fullUrl", "")
                if "resource" in entry and (url == address or ("/" in address and url.endswith("/" + address))):
                    return entry["resource"]  # type: ignore[no-any-return]
    if environment.host.resolve is None:
        raise Misuse("resolve() of what is outside the resource needs a way to fetch it, which was not given.")
    return environment.host.resolve(address)


# What is lent


def _lent(name: str) -> Misuse:
    return Misuse(f"{name}() cannot be decided here; what it needs was not given.")


def member_of(types: TypeSystem, nodes: Nodes, arguments: Arguments, environment: Environment) -> bool | None:
    """`memberOf(valueset)`: by the caller, or by the value sets that R4 itself defines whole"""
    node, url = single(nodes, "memberOf()"), text(arguments[0], "memberOf()")
    if node is None or url is None:
        return None
    if environment.host.member_of is not None:
        return environment.host.member_of(node, url)
    value_set = types.definitions.value_set(url)
    if value_set is None:
        raise _lent("memberOf")
    return any(value_set.contains(code, system) for code, system in _codings(node))


def _codings(node: Node) -> list[tuple[str, str | None]]:
    """The codes of a code, Coding, Quantity or CodeableConcept, with their systems."""
    type, value = node
    if not isinstance(value, dict):
        return [(plain(value), None)] if KINDS.get(type) is Kind.STRING and isinstance(plain(value), str) else []
    codings = value.get("coding", ()) if type == "CodeableConcept" else (value,)
    # A Coding without a system has no meaning.
    return [(each["code"], each["system"]) for each in codings if "code" in each and "system" in each]


def conforms_to(types: TypeSystem, nodes: Nodes, arguments: Arguments, environment: Environment) -> bool | None:
    """`conformsTo(profile)`"""
    node, url = single(nodes, "conformsTo()"), text(arguments[0], "conformsTo()")
    if node is None or url is None:
        return None
    if environment.host.conforms_to is None:
        raise _lent("conformsTo")
    return environment.host.conforms_to(node, url)


def subsumes(types: TypeSystem, nodes: Nodes, arguments: Arguments, environment: Environment) -> bool | None:
    """`subsumes(code)`"""
    return _subsumes(nodes, arguments[0], environment, "subsumes")


def subsumed_by(types: TypeSystem, nodes: Nodes, arguments: Arguments, environment: Environment) -> bool | None:
    """`subsumedBy(code)`"""
    return _subsumes(arguments[0], nodes, environment, "subsumedBy")


def _subsumes(nodes: Nodes, others: Nodes, environment: Environment, name: str) -> bool | None:
    one, other = single(nodes, f"{name}()"), single(others, f"{name}()")
    if one is None or other is None:
        return None
    if environment.host.subsumes is None:
        if equal_nodes(one, other):
            return True
        raise _lent(name)
    return environment.host.subsumes(one, other)


def element_definition(types: TypeSystem, nodes: Nodes, arguments: Arguments, environment: Environment) -> list[Node]:
    """`elementDefinition()`"""
    lend = environment.host.element_definition
    if lend is None:
        raise _lent("elementDefinition")
    return [("ElementDefinition", found) for node in nodes if (found := lend(node)) is not None]


def sliced(types: TypeSystem, nodes: Nodes, arguments: Arguments, environment: Environment) -> list[Node]:
    """`slice(structure, name)`"""
    lend = environment.host.slice
    structure, name = text(arguments[0], "slice()"), text(arguments[1], "slice()")
    if lend is None:
        raise _lent("slice")
    if structure is None or name is None:
        return []
    return [node for node in nodes if lend(node, structure, name)]


def check_modifiers(types: TypeSystem, nodes: Nodes, arguments: Arguments, environment: Environment) -> list[Node]:
    """`checkModifiers(urls...)`: the items as they are, or an error if one has a modifier extension that is not named"""
    urls = [text(argument, "checkModifiers()") or "" for argument in arguments]
    lend = environment.host.check_modifiers
    for node in nodes:
        if lend is not None:
            known = lend(node, urls)
        else:
            modifiers = node[1].get("modifierExtension", ()) if isinstance(node[1], dict) else ()
            known = all(each.get("url") in urls for each in modifiers)
        if not known:
            raise Misuse("An item has a modifier extension that is not known.")
    return list(nodes)


def html_checks(types: TypeSystem, nodes: Nodes, arguments: Arguments, environment: Environment) -> bool | None:
    """`htmlChecks()`: whether a narrative is made of what R4 allows in it"""
    value = text(nodes, "htmlChecks()")
    environment.spend(len(value or "") >> _MARKUP_BITS)
    return None if value is None else xhtml_fault(value) is None


SELECTING_TABLE = {
    "children": _selecting(range(1), children),
    "descendants": _selecting(range(1), descendants),
    "type": _selecting(range(1), type_info),
    "getValue": _selecting(range(1), get_value),
    "resolve": _selecting(range(1), resolve),
    "elementDefinition": _selecting(range(1), element_definition),
    "slice": _selecting(range(2, 3), sliced),
    "checkModifiers": _selecting(range(1, 64), check_modifiers),
}
JUDGING_TABLE = {
    "hasValue": _judging(range(1), has_value),
    "memberOf": _judging(range(1, 2), member_of),
    "conformsTo": _judging(range(1, 2), conforms_to),
    "subsumes": _judging(range(1, 2), subsumes),
    "subsumedBy": _judging(range(1, 2), subsumed_by),
    "htmlChecks": _judging(range(1), html_checks),
}
