"""Token parameters: codes and identifiers, with or without their system.

Stored for each code are two strings: `system|code` (`|code` where there is no system), and one for a search that names no system:
`=code` where case tells codes apart, `~code` folded where it does not. Case counts in code systems that say so, and in ids, uris
and booleans; where nobody says, it does not. A bar or percent sign inside a system or code is written `%7C`, `%25`.

https://hl7.org/fhir/R4/search.html#token
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fhirserver.search.escaping import divide, unescape
from fhirserver.search.expression import Expression, In, Prefixed, any_of, negate
from fhirserver.search.parameters.term import MAX_PATTERN, Circumstances, Indexed, Node, Term

MODIFIERS = frozenset({"missing", "not"})


def condition(term: Term) -> Expression:
    """What the query asks; `:not` is also true of resources without the element."""
    found = tokens(term, term.path)
    return negate(found) if term.modifier == "not" else found


def tokens(term: Term, path: str) -> Expression:
    """Some token stored at the path is one of the alternatives."""
    exact: set[str] = set()
    systems: list[Expression] = []
    for text in term.alternatives:
        if "|" not in text:
            code = unescape(text)
            exact.update(("=" + _escape(code), "~" + _escape(code.casefold())))
            continue
        first, *rest = divide(text, "|")
        if not rest:
            code = unescape(first)
            exact.update(("=" + _escape(code), "~" + _escape(code.casefold())))
            continue
        system, code = unescape(first), unescape("|".join(rest))
        if code:
            exact.add(pair(system, code, term.circumstances.case_sensitive_systems)[0])
        elif len(system) > MAX_PATTERN:
            raise term.refuse(f"a system has at most {MAX_PATTERN} characters.")
        elif system:
            systems.append(Prefixed(path, _escape(system) + "|"))
        else:
            raise term.refuse("a token has a system, a code, or both: 'system|code'.")
    if not systems:
        return In(path, frozenset(exact))
    return any_of(In(path, frozenset(exact)), *systems) if exact else any_of(*systems)


def pair(system: str | None, code: str, case_sensitive: frozenset[str]) -> tuple[str, str]:
    """The two strings of a code: with its system, and for any system."""
    if system in case_sensitive:
        code = _escape(code)
        return f"{_escape(system)}|{code}", "=" + code
    code = _escape(code.casefold())
    return f"{_escape(system) if system else ''}|{code}", "~" + code


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


def _escape(text: str) -> str:
    if "%" in text or "|" in text:
        return text.replace("%", "%25").replace("|", "%7C")
    return text


def _coded(system: Any, code: Any, case_sensitive: frozenset[str], found: dict[str, None], texts: list[str]) -> None:
    if isinstance(code, str) and code:
        exact, anywhere = pair(system, code, case_sensitive)
        found[exact] = found[anywhere] = None
        texts.append(anywhere[1:].casefold())
    elif isinstance(system, str) and system:
        found[_escape(system) + "|"] = None


def _coding(value: Any, case_sensitive: frozenset[str], found: dict[str, None], texts: list[str]) -> None:
    _coded(value.get("system"), value.get("code"), case_sensitive, found, texts)


def _codeable_concept(value: Any, case_sensitive: frozenset[str], found: dict[str, None], texts: list[str]) -> None:
    for coding in value.get("coding", ()):
        _coded(coding.get("system"), coding.get("code"), case_sensitive, found, texts)


def _identifier(value: Any, case_sensitive: frozenset[str], found: dict[str, None], texts: list[str]) -> None:
    _coded(value.get("system"), value.get("value"), case_sensitive, found, texts)


def _contact_point(value: Any, _: frozenset[str], found: dict[str, None], texts: list[str]) -> None:
    _text(value.get("value"), _, found, texts)


def _text(value: Any, _: frozenset[str], found: dict[str, None], texts: list[str]) -> None:
    if isinstance(value, str) and value:
        text = value.casefold()
        found["~" + _escape(text)] = None
        texts.append(text)


def _exact(value: Any, _: frozenset[str], found: dict[str, None], texts: list[str]) -> None:
    text = str(value).lower() if isinstance(value, bool) else str(value)
    found["=" + _escape(text)] = None
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
