"""Contained resources in what is stored for search: their values by their own type's parameters, beside those of their container.

`index._contained` has a subdocument for each: its id, its type, its place (`n`), the container's parameters that refer to it (`by`), and
its own `index` and `sort` as a resource of that type has them. So what is asked of a resource is asked of a contained one by the
same Expression, in `Some`. What a contained resource refers to by `#id` stands in its own `index._contained`, one step deep; `#` alone
is the container's address.

`index._inside` has strings that lead to all this by one index: each type, each type with the parameter that refers to it, and each
code, reference, name and address of a contained resource. They only narrow: the condition itself stays beside them.

https://hl7.org/fhir/R4/references.html#contained and https://hl7.org/fhir/R4/search.html#contained
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from fhirserver.search.expression import And, Expression, In, Or, Prefixed, Some, all_of, any_of
from fhirserver.search.registry import PAIR

CONTAINED: Final = "index._contained"
INSIDE: Final = "index._inside"
MOST: Final = 500
"""Resources that are looked at in one container."""
WEIGHT: Final = 400_000
"""Characters after which no further one is looked at: words and names are costly to read."""
REFERRED: Final = 100
"""Of these, how many are kept once more because another of them refers to them."""

FRAGMENTS: Final = "inner"
_VALUES: Final = ("r", "f", "i")
_LONGEST: Final = 100
_BLOCK: Final = 2_000

Fields = dict[str, Any]
Extract = Callable[[str, Mapping[str, Any]], tuple[Fields, Fields]]


def gathered(extract: Extract, known: frozenset[str], container: Mapping[str, Any], index: Mapping[str, Any]) -> Fields:
    """What is stored of the contained resources of these types, in the `index` of their container."""
    inside = list(_looked_at(known, container["contained"]))
    addresses = _addresses(container, [each for _, each in inside])
    elements = {}
    for place, each in inside:
        values, sort = extract(each["resourceType"], _resolved(each, addresses))
        elements[each["id"]] = {
            "_id": each["id"],
            "type": each["resourceType"],
            "n": place,
            "index": values,
            "sort": sort,
        }
    if not elements:
        return {}
    left = REFERRED
    nested: dict[str, list[Fields]] = {}
    for id, element in elements.items():
        nested[id] = list(_referred(element["index"], elements))[:left]
        left -= len(nested[id])
    found = []
    for element in _by(index, elements):
        inner = nested[element["_id"]]
        found.append({**element, "index": {**element["index"], "_contained": inner}} if inner else element)
    return {"_contained": found, "_inside": list(dict.fromkeys(key for each in found for key in _keys(each)))}


def within(resource_type: str, term: Expression, code: str | None = None) -> Expression:
    """True of what contains a resource of this type of which the term is true; one that the container's parameter refers to."""
    of_type = In("type", frozenset((resource_type,)))
    by = [In("by", frozenset((code,)))] if code is not None else []
    return Some(CONTAINED, all_of(of_type, *by, term))


def led(resource_type: str, term: Expression, code: str | None = None) -> Expression:
    """The same, with what leads to it by the index: not for what is itself contained."""
    start = link(resource_type, code) if code is not None else resource_type
    lead = _lead(resource_type, term) or In(INSIDE, frozenset((start,)))
    return all_of(lead, within(resource_type, term, code))


def link(resource_type: str, code: str) -> str:
    """The string of a container whose parameter refers to a contained resource of this type."""
    return f"<{code}|{resource_type}"


def linked(code: str) -> Expression:
    """True of every container whose parameter refers to a contained resource."""
    return Prefixed(INSIDE, f"<{code}|")


def _looked_at(known: frozenset[str], contained: Sequence[Any]) -> Iterator[tuple[int, Mapping[str, Any]]]:
    left = WEIGHT
    for place, each in enumerate(contained[:MOST]):
        if (
            left > 0
            and isinstance(each, dict)
            and each.get("resourceType") in known
            and isinstance(each.get("id"), str)
        ):
            left -= _weight(each)
            yield place, each


def _weight(value: Any) -> int:
    if isinstance(value, str):
        return min(len(value), _BLOCK)  # of data nothing is read
    if isinstance(value, dict):
        return sum(map(_weight, value.values()))
    return sum(map(_weight, value)) if isinstance(value, list) else 0


