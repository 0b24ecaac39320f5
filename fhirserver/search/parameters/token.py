"""Token parameters: codes and identifiers, with or without their system.

Stored for each code are two strings: `system|code` (`|code` where there is no system), and one for a search that names no system:
`=code` where case tells codes apart, `~code` folded where it does not. Case counts in code systems that say so, and in ids, uris
and booleans; where nobody says, it does not. A bar or percent sign inside a system or code is written `%7C`, `%25`. A system that
goes by several names is stored and asked by its first, and so are identifiers that are written in several ways.

Beside the tokens stand `:text`, the folded displays and texts, and `:of-type`, an identifier's type and value as
`system|code|value`. Code systems and value sets are not known here: `:in`, `:above` and `:below` are left to be answered.

https://hl7.org/fhir/R4/search.html#token
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from fhirserver.definitions.codes.identifiers import ALIASES, dialled, named, spellings
from fhirserver.search.expression import Containing, Expression, In, Member, Prefixed, Relation, all_of, any_of, negate
from fhirserver.search.parameters.string import fold
from fhirserver.search.parameters.term import MAX_PATTERN, Circumstances, Indexed, Node, Term
from fhirserver.search.query.escaping import divide, unescape

MODIFIERS = frozenset({"missing", "not", "text", "of-type", "in", "not-in", "above", "below"})

TEXT, OF_TYPE = ":text", ":of-type"
"""What is appended to the path of the tokens for what stands beside them."""

TOLD = frozenset({"CodeableConcept", "Coding", "Identifier"})
"""The types of values beside which something stands."""

_TEXT_LENGTH, _TEXTS = 200, 20
_SPECIAL_VALUES = (
    ["http://hl7.org/fhir/special-values"],
    ["http://terminology.hl7.org/CodeSystem/special-values"],
)
_MIME_TYPE = re.compile(
    r"(?:application|audio|font|image|message|model|multipart|text|video)/[\w.+\-]{1,100}", re.ASCII | re.IGNORECASE
)


def condition(term: Term) -> Expression:
    """What the query asks; `:not` and `:not-in` are also true of resources without the element."""
    match term.modifier:
        case "not":
            return negate(tokens(term, term.path))
        case "text":
            return any_of(*(_texts(term, text) for text in term.texts()))
        case "of-type":
            return any_of(*(_of_type(term, text) for text in term.alternatives))
        case "in":
            return _members(term, Relation.IN)
        case "not-in":
            return negate(_members(term, Relation.IN))
        case "above" | "below":
            return _members(term, Relation(term.modifier))
        case _:
            return tokens(term, term.path)


def boolean(term: Term) -> Expression:
    """What the query asks of what is true or false; its system is never needed."""
    if term.modifier not in ("", "not"):
        return condition(term)
    found: set[str] = set()
    for text in term.alternatives:
        *system, value = (unescape(part) for part in divide(text, "|"))
        if value.lower() not in ("true", "false") or system not in ([], *_SPECIAL_VALUES):
            raise term.refuse("it is true or false.")
        found.add("=" + value.lower())
    return negate(In(term.path, frozenset(found))) if term.modifier else In(term.path, frozenset(found))


def _texts(term: Term, text: str) -> Expression:
    """Some display or text begins with this, or has a word that does."""
    wanted = fold(text)
    if not wanted or len(wanted) > MAX_PATTERN:
        raise term.refuse(f"a text to search for has letters or digits, and at most {MAX_PATTERN} characters.")
    return any_of(Prefixed(term.path + TEXT, wanted), Containing(term.path + TEXT, " " + wanted))


def _of_type(term: Term, text: str) -> Expression:
    parts = [unescape(part) for part in divide(text, "|")]
    if len(parts) != 3 or not all(parts):
        raise term.refuse("it is written type-system|type-code|value.")
    system, code, value = parts
    typed = pair(system, code, term.circumstances.case_sensitive_systems)[0]
    wanted = frozenset(f"{typed}|{escape(each.casefold())}" for each in (value, *spellings(value)))
    # That the value is among the identifiers changes no answer, and is what their index is for.
    return all_of(In(term.path, frozenset(_anywhere(value))), In(term.path + OF_TYPE, wanted))


def _members(term: Term, relation: Relation) -> Expression:
    """Left to be answered by who knows the code systems: `of` is a value set's address, or `system|code`."""
    found = []
    for text in term.alternatives:
        of = unescape(text)
        if relation is Relation.BELOW and _MIME_TYPE.fullmatch(of):
            found.append(_mime_type(term.path, of))
            continue
        if relation is not Relation.IN:
            parts = [unescape(part) for part in divide(text, "|")]
            if len(parts) != 2 or not all(parts):
                raise term.refuse("a code of a hierarchy is written system|code.")
        found.append(Member(term.path, relation, of))
    return any_of(*found)


