"""The stems of words.

https://hl7.org/fhir/R4/search.html#content
"""

from __future__ import annotations

from fhirserver.search.parameters import words
from tests.fakes.threads import at_once

WORDS = [
    first + middle + last
    for first in ("work", "relation", "migr", "hop", "generat", "operat")
    for middle in ("al", "ation", "if", "iz", "abil", "ous", "ful")
    for last in ("s", "ing", "ed", "ly", "ness", "ement", "ities")
]


def test_threads_that_read_at_once_find_the_stems_that_each_finds_alone() -> None:
    """A large resource is read on a thread of its own: a stem that was mixed up would hide the resource, or end in a fault."""
    stem = words._stem.__wrapped__
    assert at_once(lambda: [stem(word) for word in WORDS]) == [[stem(word) for word in WORDS]] * 4
