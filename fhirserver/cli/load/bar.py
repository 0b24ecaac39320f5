"""The progress bar: on a terminal only, so that a log holds no control characters."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Self

from fhirserver.interactions.load import Progress

WIDTH = 30
EVERY_SECONDS = 0.2


class Bar:
    """One line on standard error: how much, how fast, how long still."""

    def __init__(self) -> None:
        self._is_shown = sys.stderr.isatty()
        self._began = time.monotonic()
        self._last = 0.0
        self._first: tuple[int, int] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        if self._is_shown and self._last:
            print(file=sys.stderr)

    def show(self, progress: Progress) -> None:
        """Show where the load stands, a few times a second."""
        now = time.monotonic()
        if not self._is_shown or now - self._last < EVERY_SECONDS:
            return
        if self._first is None:  # of a load that goes on, what was there before tells nothing about the rate
            self._first = (progress.done, progress.resources)
            self._began = now
        self._last = now
        print(f"\r{line(progress, now - self._began, self._first)}\x1b[K", end="", file=sys.stderr, flush=True)


def line(progress: Progress, seconds: float, first: tuple[int, int]) -> str:
    """The line of the bar. `first`: bytes and resources that were done when the seconds began to count."""
    share = min(progress.done / progress.size, 1.0) if progress.size else 1.0
    bar = ("#" * int(share * WIDTH)).ljust(WIDTH, ".")
    text = f"[{bar}] {share:4.0%}  {progress.resources:,} resources"
    done, resources = progress.done - first[0], progress.resources - first[1]
    if seconds > 0 and done > 0:
        left = int((progress.size - progress.done) / done * seconds)
        text += f"  {resources / seconds:,.0f}/s  {left // 60}:{left % 60:02} left"
    return f"{text}  {progress.file}"
