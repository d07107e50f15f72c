"""What the searches for neighbors of a call share: where their results are kept, and what is noted of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, NamedTuple, Protocol

import numpy as np

from ms_coreset.checksums import array_digest

LONG = 1 << 34  # multiplications of an exact search: shorter ones are not kept


class Neighbors(NamedTuple):
    """The nearest samples to each of some.

    Attributes:
        places: (q, k) int64, the nearest first; of equally near ones, by the first 12 digits of their squared
            distances, the lowest places.
        distances: (q, k) float64, Euclidean; with "cosine" those of rows at length 1, so that cos = 1 - distance^2 / 2
            but for rows of zeros, which have no direction.
        recall: the share of the nearest that were found, as measured on a sample: 1 where the search is exact.
    """

    places: np.ndarray
    distances: np.ndarray
    recall: float = 1.0


class Store(Protocol):
    """Where results are kept, by a key that tells all that they depend on."""

    def load(self, key: str, shape: tuple[int, int]) -> Neighbors | None:
        """What was saved, if it is there and of this shape (q, k)."""

    def save(self, key: str, found: Neighbors) -> None:
        """Keep a result."""


_store: ContextVar[Store | None] = ContextVar("store", default=None)
_notes: ContextVar[tuple[list[dict[str, Any]], ...]] = ContextVar("notes", default=())


@contextmanager
def kept_in(store: Store | None) -> Iterator[None]:
    """Within the block, long searches are kept in a store, and taken from it."""
    token = _store.set(store)
    try:
        yield
    finally:
        _store.reset(token)


@contextmanager
def collect_notes() -> Iterator[list[dict[str, Any]]]:
    """Gives a list, to which each approximate search within the block adds a note: k, cells, probes and recall."""
    notes: list[dict[str, Any]] = []
    token = _notes.set((*_notes.get(), notes))
    try:
        yield notes
    finally:
        _notes.reset(token)


def note(found: dict[str, Any]) -> None:
    """Add a note to all lists of ``collect_notes`` that are open."""
    for notes in _notes.get():
        notes.append(found)


def keep(search: Callable[[], Neighbors], features: np.ndarray, samples: tuple[np.ndarray, np.ndarray],
         described: Any) -> Neighbors:
    """What ``search`` gives, from the store where it is there.

    Args:
        search: of the neighbors.
        features: (n, d).
        samples: (places of the queries, places of the candidates).
        described: all else that the result depends on, whose text tells it; with an attribute ``k``.
    """
    store, (queries, candidates) = _store.get(), samples
    if store is None or len(queries) * len(candidates) * features.shape[1] < LONG:
        return search()
    key = array_digest(features, queries, candidates, np.array(str(described)))
    found = store.load(key, (len(queries), described.k))
    if found is None:
        found = search()
        store.save(key, found)
    return found
