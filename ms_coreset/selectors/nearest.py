"""The nearest of some samples to others, exactly."""

from collections.abc import Iterator

import numpy as np

from ms_coreset.rows import take
from ms_coreset.selectors import centers, norms, products, row_blocks

_SLACK = 1e-12  # error of a squared distance by products, relative to the squared lengths


def nearest_samples(features: np.ndarray, queries: np.ndarray, candidates: np.ndarray, k: int,
                    exclude_self: bool = False) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """The k candidates nearest to each query by Euclidean distance, a block of queries at a time.

    Products in float64 find the samples that may be among them. Differences decide, by their first 12 digits; of
    equally near ones the lowest places come first.

    Args:
        features: (n, d).
        queries: (q,) ascending places.
        candidates: (m,) ascending places.
        k: at most m; at most m - 1 with ``exclude_self``.
        exclude_self: whether a query that is a candidate is left out of its own nearest ones.

    Yields:
        (b,) queries; (b, k) places of the nearest, the nearest first; (b, k) their distances, float64.
    """
    rows = np.asarray(take(features, candidates), np.float64)
    center = centers.class_mean(rows)
    rows = rows - center
    squares = norms.squared_norms(rows)
    for part in row_blocks.blocks(len(queries), 8 * (3 * len(candidates) + features.shape[1])):
        block = queries[part]
        asked = np.asarray(take(features, block), np.float64) - center
        lengths = norms.squared_norms(asked)
        found = lengths[:, None] + squares - 2 * products.multiply(asked, rows.T)
        if exclude_self:
            found[block[:, None] == candidates] = np.inf
        slack = _SLACK * (lengths + squares.max())
        bound = np.partition(found, k - 1, axis=1)[:, k - 1] + 2 * slack
        query, place = np.nonzero(found <= bound[:, None])
        exact = _between(asked, rows, query, place)
        order = np.lexsort((place, _first_digits(exact), query))
        chosen = order[np.searchsorted(query, np.arange(len(block)))[:, None] + np.arange(k)]
        yield block, candidates[place[chosen]], np.sqrt(exact[chosen])


def _between(left: np.ndarray, right: np.ndarray, at: np.ndarray, place: np.ndarray) -> np.ndarray:
    """||left[at] - right[place]||^2 (m,), from differences."""
    squares = np.empty(len(at))
    for part in row_blocks.blocks(len(at), 16 * left.shape[1]):
        squares[part] = norms.squared_norms(left[at[part]] - right[place[part]])
    return squares


def _first_digits(values: np.ndarray) -> np.ndarray:
    """Values at least 0, each rounded to 40 bits."""
    fractions, exponents = np.frexp(values)
    return np.ldexp(np.rint(fractions * 2.0**40), exponents - 40)