def _mime_type(path: str, text: str) -> Expression:
    """This type of media, with parameters and without: `text/xml` and `text/xml; charset=UTF-8`."""
    # Some spell the code as it is, if its system says so: both are asked.
    spelled = ("~" + escape(text.casefold()), "=" + escape(text))
    return any_of(In(path, frozenset(spelled)), *(Prefixed(path, each + mark) for each in spelled for mark in "; "))


def contact(term: Term) -> Expression:
    """What the query asks of telephone numbers and addresses: they have no system, and numbers are found in any spelling."""
    if term.modifier not in ("", "not"):
        return condition(term)
    found: set[str] = set()
    for text in term.alternatives:
        if len(divide(text, "|")) > 1:
            raise term.refuse("a telephone number or an address has no system: it is written without '|'.")
        value = unescape(text)
        found.update("~" + escape(each) for each in dialled(value) or (value.strip().casefold(),))
    return negate(In(term.path, frozenset(found))) if term.modifier else In(term.path, frozenset(found))


def tokens(term: Term, path: str) -> Expression:
    """Some token stored at the path is one of the alternatives."""
    exact: set[str] = set()
    systems: list[Expression] = []
    for text in term.alternatives:
        if "|" not in text:
            exact.update(_anywhere(unescape(text)))
            continue
        first, *rest = divide(text, "|")
        if not rest:
            exact.update(_anywhere(unescape(first)))
            continue
        if len(rest) > 1:
            raise term.refuse("it has more than one '|'; within a system or a code a bar is written '\\|'.")
        system, code = unescape(first), unescape(rest[0])
        if code:
            exact.add(pair(system, code, term.circumstances.case_sensitive_systems)[0])
        elif len(system) > MAX_PATTERN:
            raise term.refuse(f"a system has at most {MAX_PATTERN} characters.")
        elif system:
            systems.append(Prefixed(path, escape(ALIASES.get(system, system)) + "|"))
        else:
            raise term.refuse("a token has a system, a code, or both: 'system|code'.")
    if not systems:
        return In(path, frozenset(exact))
    return any_of(In(path, frozenset(exact)), *systems) if exact else any_of(*systems)


def _anywhere(code: str) -> set[str]:
    """The strings of a code of any system."""
    return {"=" + escape(code), *("~" + escape(each.casefold()) for each in (code, *spellings(code)))}


def pair(system: str | None, code: str, case_sensitive: frozenset[str]) -> tuple[str, str]:
    """The two strings of a code: with its system, and for any system."""
    if system is not None and system in ALIASES:
        system, code = named(system, code)
    if system in case_sensitive:
        code = escape(code)
        return f"{escape(system)}|{code}", "=" + code
    code = escape(code.casefold())
    return f"{escape(system) if system else ''}|{code}", "~" + code


def indexed(nodes: list[Node], circumstances: Circumstances) -> Indexed | None:
    """What is stored for these values."""
    found: dict[str, None] = {}
    texts: list[str] = []
    case_sensitive = circumstances.case_sensitive_systems
    for kind, value in nodes:
        reader = _READERS.get(kind)
        if reader is not None:
            reader(value, case_sensitive, found, texts)
    if not found:
        return None
    if len(texts) == 1:
        return list(found), texts[0], texts[0]
    return (list(found), min(texts), max(texts)) if texts else (list(found), None, None)


