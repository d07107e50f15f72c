"""Scores that were computed elsewhere, for all samples or for a part of them."""

from dataclasses import dataclass
from typing import Annotated, Any, NamedTuple

import numpy as np

from ms_coreset.errors import MsCoresetError
from ms_coreset.evidence import Evidence, require_field
from ms_coreset.selectors.catalogue import score
from ms_coreset.selectors.distances import squared_distances
from ms_coreset.selectors.estimate import Size, Work, row_by_row
from ms_coreset.selectors.neighbors import nearest_among
from ms_coreset.selectors.option_values import Count, Metric, OneOf, Probes

ASKED = 2000  # scored samples, at most, by which the quality is told
Weighting = Annotated[str, OneOf(("mean", "distance"))]


class Quality(NamedTuple):
    """How well extrapolated scores agree with known ones: correlations in [-1, 1], NaN for constant scores.

    Attributes:
        scored: number of samples with a score.
    """

    pearson: float
    spearman: float
    scored: int


@score("imported", needs=("imported",), labels=False, cost="n", work=row_by_row, parallel="samples",
       source="whoever made them, such as rgeirhos/dataset-pruning-metrics for ImageNet")
def imported(evidence: Evidence) -> np.ndarray:
    """Scores computed elsewhere, as they are: ``Evidence(imported=...)``, or a command's --scores-from FILE.

    High = keep. If low scores are to be kept, give the negative: ``Evidence(imported=-scores)``, or --scores-low.

    Args:
        evidence: with labels and ``imported``.

    Returns:
        (n,) float64.

    Raises:
        MsCoresetError: if a sample has no score (NaN) or an infinite one.
    """
    values = _values(evidence, "imported")
    lacking = np.isnan(values)
    if lacking.any():
        raise MsCoresetError(f"imported: {int(lacking.sum()):,} of {len(values):,} samples have no score, the first is "
                             f"sample {int(np.argmax(lacking))}: the score extrapolated gives them their neighbors'")
    return values


def _work(size: Size, options: dict[str, Any]) -> Work:
    """The scored samples as float64 around their mean; their number is not known before, so all are counted."""
    copies = 2 if options["metric"] == "euclidean" else 3
    return Work(8 * copies * size.n * size.d, 2 * size.n**2 * size.d)


@score("extrapolated", needs=("imported", "features"), labels=False, cost="n m d for m scored samples", work=_work,
       source="Schmidt et al., Effective Data Pruning through Score Extrapolation, 2025")
def extrapolated(evidence: Evidence, neighbors: Count = 10, metric: Metric = "euclidean",
                 weighting: Weighting = "mean", probes: Probes = 0) -> np.ndarray:
    """Scores computed elsewhere for a part of the samples, extrapolated to the others from their nearest neighbors.

    Samples with a score keep it. For the others, with N(i) the k scored samples whose features are nearest to those of
    sample i,

        s_i = mean_{j in N(i)} s_j,   or   sum_j e^{-d_ij} s_j / sum_j e^{-d_ij},   j in N(i).

    Departure from the authors' code: the least d_ij of a sample is subtracted from all of them. This changes no
    quotient unless all e^{-d} underflow to 0, as they do in their code for features of large norm.

    Args:
        evidence: with labels and ``imported`` and ``features``.
        neighbors: k, at most the number of scored samples; the paper tries 10 to 100.
        metric: "euclidean" or "cosine", which decides on the nearest samples; d_ij is the Euclidean distance of the
            unscaled features for both, as in the authors' code.
        weighting: "mean", or "distance", the second formula.
        probes: 0: the neighbors are exact; otherwise they are sought in so many cells (``neighbors.nearest_among``).

    Returns:
        (n,) float64; of equally near samples the lowest places are taken.

    Raises:
        MsCoresetError: if samples lack a score and fewer than k have one, and for an infinite score.
    """
    values = _values(evidence, "extrapolated")
    scored, others = np.flatnonzero(~np.isnan(values)), np.flatnonzero(np.isnan(values))
    if not len(others):
        return values
    _require_enough(scored, neighbors)
    features = require_field(evidence.features)
    values[others] = _Neighbors(neighbors, metric, weighting, probes).predictions(features, values, others)
    return values


def extrapolation_quality(evidence: Evidence, neighbors: int = 10, metric: str = "euclidean",
                          weighting: str = "mean", probes: int = 0) -> Quality:
    """Measure how well ``extrapolated`` predicts known scores, each from the others, for at most 2,000, evenly taken.

    Args:
        evidence: with imported scores and features.
        neighbors: see ``extrapolated``.
        metric: see ``extrapolated``.
        weighting: see ``extrapolated``.
        probes: see ``extrapolated``.

    Returns:
        A ``Quality``.
    """
    values = _values(evidence, "extrapolated")
    scored = np.flatnonzero(~np.isnan(values))
    _require_enough(scored, neighbors + 1)
    asked = scored[np.unique(np.linspace(0, len(scored) - 1, ASKED).astype(int))]
    how = _Neighbors(neighbors, metric, weighting, probes)
    told = how.predictions(require_field(evidence.features), values, asked)
    return Quality(_correlation(told, values[asked]), _correlation(_ranks(told), _ranks(values[asked])), len(scored))


def _values(evidence: Evidence, name: str) -> np.ndarray:
    """The imported scores (n,) as float64, a copy; NaN where there is none."""
    values = np.array(evidence.imported, np.float64)
    if np.isinf(values).any():
        raise MsCoresetError(f"{name}: the imported score of sample {int(np.argmax(np.isinf(values)))} is infinite")
    return values


def _require_enough(scored: np.ndarray, least: int) -> None:
    if len(scored) < least:
        raise MsCoresetError(f"extrapolated: {len(scored)} samples are scored, fewer than the {least} that are asked "
                             "for: import more, or take fewer neighbors")


@dataclass(frozen=True)
class _Neighbors:
    """How scores follow from those of neighbors; see ``extrapolated``."""

    count: int
    metric: str
    weighting: str
    probes: int

    def predictions(self, features: np.ndarray, values: np.ndarray, asked: np.ndarray) -> np.ndarray:
        """Scores (q,) of the samples ``asked`` (q,), from the values (n,) of others that are not NaN."""
        found = nearest_among(features, asked, np.flatnonzero(~np.isnan(values)), k=self.count, metric=self.metric,
                              probes=self.probes)
        distances = self._distances(features, asked, found.places, found.distances)
        return self._mean(values[found.places], distances)

    def _distances(self, features: np.ndarray, places: np.ndarray, near: np.ndarray,
                   distances: np.ndarray) -> np.ndarray:
        """Euclidean distances of the features as they are (b, k)."""
        if self.metric == "euclidean" or self.weighting == "mean":
            return distances
        squares = squared_distances(features, np.repeat(places, near.shape[1]), near.ravel())
        return np.sqrt(squares).reshape(near.shape)

    def _mean(self, scores: np.ndarray, distances: np.ndarray) -> np.ndarray:
        if self.weighting == "mean":
            return scores.mean(axis=1)
        weights = np.exp(distances.min(axis=1, keepdims=True) - distances)
        return (weights * scores).sum(axis=1) / weights.sum(axis=1)


def _correlation(one: np.ndarray, other: np.ndarray) -> float:
    """Pearson's; NaN where either is constant."""
    if np.ptp(one) == 0 or np.ptp(other) == 0:
        return float("nan")
    return float(np.corrcoef(one, other)[0, 1])


def _ranks(values: np.ndarray) -> np.ndarray:
    """Ranks (n,) from 0 on, equal values their mean rank."""
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return (last - (counts + 1) / 2)[place]
