"""What the operating system says about processes: processor time and peak memory. And what machine this is."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Mapping
from pathlib import Path

TICK = 1_000_000 // os.sysconf("SC_CLK_TCK")
"""Microseconds."""

Groups = Mapping[str, int]
"""What we account for: a name, and the process at the root of its tree."""


def children(pid: int) -> list[int]:
    """The processes that a process has started."""
    try:
        return [int(text) for text in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def tree(pid: int) -> list[int]:
    """A process and all its descendants."""
    found = [pid]
    for each in found:
        found += children(each)
    return found


def _spent(pid: int, *, reaped: bool) -> int:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0
    user, system, child_user, child_system = map(int, fields[11:15])
    return (user + system + (child_user + child_system if reaped else 0)) * TICK


def cpu(groups: Groups) -> dict[str, int]:
    """Microseconds of processor time that each tree has used so far, its children that have ended included."""
    return {name: sum(_spent(each, reaped=True) for each in tree(pid)) for name, pid in groups.items()}


def spent(before: Mapping[str, int], after: Mapping[str, int]) -> dict[str, int]:
    """What was used between two looks."""
    return {name: after[name] - before[name] for name in after}


def peak_memory(pid: int) -> int:
    """The highest resident size of a process so far, in bytes; 0 for one that has ended."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM")), 0)


def load_average() -> float:
    """Processes that want to run, over the last minute."""
    return os.getloadavg()[0]


def machine() -> str:
    """One line about the machine and the programs."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    model = next((line.partition(":")[2].strip() for line in lines if "model name" in line), platform.machine())
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    programs = f"{platform.system()} {platform.release()}, Python {platform.python_version()}"
    return f"{os.cpu_count()} cores ({model}), {memory:.0f} GiB, {programs}"


def postgres_version(binaries: Path) -> str:
    """`PostgreSQL 15.20`."""
    done = subprocess.run([str(binaries / "postgres"), "--version"], capture_output=True, text=True, check=True)
    return "PostgreSQL " + done.stdout.split()[2]
