"""Tokens to the tree, for the whole grammar of FHIRPath, by operator precedence.

https://hl7.org/fhirpath/N1/#operator-precedence
"""

from __future__ import annotations

from decimal import Decimal

from fhirserver.fhirpath.errors import FhirPathError
from fhirserver.fhirpath.language.lexer import Kind, Token, tokens
from fhirserver.fhirpath.language.syntax import (
    Call,
    Empty,
    Expression,
    External,
    Indexer,
    Literal,
    Member,
    Operation,
    Polarity,
    QuantityLiteral,
    TypeName,
    TypeOperation,
    Union,
    Variable,
)

MAX_DEPTH = 64
"""Levels of the tree, whether by brackets or by a chain; a union counts once, however many parts it has."""

MAX_DIGITS = 20
"""Of an integer; FHIRPath's own have at most ten."""

PRECEDENCE = {
    operator: len(levels) - level
    for levels in [
        (
            (".", "["),
            ("unary",),
            ("*", "/", "div", "mod"),
            ("+", "-", "&"),
            ("is", "as"),
            ("|",),
            ("<=", "<", ">", ">="),
            ("=", "~", "!=", "!~"),
            ("in", "contains"),
            ("and",),
            ("or", "xor"),
            ("implies",),
        )
    ]
    for level, operators in enumerate(levels)
    for operator in operators
}
"""How tightly each operator binds; all are left-associative."""

WORD_OPERATORS = frozenset(operator for operator in PRECEDENCE if operator.isalpha()) - {"unary"}
NAMES_TOO = frozenset({"as", "is", "contains", "in"})
"""Words that are operators between operands and names where an operand is due."""

CALENDAR_UNITS = frozenset({"year", "month", "week", "day", "hour", "minute", "second", "millisecond"})


def parse(expression: str) -> Expression:
    """The tree of the whole text. Raises FhirPathError."""
    return _Parser(expression).whole()


