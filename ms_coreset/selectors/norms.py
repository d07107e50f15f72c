"""Norms of rows, and their distances to a point."""

from __future__ import annotations

from typing import cast

import numpy as np

from ms_coreset.selectors import row_blocks
from ms_coreset.selectors.row_blocks import blocks
from ms_coreset.stored_rows import StoredRows


def rows_in_metric(rows: np.ndarray, metric: str) -> np.ndarray:
    """Rows whose Euclidean distances are distances in ``metric``.

    At length 1, ||u - v||^2 = 2 (1 - cos). A row of zeros, which has no direction, stays. Coordinates are rounded to 40
    binary places, so that rows of one direction become equal.

    Args:
        rows: (m, d).
        metric: "euclidean": the rows as they are; "cosine": each at length 1, float64.

    Returns:
        (m, d).
    """
    if metric == "euclidean":
        return rows
    unit = np.array(rows, np.float64)
    for part in blocks(len(unit), unit.itemsize * unit.shape[1]):
        unit[part] /= np.maximum(np.abs(unit[part]).max(axis=1), np.finfo(float).tiny)[:, None]  # squares stay finite
        lengths = np.sqrt(squared_norms(unit[part]))
        unit[part] *= 2.0**40 / np.where(lengths > 0, lengths, 1)[:, None]
        unit[part] = np.rint(unit[part]) * 2.0**-40
    return unit


def rows_read_in_metric(rows: np.ndarray, metric: str) -> np.ndarray:
    """As ``rows_in_metric``, but that ``StoredRows`` stay such, and are changed whenever they are read."""
    if metric == "euclidean" or not isinstance(rows, StoredRows):
        return rows_in_metric(rows, metric)
    stored = StoredRows("features", rows, lambda block, places: rows_in_metric(block, metric), np.float64)
    return cast("np.ndarray", stored)


def unit_length(rows: np.ndarray) -> np.ndarray:
    """Rows (m, d) float64 divided by their norms, in place, to the last digit; a row of zeros stays."""
    lengths = np.sqrt(squared_norms(rows))[:, None]
    return np.divide(rows, lengths, out=rows, where=lengths > 0)


def row_distances(rows: np.ndarray, point: np.ndarray) -> np.ndarray:
    """Euclidean distances (m,) float64 of rows (m, d) to a point (d,), from float64 differences, on the host."""
    return np.sqrt(squared_norms(rows, np.asarray(point, np.float64)))


def squared_norms(rows: np.ndarray, center: np.ndarray | None = None) -> np.ndarray:
    """Squared norms (n,) float64: ||row||^2 of rows (n, d), or ||row - center||^2 for a center (d,) float64."""
    if center is None and rows.dtype == np.float64:
        return np.einsum("ij,ij->i", rows, rows)
    squares = np.empty(len(rows))
    for part in blocks(len(rows), 8 * rows.shape[1], row_blocks.BLOCK_BYTES // 16):
        block = np.asarray(rows[part], np.float64) if center is None else np.subtract(rows[part], center)
        squares[part] = np.einsum("ij,ij->i", block, block)
    return squares
