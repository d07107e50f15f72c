"""Sieve streaming: set functions maximized over data that pass once."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from ms_coreset.arrays import as_array
from ms_coreset.coreset import Coreset
from ms_coreset.errors import MsCoresetError, require_number, require_whole
from ms_coreset.evidence_checks import as_numbers, require_finite
from ms_coreset.selectors.catalogue import METHODS
from ms_coreset.selectors.rules import TIE, first_best
from ms_coreset.selectors.submodular.feature_based import CONCAVE
from ms_coreset.selectors.submodular.similarity import Cosine

_SLACK = 1e-9  # of a threshold, for rounding


class _Summary(NamedTuple):
    """f as a function of a vector that tells all of S.

    Attributes:
        empty: (w,), that of the empty S.
        worth: vectors (..., w) -> (..., w), whose sums are f.
        joined: (vectors (s, w) of s sets, the numbers (w,) of an element) -> vectors (s, w) with it.
    """

    empty: np.ndarray
    worth: Callable[[np.ndarray], np.ndarray]
    joined: Callable[[np.ndarray, np.ndarray], np.ndarray]


class Sieve:
    """Picks at most k samples of a stream, which it sees once and in any number of batches.

    For guesses v = (1 + epsilon)^i of the maximum it fills a set S_v each: a sample is taken if its gain is at least (v
    / 2 - f(S_v)) / (k - |S_v|). The best of the sets has at least (1/2 - epsilon) of the maximum, for a monotone
    submodular f. It holds about ln(2 k) / epsilon sets, each a vector and at most k places; samples are not kept.

    Functions: "feature_based", "max_coverage" and "set_coverage" of the features, see the methods of these names, which
    state their options; and "facility_location" by 0.5 + 0.5 cos of features, over ``reference`` in place of all.

    Source: Badanidiyuru, Mirzasoleiman, Karbasi & Krause, Streaming Submodular Maximization: Massive Data Summarization
    on the Fly, KDD 2014, Algorithm 3.

    Args:
        k: how many to pick at most.
        function: one of those above.
        epsilon: in (0, 1).
        reference: (r, d), samples that stand for all, of "facility_location" alone.
        **options: of the function: concave, or threshold.

    Raises:
        MsCoresetError: for an unknown function or option, or a value out of range.
    """

    def __init__(self, k: int, function: str = "feature_based", *, epsilon: float = 0.1, reference: Any = None,
                 **options: Any) -> None:
        require_whole("k", k, 1)
        require_number("epsilon", epsilon, allowed="above 0 and below 1")
        if not 0 < epsilon < 1:
            raise MsCoresetError(f"epsilon {epsilon}: must be above 0 and below 1")
        if function not in _FUNCTIONS:
            raise MsCoresetError(f"function {function!r}: must be one of {', '.join(_FUNCTIONS)}")
        if not options.keys() <= {"concave", "threshold"}:
            raise MsCoresetError(f"options {', '.join(options)}: there are concave and threshold")
        if (reference is None) != (function != "facility_location"):
            raise MsCoresetError("reference goes with facility_location, and facility_location with reference")
        METHODS[function].check_options(options)
        self._k, self._epsilon, self._name = int(k), float(epsilon), function
        known = METHODS[function].options
        self._options: dict[str, Any] = {name: options.get(name, known[name]) for name in ("concave", "threshold")
                                         if name in known}
        self._reference = None if reference is None else _features("reference", reference)
        self._summary: _Summary | None = None
        self._seen, self._largest = 0, 0.0
        self._guesses: dict[int, int] = {}  # i of the guess (1 + epsilon)^i -> row of what follows
        self._vectors, self._values, self._counts = np.empty((0, 0)), np.empty(0), np.empty(0, int)
        self._chosen: list[tuple[list[int], list[float]]] = []

    def __len__(self) -> int:
        return self._seen

    def add(self, features: Any) -> None:
        """Take the next samples of the stream.

        Args:
            features: (m, d), of the same d in every call.

        Raises:
            MsCoresetError: for features that are no finite numbers, or have another number of columns.
        """
        rows = _features("features", features)
        if self._summary is None:
            self._summary = _FUNCTIONS[self._name](rows.shape[1], self._options, self._reference)
        for element in _numbers_of(rows, self._reference, self._summary):
            self._sift(self._summary, element)
            self._seen += 1

    def _sift(self, summary: _Summary, element: np.ndarray) -> None:
        one = summary.joined(summary.empty[None], element)
        alone = float((summary.worth(one) - summary.worth(summary.empty)).sum())
        if alone > self._largest:
            self._largest = alone
            self._renew_guesses(summary)
        if not self._guesses:
            return
        extended = summary.joined(self._vectors, element)
        gains = (summary.worth(extended) - summary.worth(self._vectors)).sum(axis=1)
        guesses = (1 + self._epsilon) ** np.array(list(self._guesses), float)
        wanted = (guesses / 2 - self._values) / np.maximum(self._k - self._counts, 1)
        enough = (gains > TIE * self._largest) & (gains >= wanted * (1 - _SLACK))
        taken = np.flatnonzero(enough & (self._counts < self._k))
        self._vectors[taken], self._counts[taken] = extended[taken], self._counts[taken] + 1
        self._values[taken] += gains[taken]
        for row in taken:
            places, found = self._chosen[row]
            places.append(self._seen)
            found.append(float(gains[row]))

    def _renew_guesses(self, summary: _Summary) -> None:
        """Keep the guesses from the largest gain of one sample to 2 k times it, with the sets of those that stay."""
        base = math.log1p(self._epsilon)
        first, last = (math.log(bound) / base for bound in (self._largest, 2 * self._k * self._largest))
        numbers = range(math.ceil(first - _SLACK), math.floor(last + _SLACK) + 1)
        stay = [self._guesses.get(number) for number in numbers]
        self._vectors = np.stack([summary.empty if row is None else self._vectors[row] for row in stay])
        self._values = np.array([0.0 if row is None else self._values[row] for row in stay])
        self._counts = np.array([0 if row is None else self._counts[row] for row in stay])
        self._chosen = [([], []) if row is None else self._chosen[row] for row in stay]
        self._guesses = {number: row for row, number in enumerate(numbers)}

    def coreset(self) -> Coreset:
        """The best set so far; more samples may follow.

        Returns:
            A ``Coreset`` of the samples seen, by their places in the stream, with gains; at most k picks.

        Raises:
            MsCoresetError: if no sample so far has a gain.
        """
        if not self._guesses:
            raise MsCoresetError(f"none of {self._seen} samples of the stream is worth anything")
        places, gains = self._chosen[first_best(self._values)]
        return Coreset(np.array(places, np.int64), self._seen, min(1.0, self._k / self._seen), method="sieve",
                       options={"function": self._name, "k": self._k, "epsilon": self._epsilon, **self._options},
                       gains=np.array(gains), manifest={"kept": len(places)})


def _features(name: str, given: Any) -> np.ndarray:
    rows = np.asarray(as_numbers(name, given, (len(as_array(name, given)), None), name))
    require_finite(rows, name, range(len(rows)))
    return rows.astype(np.float64)


def _numbers_of(rows: np.ndarray, reference: np.ndarray | None, summary: _Summary) -> np.ndarray:
    """What the summary needs of each sample (m, w): amounts of its features, or its similarities to the reference."""
    width = len(summary.empty) // 2 if reference is None else reference.shape[1]
    if rows.shape[1] != width:
        raise MsCoresetError(f"features have {rows.shape[1]} columns, must have {width}")
    if reference is None:
        return np.concatenate([np.maximum(rows, 0), np.maximum(-rows, 0)], axis=1)
    both = Cosine.of_features(np.concatenate([rows, reference]))
    return both.rows(np.arange(len(rows)), slice(len(rows), len(rows) + len(reference)))


def _concave(phi: Callable[[np.ndarray], np.ndarray], d: int) -> _Summary:
    return _Summary(np.zeros(2 * d), phi, np.add)


def _of_features(d: int, options: dict[str, Any], reference: np.ndarray | None) -> _Summary:
    return _concave(CONCAVE[options["concave"]], d)


def _of_coverage(d: int, options: dict[str, Any], reference: np.ndarray | None) -> _Summary:
    return _concave(lambda sums: np.minimum(sums, options["threshold"]), d)


def _of_sets(d: int, options: dict[str, Any], reference: np.ndarray | None) -> _Summary:
    return _Summary(np.ones(2 * d), lambda left: 1 - left, lambda left, chances: left * (1 - np.minimum(chances, 1)))


def _of_locations(d: int, options: dict[str, Any], reference: np.ndarray | None) -> _Summary:
    assert reference is not None
    return _Summary(np.zeros(len(reference)), lambda covered: covered, np.maximum)


_FUNCTIONS: dict[str, Callable[[int, dict[str, Any], np.ndarray | None], _Summary]] = {
    "feature_based": _of_features, "max_coverage": _of_coverage, "set_coverage": _of_sets,
    "facility_location": _of_locations}
