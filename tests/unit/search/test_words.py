"""The stems of words.

https://hl7.org/fhir/R4/search.html#content
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from fhirserver.search.parameters import words

WORDS = [
    first + middle + last
    for first in ("work", "relation", "migr", "hop", "generat", "operat")
    for middle in ("al", "ation", "if", "iz", "abil", "ous", "ful")
    for last in ("s", "ing", "ed", "ly", "ness", "ement", "ities")
]


@pytest.fixture
def impatient() -> Iterator[None]:
    """Threads that take turns after every few instructions."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("impatient")
def test_threads_that_read_at_once_find_the_stems_that_each_finds_alone() -> None:
    """A large resource is read on a thread of its own: a stem that was mixed up would hide the resource, or end in a fault."""
    stem = words._stem.__wrapped__
    alone = [stem(word) for word in WORDS]
    with ThreadPoolExecutor(4) as threads:
        together = list(threads.map(lambda _: [stem(word) for word in WORDS], range(4)))
    assert together == [alone] * 4
