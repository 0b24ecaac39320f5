"""`_include` and `_revinclude`, with `:iterate`, the wildcard and a target type.

A wildcard stands for every reference parameter of its type, and alone for those of every type. What goes one step starts from the matches; what iterates starts from
what was included as well. A canonical reference leads to what has that URL, whatever its id.

https://hl7.org/fhir/R4/search.html#include
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Final

from fhirserver.definitions import Definitions
from fhirserver.model.outcome import BadRequest
from fhirserver.search.endings import branches, elements_at
from fhirserver.search.query.unsupported import Unsupported, UnsupportedAlways
from fhirserver.search.registry import Searchable, registry, resource_types
from fhirserver.search.request import Include

if TYPE_CHECKING:
    from collections.abc import Callable

    from fhirserver.search.query.result import ResultParameters

WILDCARD: Final = "*"


def _include(result: ResultParameters, value: str, *, iterate: bool) -> str:
    if value == WILDCARD and iterate:
        result.includes.update(dict.fromkeys(_all(result.definitions, reverse=False, iterate=True)))
        return value
    asked = _Asked.parse(result, "_include", value, iterate=iterate)
    if asked.source_type != result.resource_type and not iterate:
        raise Unsupported(
            f"An '_include' starts from the type that is searched, {result.resource_type}; "
            "what starts from an included type is written '_include:iterate'."
        )
    result.includes.update(dict.fromkeys(asked.includes(reverse=False)))
    return value


def _revinclude(result: ResultParameters, value: str, *, iterate: bool) -> str:
    if value == WILDCARD:
        asked = _all(result.definitions, reverse=True, iterate=iterate)
    else:
        asked = _Asked.parse(result, "_revinclude", value, iterate=iterate).includes(reverse=True)
    found = [each for each in asked if iterate or each.points_to(result.resource_type)]
    if not found:
        raise Unsupported(f"'{value[:100]}' does not point to {result.resource_type}.")
    result.includes.update(dict.fromkeys(found))
    return value


def _all(definitions: Definitions, *, reverse: bool, iterate: bool) -> Iterator[Include]:
    """Every reference parameter of every type."""
    for source_type in sorted(resource_types(definitions)):
        for code in _codes(definitions, source_type, WILDCARD, None):
            yield _of(definitions, source_type, code, None, reverse=reverse, iterate=iterate)


def _of(
    definitions: Definitions, source_type: str, code: str, target: str | None, *, reverse: bool, iterate: bool
) -> Include:
    targets = frozenset(registry(definitions, source_type).searchable[code].targets)
    canonical = canonical_targets(definitions, source_type, code)
    return Include(source_type, code, target, reverse, iterate, canonical, targets)


def _recurse(_: ResultParameters, __: str) -> str:
    raise UnsupportedAlways("R4 writes ':iterate' where earlier versions wrote ':recurse'.")


INCLUDES: Final[dict[str, Callable[[ResultParameters, str], str]]] = {
    "_include": partial(_include, iterate=False),
    "_include:iterate": partial(_include, iterate=True),
    "_include:recurse": _recurse,
    "_revinclude": partial(_revinclude, iterate=False),
    "_revinclude:iterate": partial(_revinclude, iterate=True),
    "_revinclude:recurse": _recurse,
}
"""The readers of these parameters; each may stand in a query more than once."""


class _Asked:
    """`Type:parameter` or `Type:parameter:Target`, read and looked up."""

    def __init__(
        self, definitions: Definitions, source_type: str, codes: tuple[str, ...], target: str | None, iterate: bool
    ) -> None:
        self.definitions = definitions
        self.source_type = source_type
        self.codes = codes
        self.target = target
        self.iterate = iterate

    @classmethod
    def parse(cls, result: ResultParameters, name: str, value: str, *, iterate: bool) -> _Asked:
        """Read a value. Raises BadRequest or Unsupported."""
        definitions = result.definitions
        name = f"{name}:iterate" if iterate else name
        if value == WILDCARD:
            value = f"{result.resource_type}:{WILDCARD}"
        parts = value.split(":")
        if len(parts) not in (2, 3) or not all(parts):
            raise BadRequest(f"The parameter '{name}' is written Type:parameter or Type:parameter:Target.")
        source_type, code, target = parts[0], parts[1], parts[2] if len(parts) == 3 else None
        types = resource_types(definitions)
        if source_type not in types or (target is not None and target not in types):
            raise Unsupported(f"'{name}' names a resource type that does not exist.")
        return cls(definitions, source_type, _codes(definitions, source_type, code, target), target, iterate)

    def includes(self, *, reverse: bool) -> Iterator[Include]:
        """What is to be followed."""
        for code in self.codes:
            yield _of(self.definitions, self.source_type, code, self.target, reverse=reverse, iterate=self.iterate)


def _codes(definitions: Definitions, source_type: str, code: str, target: str | None) -> tuple[str, ...]:
    known = registry(definitions, source_type).searchable
    if code == WILDCARD:
        return tuple(each.code for each in known.values() if each.type == "reference" and _points_to(each, target))
    found = known.get(code)
    if found is None or found.type != "reference":
        raise Unsupported(f"{source_type} has no reference parameter '{code[:100]}' to include by.")
    if not _points_to(found, target):
        raise Unsupported(f"'{source_type}:{code}' does not point to {target}.")
    return (code,)


def _points_to(searchable: Searchable, target: str | None) -> bool:
    return target is None or not searchable.targets or target in searchable.targets


def canonical_targets(definitions: Definitions, resource_type: str, code: str) -> tuple[str, ...]:
    """The types that a reference parameter names by their canonical URL; none where it is of references only."""
    return _canonical_targets(definitions.about(resource_type), resource_type, code)


@lru_cache(maxsize=4_096)
def _canonical_targets(definitions: Definitions, resource_type: str, code: str) -> tuple[str, ...]:
    searchable = registry(definitions, resource_type).searchable[code]
    kinds = {
        type.code
        for branch in branches(searchable.definition.expression)
        for element in elements_at(definitions, branch)
        for type in element.types
    }
    if "canonical" not in kinds and "uri" not in kinds:
        return ()
    targets = searchable.targets or searchable.definition.targets or tuple(sorted(resource_types(definitions)))
    return tuple(each for each in targets if "url" in registry(definitions, each).searchable)
