"""Reference parameters: links to resources of this server, to addresses elsewhere, to canonical URLs.

Stored are `r`, strings: `Type/id` for what is on this server however it was written, the address of what is elsewhere, and of a
canonical the URL with and without its version (and `Type/id`, if it lies on this server); `i`, the tokens of logical references'
identifiers; and `inner`, the ids of contained resources. The version in a reference (`/_history/2`) is left out on both sides: a search finds
references to any version.

`:below` of a canonical is true of all its versions, or of those that continue the one named (`url|1` of 1.0 and 1.1); `:above` of those that
the one named continues. Of a resource that can be part of another they are about the whole and its parts, however many steps.

https://hl7.org/fhir/R4/search.html#reference
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

from fhirserver.model.reference import Reference
from fhirserver.search.expression import Chain, Expression, In, Parts, Prefixed, any_of
from fhirserver.search.parameters.term import Circumstances, Indexed, Node, Term
from fhirserver.search.parameters.token import pair, tokens

MODIFIERS = frozenset({"missing", "identifier", "above", "below", "[type]"})

_ABSOLUTE = re.compile(r"[:|]")
"""What is in every address of another server, in every name, and in a canonical with its version."""
_ID = re.compile(r"[A-Za-z0-9\-.]{1,64}")
# What nearly every reference looks like, and stays as it is. An id of dots alone is left to the careful reader.
_RELATIVE = re.compile(r"[A-Z][A-Za-z]+/[A-Za-z0-9\-][A-Za-z0-9\-.]{0,63}")


def condition(term: Term) -> Expression:
    """What the query asks; a modifier other than `identifier` is the type that the reference must point to."""
    if term.modifier == "identifier":
        return tokens(term, term.path + ".i")
    if term.modifier in ("above", "below"):
        return _hierarchy(replace(term, modifier=""), term.modifier)
    found: set[str] = set()
    for text in term.texts():
        found.update(_strings(term, text))
    return In(term.path + ".r", frozenset(found))


def to_first(term: Term) -> Expression:
    """What the query asks of the one resource within a Bundle that its parameter leads to: its id alone."""
    path = f"{term.path}.inner"
    return In(path, frozenset(each.rpartition("/")[2] for text in term.texts() for each in _strings(term, text)))


def _hierarchy(term: Term, modifier: str) -> Expression:
    found: list[Expression] = []
    references: set[str] = set()
    for text in term.texts():
        url, bar, version = text.partition("|")
        if bar or not term.parents:
            found.append(versions(term.path + ".r", url, version, modifier))
        else:
            references.update(_strings(term, text))
    if not references:
        return any_of(*found)
    among = [
        Chain(term.path, type, Parts(type, f"{parent}.r", ids, upwards=modifier == "above"))
        for type, parent in term.parents
        if (ids := frozenset(each.partition("/")[2] for each in references if each.startswith(f"{type}/")))
    ]
    if not among:
        raise term.refuse(f"nothing stands ':{modifier}' it: it is no part of another.")
    return any_of(In(term.path + ".r", frozenset(references)), *among, *found)


def versions(path: str, url: str, version: str, modifier: str) -> Expression:
    """References to the versions of a canonical: all of them where none is named."""
    if not version:
        return In(path, frozenset({url}))
    if modifier == "below":
        return any_of(In(path, frozenset({f"{url}|{version}"})), Prefixed(path, f"{url}|{version}."))
    parts = version.split(".")
    return In(path, frozenset(f"{url}|{'.'.join(parts[: place + 1])}" for place in range(len(parts))))


def _strings(term: Term, text: str) -> list[str]:
    if _ID.fullmatch(text):
        types = (term.modifier,) if term.modifier else term.targets or term.circumstances.resource_types
        return [f"{type}/{text}" for type in types]
    reference = Reference.parse(text, term.circumstances.base_url)
    if reference.is_contained:
        raise term.refuse("a contained resource cannot be searched for.")
    if term.modifier and reference.type != term.modifier:
        raise term.refuse(f"the modifier says {term.modifier}, the value does not.")
    local = reference.local
    if local is None:
        if reference.type is None and not _ABSOLUTE.search(text):
            raise term.refuse("a reference is written as an id, as Type/id, or as an absolute address.")
        return [_address(reference)]
    if reference.type not in term.circumstances.resource_types:
        raise term.refuse("no such resource type.")
    return [local]


def _address(reference: Reference) -> str:
    url = reference.url or ""
    return url if reference.version is None else url.removesuffix(f"/_history/{reference.version}")


def indexed(nodes: list[Node], circumstances: Circumstances) -> Indexed | None:
    """What is stored for these values."""
    references: dict[str, None] = {}
    contained: dict[str, None] = {}
    identifiers: dict[str, None] = {}
    for kind, value in nodes:
        if kind == "Reference":
            text = value.get("reference")
            if text:
                _reference(text, circumstances.base_url, references, contained)
            identifier = value.get("identifier")
            if identifier is not None and identifier.get("value"):
                both = pair(identifier.get("system"), identifier["value"], circumstances.case_sensitive_systems)
                identifiers.update(dict.fromkeys(both))
        elif kind == "canonical":
            references.update(dict.fromkeys(canonical(value)))
            local = Reference.parse(value.partition("|")[0], circumstances.base_url).local
            if local is not None:
                references[local] = None
        elif isinstance(value, str) and value:
            _reference(value, circumstances.base_url, references, contained)
    if not references:
        rest = {name: list(each) for name, each in (("i", identifiers), ("inner", contained)) if each}
        return (rest, None, None) if rest else None
    texts = list(references)
    stored: dict[str, Any] = {"r": texts, "i": list(identifiers)} if identifiers else {"r": texts}
    if contained:
        stored["inner"] = list(contained)
    return (stored, texts[0], texts[0]) if len(texts) == 1 else (stored, min(texts), max(texts))


def _reference(text: str, base_url: str, references: dict[str, None], contained: dict[str, None]) -> None:
    if _RELATIVE.fullmatch(text):
        references[text] = None
        return
    reference = Reference.parse(text, base_url)
    if reference.is_contained:
        contained[reference.fragment or ""] = None
    else:
        references[reference.local or _address(reference)] = None


def canonical(value: str) -> list[str]:
    """The strings of a canonical: the URL, and with its version if it has one."""
    url = value.partition("#")[0]
    bare, bar, version = url.partition("|")
    return [bare, url] if bar and version else [bare]
