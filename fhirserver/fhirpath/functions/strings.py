"""Functions of texts. Regular expressions run in time linear in the text and in their own size (RE2); both are counted.

https://hl7.org/fhirpath/N1/#string-manipulation
"""

from __future__ import annotations

import base64
import binascii
import html
import re as escapes
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from fhirserver.fhirpath.environment import Environment
from fhirserver.fhirpath.errors import Misuse
from fhirserver.fhirpath.functions.calls import General, Run
from fhirserver.fhirpath.values.arithmetic import TEXT_LIMIT, string
from fhirserver.fhirpath.values.nodes import BOOLEAN, INTEGER, STRING, Node, Nodes, decided, integer, text

PATTERN_LIMIT = 4_096
"""Characters of a regular expression."""
_MEMORY = 1 << 18
"""Bytes of a regular expression that is compiled: some characters stand for thousands of instructions."""
_WORK_BITS = 8
"""Instructions times characters that count as a step."""
_MATCH = 2
"""Steps of replacing a match."""

Arguments = Sequence[Nodes]


def _of(name: str, function: Callable[..., list[Node]]) -> Run:
    """A function of a text and texts: empty if one is missing."""
    called = f"{name}()"

    def run(nodes: Nodes, arguments: Arguments, environment: Environment) -> list[Node]:
        subject = text(nodes, called)
        given = [text(argument, called) for argument in arguments]
        return [] if subject is None or None in given else function(subject, *given)

    return run


def substring(nodes: Nodes, arguments: Arguments, environment: Environment) -> list[Node]:
    """`substring(start, length)`"""
    subject, start = text(nodes, "substring()"), integer(arguments[0], "substring()")
    if subject is None or start is None or not 0 <= start < len(subject):
        return []
    length = integer(arguments[1], "substring()") if len(arguments) > 1 else None
    return [(STRING, subject[start:] if length is None else subject[start : start + max(length, 0)])]


def index_of(subject: str, wanted: str) -> list[Node]:
    """`indexOf(text)`"""
    return [(INTEGER, subject.find(wanted))]


def last_index_of(subject: str, wanted: str) -> list[Node]:
    """`lastIndexOf(text)`, of N1's later releases"""
    return [(INTEGER, subject.rfind(wanted))]


def replace(subject: str, pattern: str, substitute: str) -> list[Node]:
    """`replace(pattern, substitution)`"""
    if len(substitute) * (len(subject) + 1) > TEXT_LIMIT:
        found = subject.count(pattern) if pattern else len(subject) + 1
        if len(subject) + found * len(substitute) > TEXT_LIMIT:
            raise Misuse(f"A text that an expression makes has at most {TEXT_LIMIT} characters.")
    return string(subject.replace(pattern, substitute))


@lru_cache(512)
def compiled(pattern: str, *, whole: bool) -> Any:
    """The regular expression, of which a dot is any character."""
    import re2  # only who uses regular expressions waits for the library

    if len(pattern) > PATTERN_LIMIT:
        raise Misuse(f"A regular expression has at most {PATTERN_LIMIT} characters.")
    options = re2.Options()
    options.log_errors = False
    options.dot_nl = True
    options.max_mem = _MEMORY
    try:
        return re2.compile(f"^(?:{pattern})$" if whole else pattern, options)
    except re2.error:
        raise Misuse("This is no regular expression that can be run in linear time.") from None


def _searching(subject: str, pattern: str, environment: Environment, *, whole: bool = False) -> Any:
    """The regular expression, with what it may take on this text counted."""
    found = compiled(pattern, whole=whole)
    environment.spend(work_of(found, subject))
    return found


def work_of(expression: Any, subject: str) -> int:
    """The steps that a regular expression takes on a text."""
    return len(subject) * int(expression.programsize) >> _WORK_BITS


def _regular(name: str, function: Callable[..., list[Node]]) -> Run:
    """A function of a text, a regular expression and texts, which counts what it does."""
    called = f"{name}()"

    def run(nodes: Nodes, arguments: Arguments, environment: Environment) -> list[Node]:
        subject = text(nodes, called)
        given = [text(argument, called) for argument in arguments]
        return [] if subject is None or None in given else function(subject, *given, environment)

    return run


def matches(subject: str, pattern: str, environment: Environment) -> list[Node]:
    """`matches(regex)`: somewhere in the text"""
    return decided(_searching(subject, pattern, environment).search(subject) is not None)


def matches_full(subject: str, pattern: str, environment: Environment) -> list[Node]:
    """`matchesFull(regex)`: the text as a whole; of N1's later releases"""
    return decided(_searching(subject, pattern, environment, whole=True).search(subject) is not None)


_GROUP = escapes.compile(r"\$(?:(\$)|([0-9]{1,2})|\{([A-Za-z_][A-Za-z0-9_]*)\})")


