"""Memory that processes share: what one puts there another takes, and a pipe says only how much it is.

A pipe takes 64 KiB at a time, and a batch is a hundred times that: it would cost as much as the validation does. The memory has
no name and no file, so it is gone with the last process that has it.

https://docs.python.org/3/library/mmap.html
"""

from __future__ import annotations

import mmap
import pickle
from typing import Any, Final

ROOM: Final = 16 * 1024 * 1024
"""Bytes of one room: a batch with its documents takes half of it. They are the machine's once they were written."""


class Room:
    """Takes one value after the other. Whoever is born of this process has it too."""

    def __init__(self, size: int = ROOM) -> None:
        self._memory = mmap.mmap(-1, size)

    def put(self, value: object) -> int | None:
        """Put a value in place of the last one, and say how many bytes it takes; None where there is not enough room."""
        self._memory.seek(0)
        try:
            pickle.dump(value, self._memory, pickle.HIGHEST_PROTOCOL)
        except ValueError:
            return None
        return self._memory.tell()

    def take(self, size: int) -> Any:
        """A copy of the value of so many bytes."""
        with memoryview(self._memory) as whole, whole[:size] as bytes_of_it:
            return pickle.loads(bytes_of_it)  # noqa: S301 - only these processes have the memory
