"""What one query may cost. A bound that is reached ends the query and is said; the answer is then no part of an answer.

https://spec.graphql.org/October2021/#sec-Response
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from fhirserver.model.outcome import TooCostly

VALUES: Final = 100_000
SCHEMA_VALUES: Final = 1_200_000
"""What all of the schema says of itself takes about a million."""
SIZE: Final = 16 * 1024 * 1024
RESOURCES: Final = 1_000
SEARCHES: Final = 50
EXPRESSIONS: Final = 1_000
ERRORS: Final = 1_000
STEPS: Final = 1_000
"""Steps of one evaluation of a FHIRPath expression."""


class Exhausted(TooCostly):
    """A bound of the whole query."""


@dataclass(slots=True)
class Budget:
    """What has been used so far."""

    values: int = 0
    size: int = 0
    resources: int = 0
    searches: int = 0
    expressions: int = 0
    errors: int = 0
    value_limit: int = VALUES

    def value(self) -> None:
        """One more value in the answer."""
        self.values += 1
        if self.values > self.value_limit:
            raise Exhausted(f"The answer has more than {self.value_limit} values; ask for fewer fields or resources.")

    def text(self, length: int) -> None:
        """So many more characters in the answer."""
        self.size += length
        if self.size > SIZE:
            raise Exhausted(f"The answer has more than {SIZE} characters; ask for fewer fields or resources.")

    def resource(self, count: int = 1) -> None:
        """So many more resources that are read or found."""
        self.resources += count
        if self.resources > RESOURCES:
            raise Exhausted(
                f"The query reaches more than {RESOURCES} resources; ask for fewer, or page by a connection."
            )

    def search(self) -> None:
        """One more search."""
        self.searches += 1
        if self.searches > SEARCHES:
            raise Exhausted(f"The query searches more than {SEARCHES} times; ask for fewer at a time.")

    def expression(self) -> None:
        """One more evaluation of a FHIRPath expression."""
        self.expressions += 1
        if self.expressions > EXPRESSIONS:
            raise Exhausted(f"The query evaluates FHIRPath more than {EXPRESSIONS} times; filter shorter lists.")

    def error(self) -> None:
        """One more field that has no value for a reason."""
        self.errors += 1
        if self.errors > ERRORS:
            raise Exhausted(
                f"The answer has more than {ERRORS} errors; ask for what is there ('optional'), or for fewer."
            )