def replace_matches(subject: str, pattern: str, substitute: str, environment: Environment) -> list[Node]:
    """`replaceMatches(regex, substitution)`, with `$1` or `${name}` for its groups"""
    found = _searching(subject, pattern, environment)
    if not pattern:
        return string(subject)
    parts: list[str] = []
    size = position = 0
    for match in found.finditer(subject):
        environment.spend(_MATCH)
        parts += (subject[position : match.start()], _filled(substitute, match))
        size += len(parts[-1]) + len(parts[-2])
        if size > TEXT_LIMIT:
            break
        position = match.end()
    return string("".join([*parts, subject[position:]]) if size <= TEXT_LIMIT else " " * (TEXT_LIMIT + 1))


def _filled(substitute: str, match: Any) -> str:
    def group(found: escapes.Match[str]) -> str:
        if found[1]:
            return "$"
        try:
            return match.group(int(found[2]) if found[2] else found[3]) or ""
        except (IndexError, KeyError):
            raise Misuse("The regular expression has no such group.") from None

    return _GROUP.sub(group, substitute) if "$" in substitute else substitute


def join(nodes: Nodes, arguments: Arguments, environment: Environment) -> list[Node]:
    """`join(separator)`, of N1's later releases"""
    separator = text(arguments[0], "join()") if arguments else ""
    parts = [part for node in nodes if (part := text([node], "join()")) is not None]
    if separator is None or not nodes:
        return []
    if sum(map(len, parts)) + len(separator) * len(parts) > TEXT_LIMIT:
        raise Misuse(f"A text that an expression makes has at most {TEXT_LIMIT} characters.")
    return string(separator.join(parts))


def split(subject: str, separator: str) -> list[Node]:
    """`split(separator)`, of N1's later releases"""
    parts = subject.split(separator) if separator else list(subject)
    return [(STRING, part) for part in parts]


_ENCODE: Mapping[str, Callable[[bytes], bytes]] = {
    "hex": binascii.hexlify,
    "base64": base64.b64encode,
    "urlbase64": base64.urlsafe_b64encode,
}
_DECODE: Mapping[str, Callable[[str], bytes]] = {
    "hex": bytes.fromhex,
    "base64": lambda coded: base64.b64decode(coded, validate=True),
    "urlbase64": lambda coded: base64.b64decode(coded.translate(str.maketrans("-_", "+/")), validate=True),
}


def encode(subject: str, form: str) -> list[Node]:
    """`encode(format)`, of N1's later releases"""
    coder = _ENCODE.get(form)
    return [] if coder is None else string(coder(subject.encode("utf-8", "replace")).decode())


def decode(subject: str, form: str) -> list[Node]:
    """`decode(format)`, of N1's later releases"""
    coder = _DECODE.get(form)
    try:
        return [] if coder is None else string(coder(subject).decode())
    except ValueError:
        return []


_JSON = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\f": "\\f"}
_FROM_JSON = {short[1]: character for character, short in _JSON.items()} | {"/": "/", "b": "\b"}


def escape(subject: str, form: str) -> list[Node]:
    """`escape(target)`, of N1's later releases"""
    if form == "html":
        return string(html.escape(subject))
    return string("".join(_JSON.get(each, each) for each in subject)) if form == "json" else []


def unescape(subject: str, form: str) -> list[Node]:
    """`unescape(target)`, of N1's later releases"""
    if form == "html":
        return string(html.unescape(subject))
    if form != "json":
        return []
    return string(escapes.sub(r"\\(.)", lambda match: _FROM_JSON.get(match[1], match[1]), subject))


TABLE = {
    "indexOf": General(range(1, 2), _of("indexOf", index_of), INTEGER),
    "lastIndexOf": General(range(1, 2), _of("lastIndexOf", last_index_of), INTEGER),
    "substring": General(range(1, 3), substring, STRING),
    "startsWith": General(range(1, 2), _of("startsWith", lambda one, two: decided(one.startswith(two))), BOOLEAN),
    "endsWith": General(range(1, 2), _of("endsWith", lambda one, two: decided(one.endswith(two))), BOOLEAN),
    "contains": General(range(1, 2), _of("contains", lambda one, two: decided(two in one)), BOOLEAN),
    "upper": General(range(1), _of("upper", lambda one: string(one.upper())), STRING),
    "lower": General(range(1), _of("lower", lambda one: string(one.lower())), STRING),
    "trim": General(range(1), _of("trim", lambda one: string(one.strip())), STRING),
    "length": General(range(1), _of("length", lambda one: [(INTEGER, len(one))]), INTEGER),
    "toChars": General(range(1), _of("toChars", lambda one: [(STRING, each) for each in one]), STRING),
    "replace": General(range(2, 3), _of("replace", replace), STRING),
    "matches": General(range(1, 2), _regular("matches", matches), BOOLEAN),
    "matchesFull": General(range(1, 2), _regular("matchesFull", matches_full), BOOLEAN),
    "replaceMatches": General(range(2, 3), _regular("replaceMatches", replace_matches), STRING),
    "split": General(range(1, 2), _of("split", split), STRING),
    "join": General(range(2), join, STRING),
    "encode": General(range(1, 2), _of("encode", encode), STRING),
    "decode": General(range(1, 2), _of("decode", decode), STRING),
    "escape": General(range(1, 2), _of("escape", escape), STRING),
    "unescape": General(range(1, 2), _of("unescape", unescape), STRING),
}
