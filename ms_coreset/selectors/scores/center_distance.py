"""The score ``center_distance``: distance to the center of the class."""

from collections.abc import Callable
from typing import Annotated, Any

import numpy as np

from ms_coreset.evidence import Evidence, require_field
from ms_coreset.rows import take
from ms_coreset.selectors import centers, norms
from ms_coreset.selectors.catalogue import score
from ms_coreset.selectors.centers import geometric_median
from ms_coreset.selectors.estimate import Size, Work
from ms_coreset.selectors.option_values import Metric, OneOf
from ms_coreset.selectors.quota import classes

CENTERS = {"median": centers.class_median, "mean": centers.class_mean, "geometric_median": geometric_median}
Center = Annotated[str, OneOf(CENTERS)]


def _work(size: Size, options: dict[str, Any]) -> Work:
    m = size.largest
    doubles = 8 * m * size.d if options["center"] == "geometric_median" else 0
    return Work(size.features_of(m) + size.directions_of(m, options["metric"]) + doubles, size.n * size.d)


@score("center_distance", needs=("features",), cost="n d", work=_work, parallel="classes",
       source="Xia et al., Moderate Coreset, ICLR 2023", aliases=("centre_distance",))
def center_distance(evidence: Evidence, center: Center = "median", metric: Metric = "euclidean") -> np.ndarray:
    """Distance of a sample's features to the center of its class, d_i = ||f_i - c_{y_i}||_2.

    Classes are those of the given labels, even if these are noisy.

    Departures from the authors' code: labels need not be 0 .. C-1, and a class of one sample has distance 0.

    Args:
        evidence: with labels and ``features``.
        center: "median", the per-dimension median of the class (as the authors' code; the mean of the two middle values
            for an even number), "mean" (as the paper's text), or "geometric_median", argmin_z sum_i ||f_i - z||, which
            outliers move little unless they are half of the samples (``centers.geometric_median``; Acharya et al., ICML
            2025).
        metric: "euclidean" (the paper's), or "cosine", which is ours: it uses f_i / ||f_i|| in place of f_i, so that
            the length of the features, which reflects how sure a network is, has no effect.

    Returns:
        (n,) float64, at least 0; high = far from the center = keep, as Sorscher et al. keep prototypes, NeurIPS 2022.
        Moderate itself keeps the middle of the ranking, for which the direction does not matter.
    """
    distances = np.empty(len(evidence))
    for rows in classes(require_field(evidence.labels)):
        distances[rows] = _from_center(take(require_field(evidence.features), rows), CENTERS[center], metric)
    return distances


def _from_center(block: np.ndarray, center: Callable[[np.ndarray], np.ndarray], metric: str) -> np.ndarray:
    rows = norms.rows_in_metric(block, metric)
    return norms.row_distances(rows, center(rows))
