"""No public function of the store reads a record without a Permit, positional and without a default."""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fhirserver.store
from fhirserver.search.permit import Permit


def public_functions() -> Iterator[tuple[str, Any]]:
    """Every public function and method that a module of the store defines."""
    for module_info in pkgutil.walk_packages(fhirserver.store.__path__, "fhirserver.store."):
        module = importlib.import_module(module_info.name)
        place = module_info.name.removeprefix("fhirserver.store.")
        for name, value in vars(module).items():
            if name.startswith("_") or getattr(value, "__module__", "") != module.__name__:
                continue
            if inspect.isclass(value):
                for method, function in vars(value).items():
                    if not method.startswith("_") and inspect.isfunction(function):
                        yield f"{place}.{name}.{method}", function
            elif inspect.isfunction(value):
                yield f"{place}.{name}", value


def takes_a_permit(function: Any) -> bool:
    """Whether it has a positional parameter for a Permit, without a default."""
    return any(
        "Permit" in str(parameter.annotation)
        and parameter.default is inspect.Parameter.empty
        and parameter.kind is not inspect.Parameter.KEYWORD_ONLY
        for parameter in inspect.signature(function).parameters.values()
    )


CLASSIFIED = Path(__file__).parent.parent / "data" / "store_functions.txt"
"""The public functions of the store that take no Permit, each with the reason why it reads nothing of a record."""


def test_every_public_function_of_the_store_takes_a_permit_or_is_classified() -> None:
    """No permit, no read."""
    rows = [line.split(None, 1) for line in CLASSIFIED.read_text(encoding="utf-8").splitlines() if line.strip()]
    assert all(len(row) == 2 for row in rows), "each row needs its reason"
    classified = {row[0] for row in rows}
    without = {name for name, function in public_functions() if not takes_a_permit(function)}
    assert without - classified == set(), "these read without a Permit, or need a reason"
    assert classified - without == set(), "these rows are out of date"


def test_a_permit_has_no_default_anywhere() -> None:
    """A forgotten permit must be an error, not a default."""
    for name, function in public_functions():
        for parameter in inspect.signature(function).parameters.values():
            if "Permit" in str(parameter.annotation):
                assert parameter.default is inspect.Parameter.empty, name


def system_permits() -> list[tuple[str, str]]:
    """Where `Permit.system(...)` is called, with the reason it states."""
    root = Path(fhirserver.__path__[0])
    return [
        (path.relative_to(root).as_posix(), ast.unparse(node.args[0]))
        for path in sorted(root.rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == f"{Permit.__name__}.system"
    ]


def test_the_system_permits_are_counted() -> None:
    """`Permit.system` is loud: a new use of it must be put on this list by hand."""
    known = (Path(__file__).parent.parent / "data" / "system_permits.txt").read_text(encoding="utf-8").splitlines()
    assert [f"{path} {reason}" for path, reason in system_permits()] == [line for line in known if line.strip()]


def test_a_write_carries_its_permit_without_a_default() -> None:
    """The old version is judged inside the transaction, under the writer's own Permit."""
    from msgspec import NODEFAULT
    from msgspec.structs import fields

    from fhirserver.store import Write

    permit = next(each for each in fields(Write) if each.name == "permit")
    assert permit.default is NODEFAULT
    assert permit.default_factory is NODEFAULT
