"""The transaction interaction: entries that happen together, in R4's order, or not at all.

https://hl7.org/fhir/R4/http.html#transaction
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

from fhirserver.interactions.bundles import Done, Entry, Failed, perform
from fhirserver.interactions.context import Context
from fhirserver.model.outcome import FhirError, Issue


async def transaction(context: Context, entries: Sequence[Entry]) -> list[Done]:
    """What came of each entry, in their order. What refuses one refuses all, and says which."""
    try:
        return await perform(context, entries, links=True)
    except Failed as failed:
        raise placed(failed.failures) from None


def placed(failures: Sequence[tuple[int, FhirError]], complete: Collection[int] = ()) -> FhirError:
    """One refusal for all of these, with their places: the status is that of the first. Those of `complete` say theirs already."""
    error = failures[0][1].with_traceback(None)
    error.issues = tuple(
        issue if index in complete else _placed(index, issue) for index, each in failures for issue in each.issues
    )
    return error


def _placed(index: int, issue: Issue) -> Issue:
    place = f"Bundle.entry[{index}]"
    root, dot, rest = (issue.expression or "").partition(".")
    if dot and root.isalpha():
        place = f"{place}.resource.{rest}"
    return replace(issue, expression=place)
