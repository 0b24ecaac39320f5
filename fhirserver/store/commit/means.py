"""What a store writes with, the same for a single write, a transaction and a load."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from fhirserver.store.commit.fence import Fence
from fhirserver.store.commit.write import Seal


@dataclass(frozen=True, slots=True)
class Means:
    """The fence, the clock, what seals a group, and whether native copies are kept."""

    fence: Fence
    clock: Callable[[], datetime]
    seal: Seal
    native_copy: bool
