"""Threads that come between each other as often as they can."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

Found = TypeVar("Found")


def at_once(work: Callable[[], Found], times: int = 4) -> list[Found]:
    """What the work gives on so many threads at once."""
    with _impatient(), ThreadPoolExecutor(times) as threads:
        return list(threads.map(lambda _: work(), range(times)))


@contextmanager
def _impatient() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        yield
    finally:
        sys.setswitchinterval(before)