def _addresses(container: Mapping[str, Any], inside: Iterable[Mapping[str, Any]]) -> Mapping[str, Fields]:
    """What stands in the place of a reference within the container: its own address, and with that of another its type."""
    found = {f"#{each['id']}": {"reference": f"#{each['id']}", "type": each["resourceType"]} for each in inside}
    if "id" in container:
        found["#"] = {"reference": f"{container['resourceType']}/{container['id']}"}
    return found


def _resolved(value: Any, addresses: Mapping[str, Fields]) -> Any:
    if isinstance(value, dict):
        if isinstance(text := value.get("reference"), str):
            return {**value, **addresses.get(text, {})}
        return {key: _resolved(item, addresses) for key, item in value.items() if key != "contained"}
    return [_resolved(item, addresses) for item in value] if isinstance(value, list) else value


def _by(index: Mapping[str, Any], elements: Mapping[str, Fields]) -> Iterator[Fields]:
    """Every element, with the codes of the parameters by which these values refer to it."""
    codes = _codes(index)
    for id, element in elements.items():
        yield {**element, "by": codes[id]} if id in codes else element


def _referred(index: Mapping[str, Any], elements: Mapping[str, Fields]) -> Iterator[Fields]:
    """Those elements to which these values refer."""
    for id, codes in _codes(index).items():
        if id in elements:
            yield {**elements[id], "by": codes}


def _codes(index: Mapping[str, Any]) -> Mapping[str, list[str]]:
    found: defaultdict[str, list[str]] = defaultdict(list)
    for code, stored in index.items():
        if isinstance(stored, dict) and not code.startswith("_"):
            for id in stored.get(FRAGMENTS, ()):
                found[id].append(code)
    return found


def _keys(element: Mapping[str, Any]) -> Iterator[str]:
    resource_type = element["type"]
    yield resource_type
    for code in element.get("by", ()):
        yield link(resource_type, code)
    yield _key(resource_type, "_id", element["_id"])
    for code, stored in element["index"].items():
        if not _is_told(code):
            continue
        path = f"index.{code}"
        if isinstance(stored, list):
            yield from _strings(resource_type, path, stored)
        elif isinstance(stored, dict):
            for name in _VALUES:
                yield from _strings(resource_type, f"{path}.{name}", stored.get(name, ()))


def _strings(resource_type: str, path: str, values: Iterable[Any]) -> Iterator[str]:
    for value in values:
        if isinstance(value, str):
            yield _key(resource_type, path, value)


def _key(resource_type: str, path: str, value: str) -> str:
    return f"{resource_type}|{path}|{value[:_LONGEST]}"


def _lead(resource_type: str, term: Expression) -> Expression | None:
    """What is true of the strings wherever the term is true, of the condition that most likely is true of few."""
    terms = term.terms if isinstance(term, And) else (term,)
    found = [(rank, lead) for each in terms for rank, lead in _of(resource_type, each)]
    return min(found, key=lambda each: each[0])[1] if found else None


def _of(resource_type: str, term: Expression) -> Iterator[tuple[int, Expression]]:
    match term:
        case In(path, values) if _is_kept(path) and all(isinstance(value, str) for value in values):
            keys = frozenset(_key(resource_type, path, str(value)) for value in values)
            yield 0 if path in ("_id", "index.identifier") else 1 if path.endswith(".r") else 2, In(INSIDE, keys)
        case Prefixed(path, text) if path.endswith(".f") and _is_kept(path):
            yield 3, Prefixed(INSIDE, _key(resource_type, path, text))
        case Some(path, And((In("type", types), *_)) as inner) if path == CONTAINED and len(types) == 1:
            # What it refers to within the container has its strings there too.
            if (lead := _lead(str(*types), inner)) is not None:
                yield 3, lead
        case Or(terms):
            leads = [_lead(resource_type, each) for each in terms]
            if None not in leads:
                yield 4, any_of(*(lead for lead in leads if lead is not None))


def _is_kept(path: str) -> bool:
    if path == "_id":
        return True
    start, _, rest = path.partition(".")
    code, dot, name = rest.partition(".")
    return start == "index" and _is_told(code) and (not dot or name in _VALUES)


def _is_told(code: str) -> bool:
    """Whether values are among the strings: not words, endings and the like."""
    return code == PAIR or not code.startswith("_")
