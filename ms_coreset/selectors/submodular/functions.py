"""Set functions f(S) with their state for a growing S.

Each has ``len``, the size of the pool; ``gains(places)``, f(S + j) - f(S) for each j of ``places``, and ``add(place)``,
which makes S one larger. How they are maximised is ``greedy``'s business.
"""

import numpy as np

from ms_coreset.selectors.submodular.similarity import blocks

SMALLEST_VARIANCE = 1e-12


class FacilityLocation:
    """f(S) = sum_i max_{j in S} s_ij, 0 for the empty S; s symmetric and nowhere negative.

    gain_j = sum_i max(0, s_ij - m_i) with m_i = max_{j in S} s_ij: n operations for a candidate.
    """

    batch = 32  # candidates whose gains are cheaper together than one by one

    def __init__(self, similarity):
        self._similarity = similarity
        self._covered = np.zeros(len(similarity))

    def __len__(self):
        return len(self._covered)

    def gains(self, places):
        return np.concatenate([self._improvements(block) for block in blocks(places, len(self))])

    def _improvements(self, places):
        rows = self._similarity.rows(places)
        rows -= self._covered
        return np.maximum(rows, 0, out=rows).sum(axis=1)

    def add(self, place):
        np.maximum(self._covered, self._similarity.rows([place])[0], out=self._covered)


class Separate:
    """The sum of functions of parts of a pool: ``parts``, one (ascending places, function) for each."""

    batch = FacilityLocation.batch

    def __init__(self, parts):
        self._functions = [function for _, function in parts]
        n = sum(len(places) for places, _ in parts)
        self._part, self._local = np.empty(n, int), np.empty(n, int)
        for part, (places, _) in enumerate(parts):
            self._part[places], self._local[places] = part, np.arange(len(places))

    def __len__(self):
        return len(self._part)

    def gains(self, places):
        gains = np.empty(len(places))
        for part in np.unique(self._part[places]):
            here = self._part[places] == part
            gains[here] = self._functions[part].gains(self._local[places][here])
        return gains

    def add(self, place):
        self._functions[self._part[place]].add(self._local[place])


class _KnownGains:
    """Functions whose ``add`` brings the gains of all candidates up to date in ``_gains`` (n,)."""

    batch = 1 << 20  # a gain is a look-up

    def __len__(self):
        return len(self._gains)

    def gains(self, places):
        return self._gains[places]


class GraphCut(_KnownGains):
    """f(S) = lam sum_{i in V, j in S} s_ij - sum_{i, j in S} s_ij.

    gain_j = lam sum_{i in V} s_ij - 2 sum_{i in S} s_ij. The exact one has a further - s_jj; it is left out, as in
    DeepCore, and makes no difference where all s_jj are equal, as they are but for zero vectors. Monotone for
    lam >= 2; with less, gains turn negative as S grows.
    """

    def __init__(self, similarity, lam=1.0):
        self._similarity = similarity
        self._gains = lam * similarity.column_sums()

    def add(self, place):
        self._gains -= 2 * self._similarity.rows([place])[0]


class LogDeterminant(_KnownGains):
    """f(S) = log det(s_SS + jitter I), for at most k picks.

    gain_j = log v_j, v_j = s_jj + jitter - s_jS (s_SS + jitter I)^-1 s_Sj, what S leaves unexplained of j, at least
    1e-12. The Cholesky factor grows by one row (n,) a pick: n k^2 operations and n k numbers in all.
    Source: Chen, Zhang & Zhou, Fast Greedy MAP Inference for Determinantal Point Process, NeurIPS 2018, Algorithm 1.
    """

    def __init__(self, similarity, k, jitter=1e-6):
        self._similarity = similarity
        self._jitter = jitter
        self._factor = np.empty((k, len(similarity)))
        self._size = 0
        self._prior = similarity.diagonal() + jitter
        self._variance = self._prior.copy()
        self._gains = self._gains_now()

    def _gains_now(self):
        return np.log(self._variance)

    def add(self, place):
        row = self._similarity.rows([place])[0]
        row[place] += self._jitter
        factor = self._factor[:self._size]
        residual = row - factor[:, place] @ factor
        # Nothing is left of an element that S explains: dividing by it would blow rounding up.
        residual *= 0 if self._variance[place] <= SMALLEST_VARIANCE else self._variance[place] ** -0.5
        self._factor[self._size] = residual
        self._size += 1
        self._variance = np.maximum(self._variance - residual**2, SMALLEST_VARIANCE)
        self._gains = self._gains_now()


class ExplainedVariance(LogDeterminant):
    """DeepCore's "log determinant": gain_j = s_jS pinv(s_SS) s_Sj, what S explains of j, where the true one takes log
    of what it does not. It seeks redundancy, and its gains rise as S grows: lazily maximised, candidates one by one,
    it gives places 0, 1, 2, ... as in DeepCore.
    """

    batch = 1

    def __init__(self, similarity, k):
        super().__init__(similarity, k, jitter=0.0)

    def _gains_now(self):
        return self._prior - self._variance
