"""Groups of samples that belong together: clusters of their features, or their classes."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np

from ms_coreset.distributed import current
from ms_coreset.evidence import Evidence, require_field
from ms_coreset.selectors.estimate import Size
from ms_coreset.selectors.k_means import BATCH, BATCH_ROWS_PER_CENTER, STARTS, STEPS, WHOLE_BYTES, k_means
from ms_coreset.selectors.option_values import OneOf, Whole

CLUSTERS, LABELS = "clusters", "labels"
UNIT = 2.0**-40  # of cosines: those that differ by less differ by rounding
_STEPS = 20  # of k-means from one start, about
Groups = Annotated[str, OneOf((CLUSTERS, LABELS))]
Seed = Annotated[int, Whole(0)]


def group_numbers(evidence: Evidence, groups: str, clusters: int, metric: str, seed: int) -> np.ndarray:
    """The group of each sample; of several ranks, the first finds the clusters.

    Args:
        evidence: with ``features``, or with labels.
        groups: "clusters", those of ``k_means.k_means``, or "labels".
        clusters: how many.
        metric: of the clusters.
        seed: of the clusters.

    Returns:
        (n,) whole numbers.
    """
    if groups == LABELS:
        return require_field(evidence.labels)
    features = require_field(evidence.features)
    return current().from_first(
        lambda: {"labels": k_means(features, clusters, metric=metric, seed=seed).labels})["labels"]


def goes_by_labels(options: dict[str, Any]) -> bool:
    return options["groups"] == LABELS


def sharing_of_groups(options: dict[str, Any]) -> str:
    """Ranks share classes; clusters are those of all samples."""
    return "classes" if goes_by_labels(options) else ""


def group_sizes(size: Size, options: dict[str, Any], clusters: int) -> tuple:
    """Pairs (samples, how many groups have so many), as if clusters were of one size."""
    return size.groups if goes_by_labels(options) else ((-(-size.n // clusters), clusters),)


def clusters_work(size: Size, options: dict[str, Any], clusters: int, metric: str) -> tuple[int, float]:
    """(bytes, operations) of ``k_means``; nothing where the labels are the groups."""
    if goes_by_labels(options):
        return 0, 0.0
    whole = 8 * size.n * size.d <= WHOLE_BYTES
    held = size.n if whole else min(size.n, max(BATCH, BATCH_ROWS_PER_CENTER * clusters))
    steps = STARTS * _STEPS * held + (0 if whole else max(STEPS * held, size.n))
    rows = 8 * held * size.d + max(size.doubles_of(held), size.directions_of(held, metric))
    return rows, 2.0 * steps * size.d * clusters


def whole_units(cosines: np.ndarray) -> np.ndarray:
    """Cosines rounded to 40 binary places, so that equal ones are equal in whatever order they were added up."""
    return np.rint(cosines / UNIT) * UNIT
