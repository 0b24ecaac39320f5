"""The paths of discriminators: R4's restricted FHIRPath of element names, `extension(url)`, `ofType(type)` and `resolve()`.

https://hl7.org/fhir/R4/profiling.html#discriminator
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final, NamedTuple

_STEP: Final = re.compile(
    r"(?P<resolve>resolve\(\))|extension\(\s*'(?P<extension>[^']{1,255})'\s*\)|ofType\(\s*(?:FHIR\.)?(?P<ofType>[A-Za-z]{1,64})\s*\)"
    r"|as\(\s*(?:FHIR\.)?(?P<as>[A-Za-z]{1,64})\s*\)|(?P<child>\$this|[A-Za-z_][A-Za-z0-9_]{0,63}(?:\[x\])?)"
)
MAX_STEPS: Final = 20


class Step(NamedTuple):
    """One step: `child`, `extension`, `ofType` or `resolve`, and its name."""

    kind: str
    name: str = ""


@lru_cache(1024)
def read_path(path: str) -> tuple[Step, ...] | None:
    """The steps of a path; None if it is none that R4 allows."""
    steps: list[Step] = []
    position = 0
    while position < len(path):
        match = _STEP.match(path, position)
        if match is None or len(steps) >= MAX_STEPS:
            return None
        kind = match.lastgroup or ""
        name = match[kind]
        if name != "$this":
            steps.append(
                Step("ofType" if kind == "as" else kind, name.removesuffix("[x]") if kind == "child" else name)
            )
        position = match.end()
        if position < len(path):
            if path[position] != ".":
                return None
            position += 1
    return tuple(steps) if path else None
