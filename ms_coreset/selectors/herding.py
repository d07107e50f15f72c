"""Herding: samples whose mean stays near the mean of all."""

from typing import Any

import numpy as np

from ms_coreset.evidence import Evidence, require_field
from ms_coreset.rows import take, take_as
from ms_coreset.selectors import distances, norms, products
from ms_coreset.selectors.catalogue import method
from ms_coreset.selectors.estimate import Size, Work
from ms_coreset.selectors.memory import as_text, fits_as_type
from ms_coreset.selectors.option_values import Metric, Variant
from ms_coreset.selectors.quota import Request, pick_by_group
from ms_coreset.selectors.rules import first_best
from ms_coreset.selectors.selection import Selection

_SIGNS = {"paper": -1, "deepcore": 1}  # the sign of herding's distances, of which the largest is picked


def _herding_work(size: Size, options: dict[str, Any]) -> Work:
    m, kind, note = size.pool, products.quick_type(size.types[0]), ""
    features = size.features_of(m) if kind == size.types[0] else kind.itemsize * m * size.d
    if kind != size.types[0] and not fits_as_type(size.memory, size.n, m, kind.itemsize * size.d):
        features = size.features_of(m)
        note = f"the features as {kind}, {as_text(kind.itemsize * m * size.d)}, do not fit: converted for every pick"
    peak = features + size.directions_of(m, options["metric"]) + 60 * m
    return Work(peak, 2 * size.d * size.over_pools(lambda m, k: m * k), note)


@method("herding", needs=("features",), labels=False, cost="n d k", work=_herding_work, nested=True, parallel="classes",
        source="Welling, Herding Dynamical Weights to Learn, ICML 2009; Rebuffi et al., iCaRL, CVPR 2017, Algorithm 4")
def herding(evidence: Evidence, request: Request, variant: Variant = "paper",
            metric: Metric = "euclidean") -> Selection:
    """Samples whose mean stays near the mean of all samples, chosen greedily.

    With mu the mean of the pool's features, the t-th pick is argmin_i || t mu - sum_{j in S} f_j - f_i || over the
    samples not picked; ties go to the lowest place. Neither a constant added to all features nor a positive factor
    changes the picks.

    Args:
        evidence: with labels and ``features``.
        request: rate, balance, seed and memory, see ``quota.Request``.
        variant: "paper"; "deepcore" picks the argmax, the farthest sample, as DeepCore's code does; its coresets are
            worse than random ones by construction.
        metric: "euclidean", or "cosine", which uses f_i / ||f_i|| in place of f_i; adding a constant then does change
            the picks.

    Returns:
        The picks, a ``Selection``.
    """
    def pick(rows: np.ndarray, k: int) -> np.ndarray:
        given = require_field(evidence.features)
        kind = products.quick_type(given.dtype)
        held = fits_as_type(request.memory_bytes, len(evidence), len(rows), kind.itemsize * given.shape[1])
        features = take_as(given, rows, kind) if held else take(given, rows)
        return rows[_herd(norms.rows_in_metric(features, metric), k, _SIGNS[variant])]

    return Selection(pick_by_group(evidence.groups, request, pick))


def _herd(features: np.ndarray, k: int, sign: int) -> list[int]:
    points = distances.Points(features)
    quick = products.QuickProducts(features)
    missing = np.zeros(features.shape[1])  # t mu - sum_{j in S} f_j - mu, summed from differences, which are small
    left = np.ones(len(features), bool)
    picks = []
    for _ in range(k):
        places = points.candidates(quick, missing, sign, left)
        place = places[first_best(sign * points.distances_from(missing, places), points.size)]
        picks.append(place)
        left[place] = False
        missing -= points.offsets(place)
    return picks
