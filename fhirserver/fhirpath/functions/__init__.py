"""The functions, as tables: those that select, those that judge, and those of whole collections.

https://hl7.org/fhirpath/N1/#functions and https://hl7.org/fhir/R4/fhirpath.html#functions
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from fhirserver.fhirpath.functions.calls import General, Judging, Run, Selecting

if TYPE_CHECKING:
    from fhirserver.fhirpath.language.syntax import Call

__all__ = ["GENERAL", "JUDGING", "SELECTING", "Run", "arity"]

JUDGING: dict[str, Judging] = {}
SELECTING: dict[str, Selecting] = {}
GENERAL: dict[str, General] = {}


def arity(call: Call) -> range | None:
    """How many arguments the function takes; None if there is no such function."""
    tables: tuple[Mapping[str, Judging | Selecting | General], ...] = (JUDGING, SELECTING, GENERAL)
    found = next((table[call.name] for table in tables if call.name in table), None)
    return None if found is None else found.arguments


def _fill() -> None:
    """The tables are filled last, for the functions know the operators, and these the tables."""
    from fhirserver.fhirpath.functions import collections, existence, fhir, filtering, numbers, strings

    JUDGING.update(existence.TABLE | fhir.JUDGING_TABLE)
    SELECTING.update(filtering.TABLE | fhir.SELECTING_TABLE)
    GENERAL.update(collections.TABLE | strings.TABLE | numbers.TABLE)


_fill()