class _Parser:
    def __init__(self, expression: str) -> None:
        self.expression = expression
        self.tokens = tokens(expression)
        self.at = 0
        self.depth = 0

    def whole(self) -> Expression:
        tree = self.operand_and_operators(0)
        if self.token.kind is not Kind.END:
            raise self.error(f"'{self.token.text}' is not expected here.")
        return tree

    @property
    def token(self) -> Token:
        return self.tokens[self.at]

    def next(self) -> Token:
        token = self.tokens[self.at]
        self.at += 1
        return token

    def error(self, message: str, token: Token | None = None) -> FhirPathError:
        return FhirPathError(message, (token or self.token).position, self.expression)

    def symbol(self, text: str) -> bool:
        return self.token.kind is Kind.SYMBOL and self.token.text == text

    def expect(self, text: str) -> None:
        if not self.symbol(text):
            found = f"'{self.token.text}'" if self.token.kind is not Kind.END else "the end"
            raise self.error(f"'{text}' is expected, not {found}.")
        self.at += 1

    def deeper(self) -> None:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise self.error(f"An expression has at most {MAX_DEPTH} levels.")

    def operand_and_operators(self, minimum: int) -> Expression:
        """An operand, and the operators after it that bind more tightly than `minimum`."""
        before = self.depth
        self.deeper()
        left = self.operand()
        while (operator := self.operator()) is not None and PRECEDENCE[operator] > minimum:
            if not (operator == "|" and isinstance(left, Union)):
                self.deeper()
            left = self.applied(left, operator)
        self.depth = before
        return left

    def operator(self) -> str | None:
        token = self.token
        if token.kind is Kind.SYMBOL and token.text in PRECEDENCE:
            return token.text
        if token.kind is Kind.IDENTIFIER and token.text in WORD_OPERATORS:
            return token.text
        return None

    def applied(self, left: Expression, operator: str) -> Expression:
        token = self.next()
        if operator == ".":
            return self.invocation(left)
        if operator == "[":
            index = self.operand_and_operators(0)
            self.expect("]")
            return Indexer(left, index, position=token.position)
        if operator in ("is", "as"):
            return TypeOperation("is" if operator == "is" else "as", left, self.type_name(), position=token.position)
        right = self.operand_and_operators(PRECEDENCE[operator])
        if operator == "|":
            parts = left.operands if isinstance(left, Union) else (left,)
            return Union((*parts, right), position=token.position)
        return Operation(operator, left, right, position=token.position)

    def operand(self) -> Expression:
        token = self.token
        if token.kind is Kind.SYMBOL:
            return self.bracketed()
        if token.kind is Kind.IDENTIFIER and token.text in ("true", "false"):
            return Literal("boolean", self.next().text == "true", position=token.position)
        if token.kind in (Kind.IDENTIFIER, Kind.DELIMITED, Kind.VARIABLE):
            return self.invocation(None)
        if token.kind is Kind.EXTERNAL:
            return External(self.next().text, position=token.position)
        if token.kind is Kind.NUMBER:
            return self.number()
        if token.kind is Kind.STRING:
            return Literal("string", self.next().text, position=token.position)
        if token.kind is Kind.DATE:
            return Literal("date", self.next().text, position=token.position)
        if token.kind is Kind.DATETIME:
            return Literal("dateTime", self.next().text, position=token.position)
        if token.kind is Kind.TIME:
            return Literal("time", self.next().text, position=token.position)
        raise self.error("The expression ends too early.")

    def bracketed(self) -> Expression:
        token = self.next()
        if token.text == "(":
            inner = self.operand_and_operators(0)
            self.expect(")")
            return inner
        if token.text == "{":
            self.expect("}")
            return Empty(position=token.position)
        if token.text in ("+", "-"):
            return Polarity(token.text, self.operand_and_operators(PRECEDENCE["unary"]), position=token.position)
        raise self.error(f"'{token.text}' is not expected here.", token)

    def invocation(self, target: Expression | None) -> Expression:
        """A name, a function call, or a variable."""
        token = self.token
        if token.kind is Kind.VARIABLE:
            if target is not None:
                raise self.error("A variable is not a member of anything.")
            return Variable(self.next().text, position=token.position)
        # Behind a dot no operator can stand: `text.div` is meant as it is written.
        name = self.name() if target is None or token.kind is not Kind.IDENTIFIER else self.next().text
        if token.kind is Kind.IDENTIFIER and self.symbol("("):
            return Call(target, name, self.arguments(), position=token.position)
        return Member(target, name, position=token.position)

    def name(self) -> str:
        token = self.token
        reserved = token.text in WORD_OPERATORS and token.text not in NAMES_TOO
        if token.kind is Kind.DELIMITED or (token.kind is Kind.IDENTIFIER and not reserved):
            return self.next().text
        raise self.error("A name is expected here.")

    def arguments(self) -> tuple[Expression, ...]:
        self.expect("(")
        found: list[Expression] = []
        if not self.symbol(")"):
            found.append(self.operand_and_operators(0))
            while self.symbol(","):
                self.at += 1
                found.append(self.operand_and_operators(0))
        self.expect(")")
        return tuple(found)

    def type_name(self) -> TypeName:
        position = self.token.position
        name = self.name()
        if self.symbol("."):
            self.at += 1
            return TypeName(name, self.name(), position=position)
        return TypeName(None, name, position=position)

    def number(self) -> Expression:
        token = self.next()
        unit = self.token
        if unit.kind is Kind.STRING:
            self.at += 1
            return QuantityLiteral(Decimal(token.text), unit.text, calendar=False, position=token.position)
        if unit.kind is Kind.IDENTIFIER and unit.text.removesuffix("s") in CALENDAR_UNITS:
            self.at += 1
            word = unit.text.removesuffix("s")
            return QuantityLiteral(Decimal(token.text), word, calendar=True, position=token.position)
        if "." in token.text:
            return Literal("decimal", Decimal(token.text), position=token.position)
        if len(token.text) > MAX_DIGITS:
            raise self.error("This integer is too large.", token)
        return Literal("integer", int(token.text), position=token.position)
