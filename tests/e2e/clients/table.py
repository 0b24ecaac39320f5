"""The interactions of the table in `docs/clients.md`, by the names that it gives them."""

from __future__ import annotations

from typing import Literal, get_args

Name = Literal[
    "capabilities",
    "create",
    "create, conditional",
    "read",
    "read, unless the client has it",
    "vread",
    "update",
    "update, of a known version",
    "update, conditional",
    "patch",
    "patch, conditional",
    "delete",
    "delete, conditional",
    "search",
    "search by form",
    "search: the next page",
    "search: how many",
    "search: includes",
    "search: chosen elements",
    "search in a compartment",
    "history of a resource",
    "history of a type",
    "history of the system",
    "batch",
    "transaction",
    "binary",
    "operation: everything",
    "operation: validate",
]
NAMES: tuple[Name, ...] = get_args(Name)
