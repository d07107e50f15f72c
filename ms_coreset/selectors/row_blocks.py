"""Blocks of rows, one of which is in memory at a time."""

from __future__ import annotations

BLOCK_BYTES = 16 << 20


def blocks(n: int, row_bytes: int, block_bytes: int | None = None) -> list[slice]:
    """Slices that cover n rows of ``row_bytes`` each, at most ``block_bytes`` (``BLOCK_BYTES``) together."""
    step = max(1, int((block_bytes or BLOCK_BYTES) // max(1, row_bytes)))
    return [slice(start, min(start + step, n)) for start in range(0, n, step)]
