"""How many processors this process may use: fewer than the machine has, in a container or under taskset."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

#: How much of the processors a container may use: microseconds, and of how many.
QUOTA = Path("/sys/fs/cgroup/cpu.max")


def processors() -> int:
    """At once and all the time: at least one."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    with suppress(OSError, ValueError):  # "max" where there is no quota
        most, period = QUOTA.read_text(encoding="ascii").split()
        usable = min(usable, int(most) // int(period))
    return max(1, usable)
