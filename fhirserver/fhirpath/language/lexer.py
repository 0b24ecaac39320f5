"""Text of an expression to tokens: the whole lexical grammar of FHIRPath.

https://hl7.org/fhirpath/N1/#lexical-elements
"""

from __future__ import annotations

import re
from enum import Enum
from typing import NamedTuple

from fhirserver.fhirpath.errors import FhirPathError

MAX_LENGTH = 16_384
"""Characters in an expression; the longest of R4 has 1,386."""


class Kind(Enum):
    """What a token is."""

    IDENTIFIER = "identifier"
    DELIMITED = "delimited identifier"
    STRING = "string"
    NUMBER = "number"
    DATE = "date"
    DATETIME = "dateTime"
    TIME = "time"
    EXTERNAL = "external constant"
    VARIABLE = "variable"
    SYMBOL = "symbol"
    END = "end"


class Token(NamedTuple):
    """One token: its kind, its text (unescaped, without delimiters), and where it starts."""

    kind: Kind
    text: str
    position: int


_CLOCK = r"[0-9]{2}(?::[0-9]{2}(?::[0-9]{2}(?:\.[0-9]+)?)?)?"
_DAY = r"[0-9]{4}(?:-[0-9]{2}(?:-[0-9]{2})?)?"
_QUOTED = r"'(?:[^'\\]|\\.)*'"
_BACKTICKED = r"`(?:[^`\\]|\\.)*`"
_IDENTIFIER = r"[A-Za-z_][A-Za-z0-9_]*"

_TOKEN = re.compile(
    "|".join(
        (
            r"(?P<skip>[ \t\r\n]+|//[^\r\n]*|/\*.*?\*/)",
            rf"(?P<identifier>{_IDENTIFIER})",
            rf"(?P<delimited>{_BACKTICKED})",
            rf"(?P<string>{_QUOTED})",
            r"(?P<number>[0-9]+(?:\.[0-9]+)?)",
            rf"(?P<time>@T{_CLOCK})",
            rf"(?P<datetime>@{_DAY}T(?:{_CLOCK}(?:Z|[+-][0-9]{{2}}:[0-9]{{2}})?)?)",
            rf"(?P<date>@{_DAY})",
            rf"(?P<external>%(?:{_IDENTIFIER}|{_BACKTICKED}|{_QUOTED}))",
            r"(?P<variable>\$(?:this|index|total)\b)",
            r"(?P<symbol><=|>=|!=|!~|/(?!\*)|[.\[\]()+\-*&|<>=~,{}])",
        )
    ),
    re.DOTALL | re.ASCII,
)
_KINDS = {
    "identifier": Kind.IDENTIFIER,
    "delimited": Kind.DELIMITED,
    "string": Kind.STRING,
    "number": Kind.NUMBER,
    "time": Kind.TIME,
    "datetime": Kind.DATETIME,
    "date": Kind.DATE,
    "external": Kind.EXTERNAL,
    "variable": Kind.VARIABLE,
    "symbol": Kind.SYMBOL,
}
_ESCAPE = re.compile(r"\\(u[0-9A-Fa-f]{4}|.)", re.DOTALL)
_ESCAPED = {"'": "'", '"': '"', "`": "`", "r": "\r", "n": "\n", "t": "\t", "f": "\f", "\\": "\\", "/": "/"}


def tokens(expression: str) -> list[Token]:
    """All tokens, the last of kind END."""
    if len(expression) > MAX_LENGTH:
        raise FhirPathError(f"An expression has at most {MAX_LENGTH} characters.", MAX_LENGTH, expression)
    found = []
    position = 0
    while position < len(expression):
        match = _TOKEN.match(expression, position)
        if match is None:
            raise FhirPathError(_complaint(expression, position), position, expression)
        name = str(match.lastgroup)
        if name != "skip":
            found.append(Token(_KINDS[name], _content(name, match.group(), position, expression), position))
        position = match.end()
    found.append(Token(Kind.END, "", position))
    return found


def _content(name: str, text: str, position: int, expression: str) -> str:
    """The token's meaning: delimiters gone, escapes resolved."""
    if name in ("string", "delimited"):
        return _unescape(text[1:-1], position + 1, expression)
    if name == "external":
        return _unescape(text[2:-1], position + 2, expression) if text[1] in "`'" else text[1:]
    if name in ("date", "datetime", "time", "variable"):
        return text[1:]
    return text


def _unescape(text: str, position: int, expression: str) -> str:
    if "\\" not in text:
        return text

    def replace(match: re.Match[str]) -> str:
        escape = match.group(1)
        if len(escape) > 1:
            return chr(int(escape[1:], 16))
        if escape in _ESCAPED:
            return _ESCAPED[escape]
        raise FhirPathError("This escape is not one of FHIRPath's.", position + match.start(), expression)

    resolved = _ESCAPE.sub(replace, text)
    try:
        # What UTF-16 writes in two escapes is one character.
        return resolved.encode("utf-16", "surrogatepass").decode("utf-16")
    except UnicodeDecodeError:
        raise FhirPathError("Half of a surrogate pair is no character.", position, expression) from None


def _complaint(expression: str, position: int) -> str:
    character = expression[position]
    if character in "'`":
        return "A quote is opened and not closed."
    if expression.startswith("/*", position):
        return "A comment is opened and not closed."
    if character in "@%$":
        return f"'{character}' is not followed by what it needs."
    return f"The character {character!r} has no meaning here."
