"""The processor time of a process, from Linux's /proc: a busy neighbour slows the clock on the wall and not this one.

https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html
"""

from __future__ import annotations

import os
from pathlib import Path


def seconds(pid: int | None) -> float:
    """User and system time of the process so far; zero where that is not told."""
    try:
        # The name of the process stands in brackets and may hold spaces.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError):
        return 0.0
