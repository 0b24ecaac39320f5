"""What goes wrong in a process that judges. Light to import: the process does."""

from __future__ import annotations

import os
from typing import Any, NoReturn


def dies(*_: Any) -> NoReturn:
    """End at once, as by the system that lacks memory."""
    os._exit(9)
