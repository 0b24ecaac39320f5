"""Uri parameters: equal byte for byte, nothing folded; a canonical also without its version.

`:below` is true of the address and of those that continue it behind a `/`, `:above` of the address and of those that it continues.
Where a version is named (`url|1`) they are about the versions of that canonical. Names (`urn:`) have no hierarchy.

https://hl7.org/fhir/R4/search.html#uri
"""

from __future__ import annotations

from fhirserver.search.expression import Expression, In, Prefixed, all_of, any_of
from fhirserver.search.parameters.reference import canonical, versions
from fhirserver.search.parameters.term import MAX_PATTERN, Circumstances, Indexed, Node, Term
from fhirserver.search.parameters.token import escape

MODIFIERS = frozenset({"missing", "above", "below"})

_STEPS = 40
_VERSION = "index.version"


def condition(term: Term) -> Expression:
    """What the query asks."""
    texts = term.texts()
    if term.modifier == "below":
        return any_of(*(below(term, text) for text in texts))
    if term.modifier == "above":
        return any_of(*(_higher(term, text) for text in texts))
    return In(term.path, frozenset(texts))


def canonical_url(term: Term) -> Expression:
    """What the query asks of a resource's own canonical URL: behind a bar stands the version that it must have."""
    if term.modifier:
        return condition(term)
    found: list[Expression] = []
    for text in term.texts():
        url, bar, version = text.partition("|")
        asked = In(term.path, frozenset({url}))
        is_version = In(_VERSION, frozenset({"~" + escape(version.casefold())}))
        found.append(all_of(asked, is_version) if bar and version else asked)
    plain = [each for each in found if isinstance(each, In)]
    alike = In(term.path, frozenset(value for each in plain for value in each.values))
    return any_of(*([alike] if plain else []), *(each for each in found if not isinstance(each, In)))


def below(term: Term, text: str) -> Expression:
    """The address itself, or one that continues it behind a slash."""
    url, _, version = _short(term, text).partition("|")
    if version:
        return versions(term.path, url, version, "below")
    text = _url(term, text)
    if text.endswith("/"):
        return Prefixed(term.path, text)
    return any_of(In(term.path, frozenset({text})), Prefixed(term.path, text + "/"))


def _higher(term: Term, text: str) -> Expression:
    """The address itself, or one that it continues."""
    url, _, version = _short(term, text).partition("|")
    if version:
        return versions(term.path, url, version, "above")
    return In(term.path, frozenset(_above(term, _url(term, text))))


def _url(term: Term, text: str) -> str:
    if text.lower().startswith("urn:"):
        raise term.refuse(f"a name like this one has nothing ':{term.modifier}' it, only an address has.")
    return text


def _short(term: Term, text: str) -> str:
    if len(text) >= MAX_PATTERN:
        raise term.refuse(f"an address has at most {MAX_PATTERN} characters.")
    return text


def _above(term: Term, text: str) -> set[str]:
    """The address, and each that it continues, with its last slash and without."""
    if text.count("/") > _STEPS:
        raise term.refuse(f"an address has at most {_STEPS} slashes.")
    start = text.find("://") + 3 if "://" in text else 0
    found = {text}
    place = text.find("/", start)
    while place >= 0:
        found.update((text[:place], text[: place + 1]))
        place = text.find("/", place + 1)
    return found - {""}


def indexed(nodes: list[Node], _: Circumstances) -> Indexed | None:
    """What is stored for these values."""
    found: dict[str, None] = {}
    for kind, value in nodes:
        if isinstance(value, str) and value:
            found.update(dict.fromkeys(canonical(value) if kind == "canonical" else (value,)))
    if not found:
        return None
    return list(found), min(found), max(found)
