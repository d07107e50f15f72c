"""Rows in blocks, of which one at a time is in memory."""

from __future__ import annotations

BLOCK_BYTES = 16 << 20


def blocks(n: int, row_bytes: int, block_bytes: int | None = None) -> list[slice]:
    """Slices of at most ``block_bytes`` (``BLOCK_BYTES``) that cover n rows of so many bytes each."""
    step = max(1, int((block_bytes or BLOCK_BYTES) // max(1, row_bytes)))
    return [slice(start, min(start + step, n)) for start in range(0, n, step)]
