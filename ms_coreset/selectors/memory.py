"""The number of bytes that a selection may use: given, or a share of the free memory."""

import contextlib
import math
import re
from collections.abc import Sequence

from ms_coreset.distributed import current
from ms_coreset.errors import MsCoresetError

SHARE = 0.5  # of the free memory, unless the user gives a number
BLOCKS = 12 << 20  # bytes of the blocks of rows that any method works on
BOUND = 40  # bytes of lazy greedy for an element: its bound, and sorted places
_UNITS = {"": 0, "K": 10, "M": 20, "G": 30, "T": 40}
_MEMINFO, _CGROUP = "/proc/meminfo", "/sys/fs/cgroup/memory"


def as_bytes(memory: int | str | None) -> int:
    """Convert the argument ``memory`` to a number of bytes.

    Args:
        memory: a number; a text such as "2G" or "500M" (powers of 1024); or None: ``SHARE`` of the free memory, divided
            by the ranks on this machine.

    Returns:
        Bytes.

    Raises:
        MsCoresetError: for anything else.
    """
    if memory is None:
        return int(SHARE * free_bytes() / current().local_size)
    match = re.fullmatch(r"(\d+(?:\.\d*)?(?:e\d+)?)\s*([KMGT]?)(?:i?B)?", str(memory).strip(), re.IGNORECASE)
    if isinstance(memory, bool) or not match or not math.isfinite(float(match[1])):
        raise MsCoresetError(f"memory {memory!r}: must be bytes, at least 0, or have a unit such as 2G or 500M")
    return int(float(match[1]) * 2 ** _UNITS[match[2].upper()])


def matrix_bytes(m: int, d: int, classes: int) -> int:
    """Bytes of the similarities of m samples as a float64 matrix, and of the copies of the data that it is made from.

    Args:
        m: samples.
        d: features of each.
        classes: logits of each.

    Returns:
        Bytes.
    """
    return 8 * m * (m + d + 3 * classes) + BOUND * m


def fits_as_matrices(memory: int, sizes: Sequence[int], d: int, classes: int) -> bool:
    """Whether the similarities of pools of these sizes fit as matrices, see ``matrix_bytes``."""
    return sum(matrix_bytes(m, d, classes) for m in sizes) + BLOCKS <= memory


def fits_as_type(memory: int, n: int, m: int, row_bytes: int) -> bool:
    """Whether a copy of the features of m of n samples, ``row_bytes`` each, fits beside what herding needs."""
    return (row_bytes + 60) * m + 40 * n + BLOCKS <= memory


def as_text(size: float) -> str:
    """A number of bytes as text such as "1.9 GB", in powers of 1024."""
    for unit, power in (("GB", 30), ("MB", 20)):
        if size >= 2**power:
            return f"{size / 2**power:.1f} {unit}"
    return f"{size / 2**10:.0f} KB"


def free_bytes() -> int:
    """Memory that this process may still use: what the system calls available, or less if a container limits it."""
    free = _number_after("MemAvailable:", _MEMINFO, 1024)
    if free is None:
        import psutil  # takes longer than all of this, and Linux needs none of it

        free = psutil.virtual_memory().available
    limit, used = (_number_after("", f"{_CGROUP}.{name}") for name in ("max", "current"))
    return free if limit is None or used is None else min(free, max(0, limit - used))


def _number_after(prefix: str, path: str, unit: int = 1) -> int | None:
    """The number after a prefix in a file of the kernel; None if there is none (or "max")."""
    with contextlib.suppress(OSError, StopIteration, ValueError), open(path) as stream:
        line = next(line for line in stream if line.startswith(prefix))
        return int(line[len(prefix):].split()[0]) * unit
    return None
