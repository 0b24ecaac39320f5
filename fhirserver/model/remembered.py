"""Remembering what a function made of a text, where the texts are clients': how many, and how long, has a bound."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, wraps
from typing import TypeVar

Text = TypeVar("Text", str, bytes)
R = TypeVar("R")


def remembered(most: int, *, longest: int) -> Callable[[Callable[[Text], R]], Callable[[Text], R]]:
    """Remember the last `most` results, of texts of at most `longest` characters, or bytes. Errors are not remembered."""

    def remembering(function: Callable[[Text], R]) -> Callable[[Text], R]:
        known = lru_cache(most)(function)

        @wraps(function)
        def found(text: Text) -> R:
            return known(text) if len(text) <= longest else function(text)

        return found

    return remembering
