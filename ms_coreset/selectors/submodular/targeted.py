"""Targeted selection: samples like those of a query set, or unlike those of a private set.

With a set function f of all samples, a query set Q and a private set P, the picks S maximize one of

    I(S; Q) = f(S) + f(Q) - f(S u Q), the mutual information with Q, where Q alone is given;
    f(S | P) = f(S u P) - f(P), the conditional gain beyond P, where P alone is given;
    I(S; Q | P) = f(S | P) - f(S | Q u P), the conditional mutual information, where both are given;
    f(S), where neither is given.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ms_coreset.errors import MsCoresetError
from ms_coreset.evidence import Evidence
from ms_coreset.rows import take
from ms_coreset.selectors.submodular.set_functions import LogDeterminant
from ms_coreset.selectors.submodular.similarity import blocks

if TYPE_CHECKING:
    from ms_coreset.selectors.submodular.similarity import Similarity, WholeSimilarity

SIDES = ("like", "unlike")
TAKES = (*SIDES, "cost")
SOURCE = ("Iyer, Khargonkar, Bilmes & Asnani, Submodular Combinatorial Information Measures with Applications in "
          "Machine Learning, ALT 2021; Kothawade et al., PRISM: A Rich Class of Parameterized Submodular Information "
          "Measures for Guided Data Subset Selection, AAAI 2022, Table 1")


class Places(NamedTuple):
    """Where the samples lie in ``joined``: those that may be picked come first."""

    n: int
    like: slice
    unlike: slice


def joined(evidence: Evidence, rows: np.ndarray, fields: Iterable[str]) -> tuple[Evidence, Places]:
    """The samples ``rows``, then those to be like, then those to be unlike.

    Args:
        evidence: of the samples, with those to be like and unlike, or without.
        rows: (n,) places of the samples that may be picked.
        fields: of ``Evidence``, labels among them, that are joined.

    Returns:
        (evidence of all, where they lie).

    Raises:
        MsCoresetError: for features or logits with other numbers of columns than those of the samples.
    """
    like, unlike = (getattr(evidence, name) for name in SIDES)
    if like is None and unlike is None:
        return evidence.part(rows, set(fields) - {"labels"}), Places(len(rows), *2 * (slice(len(rows), len(rows)),))
    others = {name: part for name, part in (("like", like), ("unlike", unlike)) if part is not None}
    whole = {name: _stack(name, take(getattr(evidence, name), rows),
                          {which: getattr(part, name) for which, part in others.items()}) for name in fields}
    n, q = len(rows), 0 if like is None else len(like)
    together = Evidence(whole.get("labels"), whole.get("features"), whole.get("logits"))
    return together, Places(n, slice(n, n + q), slice(n + q, len(together)))


def _stack(name: str, own: np.ndarray, others: dict[str, np.ndarray]) -> np.ndarray:
    for which, array in others.items():
        if array.shape[1:] != own.shape[1:]:
            raise MsCoresetError(f"{name} of the samples to be {which} have {array.shape[1]} columns, must have "
                                 f"{own.shape[1]} like those of the samples")
    return np.concatenate([np.asarray(array) for array in (own, *others.values())])


def nearest_of(similarity: Similarity, n: int, others: slice) -> np.ndarray | None:
    """(n,) max_{j in others} s_ij of the first n samples; None where there are no others."""
    if others.start == others.stop:
        return None
    columns = others.stop - others.start
    return np.concatenate([similarity.rows(block, others).max(axis=1) for block in blocks(np.arange(n), columns)])


class TargetedFacilityLocation:
    """f(S) = sum_i max(min(max_{j in S} s_ij, high_i) - low_i, 0) over the first n elements.

    With high_i = eta max_{j in Q} s_ij and low_i = nu max_{j in P} s_ij it is the mutual information, the conditional
    gain, or the conditional mutual information of facility location (FLVMI, FLCG, FLCMI).

    Args:
        similarity: of these elements, and perhaps of others after them.
        low: (n,).
        high: (n,), infinite where nothing is too much.
    """

    def __init__(self, similarity: Similarity, low: np.ndarray, high: np.ndarray) -> None:
        self._similarity, self._covered = similarity, low.astype(np.float64)
        self._high = np.maximum(high, low)

    def __len__(self) -> int:
        return len(self._covered)

    @property
    def batch(self) -> int | None:
        """How many gains are cheaper together."""
        return self._similarity.batch

    def gains(self, places: np.ndarray) -> np.ndarray:
        return np.concatenate([np.maximum(self._rows(block) - self._covered, 0).sum(axis=1)
                               for block in blocks(places, 3 * len(self))])

    def add(self, place: int) -> None:
        np.maximum(self._covered, self._rows(np.array([place]))[0], out=self._covered)

    def _rows(self, places: np.ndarray) -> np.ndarray:
        return np.minimum(self._similarity.rows(places, slice(0, len(self))), self._high)


class QueryFacilityLocation:
    """f(S) = sum_{i in Q} max_{j in S} s_ij + eta sum_{j in S} max_{i in Q} s_ij (FLQMI). All gains are known.

    Args:
        across: (n, q) float64, how similar each element is to each of Q.
        eta: at least 0.
    """

    batch: int | None = None

    def __init__(self, across: np.ndarray, eta: float) -> None:
        self._across, self._near = across, eta * across.max(axis=1)
        self._covered = np.zeros(across.shape[1])

    def __len__(self) -> int:
        return len(self._across)

    def gains(self, places: np.ndarray) -> np.ndarray:
        return self._near[places] + np.concatenate([
            np.maximum(self._across[block] - self._covered, 0).sum(axis=1)
            for block in blocks(places, 2 * len(self._covered))])

    def add(self, place: int) -> None:
        np.maximum(self._covered, self._across[place], out=self._covered)


class TargetedGraphCut:
    """f(S) = lam sum_{i < n, j in S} s_ij - sum_{i, j in S} s_ij - 2 nu sum_{i in P, j in S} s_ij.

    The conditional gain of graph cut (GCCG); with an empty P graph cut itself.

    Args:
        similarity: of all elements.
        places: where they lie.
        lam: at least 0.
        nu: at least 0.
    """

    batch: int | None = 128

    def __init__(self, similarity: WholeSimilarity, places: Places, lam: float, nu: float) -> None:
        beyond, private = (sums_over(similarity, places.n, np.arange(part.start, part.stop))
                           for part in (slice(places.n, places.unlike.stop), places.unlike))
        self._before = lam * (similarity.column_sums()[:places.n] - beyond) - similarity.diagonal()[:places.n]
        self._before -= 2 * nu * private
        self._chosen = similarity.sum_of_rows()

    def __len__(self) -> int:
        return len(self._before)

    def gains(self, places: np.ndarray) -> np.ndarray:
        return self._before[places] - 2 * self._chosen.at(places)

    def add(self, place: int) -> None:
        self._chosen.add(place)


def sums_over(similarity: WholeSimilarity, n: int, others: np.ndarray) -> np.ndarray:
    """(n,) sum_{i in others} s_ij of the first n elements."""
    sums = similarity.sum_of_rows()
    for place in others:
        sums.add(place)
    return sums.at(np.arange(n))


class Modular:
    """f(S) = sum_{j in S} values_j."""

    batch: int | None = None

    def __init__(self, values: np.ndarray) -> None:
        self._values = values

    def __len__(self) -> int:
        return len(self._values)

    def gains(self, places: np.ndarray) -> np.ndarray:
        return self._values[places]

    def add(self, place: int) -> None:
        pass


class Conditioned:
    """s_ij - w_i . w_j of the first n elements of a similarity s: what is left of s beyond some sides, such as Q and P.

    With C the elements of all sides, w_i = L^-1 s_Ci and L L^T = s_CC + jitter I it is the Schur complement. What an
    element of a side is similar to counts ``scale`` times, but for its own side.

    Args:
        similarity: of these n elements and of the others.
        sides: pairs (places, scale from 0 to 1).
        n: how many elements are left.
        jitter: above 0.
    """

    batch = 128

    def __init__(self, similarity: WholeSimilarity, sides: Sequence[tuple[np.ndarray, float]], n: int,
                 jitter: float) -> None:
        from scipy.linalg import cholesky, solve_triangular  # scipy takes longer to load than --help may

        others = np.concatenate([places for places, _ in sides])
        scales = np.concatenate([np.full(len(places), scale) for places, scale in sides])
        own = np.repeat(np.arange(len(sides)), [len(places) for places, _ in sides])
        among = similarity.between(others, others) * np.where(own[:, None] == own, 1, np.outer(scales, scales))
        factor = cholesky(among + jitter * np.eye(len(others)), lower=True)
        across = similarity.between(np.arange(n), others) * scales
        self._similarity = similarity
        self._explained = solve_triangular(factor, across.T, lower=True).T

    def __len__(self) -> int:
        return len(self._explained)

    def between(self, places: np.ndarray | slice, others: np.ndarray) -> np.ndarray:
        """The similarities of some places and others, (m, m'), a fresh array."""
        some = np.arange(len(self))[places]
        found = self._similarity.between(some, others)
        found -= self._explained[some] @ self._explained[others].T
        return found

    def diagonal(self) -> np.ndarray:
        return self._similarity.diagonal()[:len(self)] - np.square(self._explained).sum(axis=1)


class Difference:
    """f(S) = first(S) - second(S), which is not submodular: all gains are computed at every pick."""

    batch: int | None = None

    def __init__(self, first: LogDeterminant, second: LogDeterminant) -> None:
        self._first, self._second = first, second

    def __len__(self) -> int:
        return len(self._first)

    def gains(self, places: np.ndarray) -> np.ndarray:
        return self._first.gains(places) - self._second.gains(places)

    def add(self, place: int) -> None:
        self._first.add(place)
        self._second.add(place)
