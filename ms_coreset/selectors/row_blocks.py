"""Blocks of rows, one of which is in memory at a time."""

from __future__ import annotations

from ms_coreset import rows

BLOCK_BYTES = 16 << 20


def blocks(n: int, row_bytes: int, block_bytes: int | None = None) -> list[slice]:
    """Slices that cover n rows of ``row_bytes`` each, at most ``block_bytes`` (``BLOCK_BYTES``) together."""
    return rows.blocks(n, row_bytes, block_bytes or BLOCK_BYTES)