def beside(nodes: list[Node], circumstances: Circumstances) -> dict[str, list[str]]:
    """What stands beside the tokens, by what is appended to their path."""
    texts: dict[str | None, None] = {}
    typed: dict[str, None] = {}
    for kind, value in nodes:
        if kind == "CodeableConcept":
            texts[value.get("text")] = None
            for coding in value.get("coding", ()):
                texts[coding.get("display")] = None
        elif kind == "Coding":
            texts[value.get("display")] = None
        elif kind == "Identifier" and (type := value.get("type")) is not None:
            texts[type.get("text")] = None
            for coding in type.get("coding", ()):
                _typed(coding, value, circumstances.case_sensitive_systems, typed)
    texts.pop(None, None)
    found = {}
    if texts:
        folded = dict.fromkeys(_folded(text[:_TEXT_LENGTH]) for text in texts if text)
        folded.pop("", None)
        found[TEXT] = list(folded)[:_TEXTS]
    if typed:
        found[OF_TYPE] = list(typed)
    return found


@lru_cache(8_192)
def _folded(text: str) -> str:
    """The displays of codes come again and again."""
    return fold(text)


def _typed(coding: Any, identifier: Any, case_sensitive: frozenset[str], typed: dict[str, None]) -> None:
    code, value = coding.get("code"), identifier.get("value")
    if code and value:
        value = named(identifier.get("system") or "", value)[1]
        typed[f"{pair(coding.get('system'), code, case_sensitive)[0]}|{escape(value.casefold())}"] = None


def escape(text: str) -> str:
    """The text with nothing in it that divides the parts of what is stored."""
    if "%" in text or "|" in text:
        return text.replace("%", "%25").replace("|", "%7C")
    return text


def _coded(system: Any, code: Any, case_sensitive: frozenset[str], found: dict[str, None], texts: list[str]) -> None:
    if isinstance(code, str) and code:
        exact, anywhere = pair(system, code, case_sensitive)
        found[exact] = found[anywhere] = None
        texts.append(anywhere[1:].casefold())
    elif isinstance(system, str) and system:
        found[escape(ALIASES.get(system, system)) + "|"] = None


def _coding(value: Any, case_sensitive: frozenset[str], found: dict[str, None], texts: list[str]) -> None:
    _coded(value.get("system"), value.get("code"), case_sensitive, found, texts)


def _codeable_concept(value: Any, case_sensitive: frozenset[str], found: dict[str, None], texts: list[str]) -> None:
    for coding in value.get("coding", ()):
        _coded(coding.get("system"), coding.get("code"), case_sensitive, found, texts)


def _identifier(value: Any, case_sensitive: frozenset[str], found: dict[str, None], texts: list[str]) -> None:
    _coded(value.get("system"), value.get("value"), case_sensitive, found, texts)


def _contact_point(value: Any, _: frozenset[str], found: dict[str, None], texts: list[str]) -> None:
    text = value.get("value")
    if isinstance(text, str):
        number = dialled(text)
        _text(number[0] if number else text.strip(), _, found, texts)


def _text(value: Any, _: frozenset[str], found: dict[str, None], texts: list[str]) -> None:
    if isinstance(value, str) and value:
        text = value.casefold()
        found["~" + escape(text)] = None
        texts.append(text)


def _exact(value: Any, _: frozenset[str], found: dict[str, None], texts: list[str]) -> None:
    text = str(value).lower() if isinstance(value, bool) else str(value)
    found["=" + escape(text)] = None
    texts.append(text)


Reader = Callable[[Any, frozenset[str], dict[str, None], list[str]], None]

_READERS: dict[str, Reader] = {
    "Coding": _coding,
    "CodeableConcept": _codeable_concept,
    "Identifier": _identifier,
    "ContactPoint": _contact_point,
    "code": _text,  # its system comes from its binding; the extractor then gives it as a Coding
    "string": _text,
    "markdown": _text,
    "boolean": _exact,
    "id": _exact,
    "uri": _exact,
    "url": _exact,
    "oid": _exact,
    "uuid": _exact,
    "canonical": _exact,
    "integer": _exact,
    "positiveInt": _exact,
    "unsignedInt": _exact,
}
