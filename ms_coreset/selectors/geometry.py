"""Samples chosen by where they lie: herding, k-center and contextual diversity."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from ms_coreset.distributed import current
from ms_coreset.errors import MsCoresetError
from ms_coreset.evidence import Evidence, log_softmax, required, take, take_as
from ms_coreset.selectors import kernels
from ms_coreset.selectors.catalogue import method
from ms_coreset.selectors.estimate import Size, Work
from ms_coreset.selectors.memory import as_text, fits_converted
from ms_coreset.selectors.options import Metric, Variant
from ms_coreset.selectors.quota import Request, pick_by_group
from ms_coreset.selectors.rules import TIE, first_best
from ms_coreset.selectors.selection import Selection
from ms_coreset.selectors.shared import two_rounds

SHORTEST = 256  # samples whose distances to the picks are always known, at least
_SIGNS = {"paper": -1, "deepcore": 1}  # the sign of herding's distances, of which the largest is picked


def _herding_work(size: Size, options: dict[str, Any]) -> Work:
    m, kind, note = size.pool, kernels.quick_type(size.types[0]), ""
    features = size.features_of(m) if kind == size.types[0] else kind.itemsize * m * size.d
    if kind != size.types[0] and not fits_converted(size.memory, size.n, m, kind.itemsize * size.d):
        features = size.features_of(m)
        note = f"the features as {kind}, {as_text(kind.itemsize * m * size.d)}, do not fit: converted for every pick"
    peak = features + size.directions_of(m, options["metric"]) + 60 * m
    return Work(peak, 2 * size.d * size.over_pools(lambda m, k: m * k), note)


@method("herding", needs=("features",), cost="n d k", work=_herding_work, nested=True, parallel="classes",
        source="Welling, Herding Dynamical Weights to Learn, ICML 2009; Rebuffi et al., iCaRL, CVPR 2017, Algorithm 4")
def herding(evidence: Evidence, request: Request, variant: Variant = "paper",
            metric: Metric = "euclidean") -> Selection:
    """Samples whose mean stays as near as can be to the mean of all.

    With mu the mean of the pool's features, the t-th pick is argmin_i || t mu - sum_{j in S} f_j - f_i || over the
    samples not picked; ties go to the lowest place. Neither a constant added to all features nor a positive factor
    changes the picks.

    variant: "paper"; "deepcore" picks the argmax, the farthest, as DeepCore's code does: its coresets are worse than
        random by construction
    metric: "euclidean", or "cosine", where f_i / ||f_i|| takes the place of f_i; there a constant does change the picks
    """
    def pick(rows: np.ndarray, k: int) -> np.ndarray:
        given = required(evidence.features)
        kind = kernels.quick_type(given.dtype)
        held = fits_converted(request.memory_bytes, len(evidence), len(rows), kind.itemsize * given.shape[1])
        features = take_as(given, rows, kind) if held else take(given, rows)
        return rows[_herd(kernels.in_metric(features, metric), k, _SIGNS[variant])]

    return Selection(pick_by_group(evidence.labels, request, pick))


def _herd(features: np.ndarray, k: int, sign: int) -> list[int]:
    points = kernels.Points(features)
    quick = kernels.QuickProducts(features)
    missing = np.zeros(features.shape[1])  # t mu - sum_{j in S} f_j - mu, of numbers that are small
    left = np.ones(len(features), bool)
    picks = []
    for _ in range(k):
        places = points.candidates(quick, missing, sign, left)
        place = places[first_best(sign * points.distances_from(missing, places), points.size)]
        picks.append(place)
        left[place] = False
        missing -= points.centred(place)
    return picks


def _k_center_work(size: Size, options: dict[str, Any]) -> Work:
    features = size.features_of(size.pool) + size.directions_of(size.pool, options["metric"])
    listed = 8 * size.d * _short_list(size.pool)
    return Work(features + listed, 2 * size.d * size.over_pools(lambda m, k: m * k))


@method("k_center", needs=("features",), cost="n d k", work=_k_center_work,
        aliases=("kCenterGreedy", "k_center_greedy"), nested=lambda options: not len(options["already_selected"]),
        parallel=lambda options: "" if len(options["already_selected"]) else "rounds",
        source="Sener & Savarese, Active Learning for Convolutional Neural Networks, ICLR 2018, Algorithm 1")
def k_center(evidence: Evidence, request: Request, already_selected: Sequence[int] | np.ndarray = (),
             metric: Metric = "euclidean") -> Selection:
    """Samples such that none is far from the nearest of them, by farthest-first traversal.

    The next pick is argmax_i min_{j in S} ||f_i - f_j||, ties to the lowest place; at most twice the radius that is
    possible. Distances are those of features less their mean, in float64: neither a constant added to all of them nor
    a positive factor changes the picks. The first centre is drawn by ``RandomState(seed).randint(pool size)``, anew in
    each class if balanced, so that classes of equal size start at the same place (DeepCore's indices).

    already_selected: places that are in the coreset from the start, in place of the random centre (of the classes
        that have one, if balanced). As in DeepCore the budget counts what is **added**: the result is these places,
        then the new ones
    metric: "euclidean", or "cosine", where f_i / ||f_i|| takes the place of f_i; there a constant does change the picks

    Only the distance to the nearest pick is kept: O(n) memory beside the features.
    Raises ``MsCoresetError`` for places out of range or given twice, and when fewer than the budget are left.
    """
    chosen = _checked_places(already_selected, len(evidence))

    def pick(rows: np.ndarray, k: int) -> np.ndarray:
        centres = np.flatnonzero(np.isin(rows, chosen))
        if k > len(rows) - len(centres):
            raise MsCoresetError(f"already_selected holds {len(centres)} of {len(rows)} samples: fewer are left than "
                                 f"the {k} to add: lower the rate")
        if current().size > 1 and not request.balance:
            return two_rounds(len(rows), k, request.seed, farthest, lambda own, candidates, picks: candidates[
                farthest(candidates, k)])
        return rows[farthest(rows, k, centres)]

    def farthest(rows: np.ndarray, k: int, centres: Sequence[int] | np.ndarray = ()) -> list[int]:
        points = kernels.Points(kernels.in_metric(take(required(evidence.features), rows), metric))
        return _farthest_first(points, k, request.seed, centres)

    return Selection(np.concatenate([chosen, pick_by_group(evidence.labels, request, pick)]))


def _checked_places(places: Sequence[int] | np.ndarray, n: int) -> np.ndarray:
    places = np.asarray(places)
    if not places.size:
        return np.empty(0, np.int64)
    if places.ndim != 1 or not np.issubdtype(places.dtype, np.integer):
        raise MsCoresetError("already_selected must be a list of places, whole numbers")
    if not 0 <= places.min() <= places.max() < n or len(np.unique(places)) != len(places):
        raise MsCoresetError(f"already_selected must be places from 0 to {n - 1}, each once")
    return places


def _contextual_diversity_work(size: Size, options: dict[str, Any]) -> Work:
    peak = (16 * size.pool + 32 * _short_list(size.pool)) * size.columns
    return Work(peak, 4 * size.columns * size.over_pools(lambda m, k: m * k))


@method("contextual_diversity", needs=("logits",), cost="n C k", work=_contextual_diversity_work, nested=True,
        aliases=("ContextualDiversity",), parallel="classes",
        source="Agarwal et al., Contextual Diversity for Active Learning, ECCV 2020; DeepCore's form, on softmax rows")
def contextual_diversity(evidence: Evidence, request: Request) -> Selection:
    """k-center over predicted probabilities, by the symmetric Kullback-Leibler divergence.

    D(p, q) = 0.5 sum_c (p_c - q_c) (log p_c - log q_c), from logits through log softmax in float64. First centre, order
    and ties as in ``k_center``.

    Departures: DeepCore's divergence of saturated samples is NaN, which it picks first; here it is always finite, and
    the same where DeepCore's is. The paper compares mixtures of a class's predictions within images; DeepCore, and
    this, the samples' predictions.
    """
    def pick(rows: np.ndarray, k: int) -> np.ndarray:
        distributions = kernels.Distributions(log_softmax(take(required(evidence.logits), rows)))
        return rows[_farthest_first(distributions, k, request.seed)]

    return Selection(pick_by_group(evidence.labels, request, pick))


def _farthest_first(space: kernels.Points | kernels.Distributions, k: int, seed: int,
                    centres: Sequence[int] | np.ndarray = ()) -> list[int]:
    """k places of ``space`` in pick order, each the farthest from ``centres`` (or one at random) and those before it.

    ``space``: ``kernels.Points`` or ``kernels.Distributions``

    Distances to the nearest pick only fall. So those of a short list, the farthest at some time, are kept up to date
    with every pick, and the others, which can't have become farther, only when the list's farthest comes down to them:
    then with all picks since at once, a product of matrices, which is many times faster than one vector after another.
    """
    nearest = np.full(len(space), np.inf)
    since = list(centres) or [np.random.RandomState(seed).randint(len(space))]
    picks = [] if len(centres) else list(since)
    while True:
        np.minimum(nearest, space.to_nearest(np.array(since)), out=nearest)
        nearest[since] = -np.inf
        if len(picks) >= k:
            return picks[:k]
        since = _from_short_list(space, nearest, k - len(picks))
        picks.extend(since)


def _short_list(n: int) -> int:
    """How many of n samples have distances to the picks that are always known."""
    return min(n, max(SHORTEST, n // 16, 1))


def _from_short_list(space: kernels.Points | kernels.Distributions, nearest: np.ndarray, k: int) -> list[int]:
    """The next picks, at least one and at most k, as far as the farthest by ``nearest`` (n,) can tell."""
    first = first_best(nearest)
    size = _short_list(len(space))
    places = np.sort(np.argpartition(-nearest, size - 1)[:size])
    outside = np.delete(nearest, places).max(initial=-np.inf)
    if first not in places:
        return [first]
    listed, distances = space.among(places), nearest[places].copy()
    picks, place = [], int(np.searchsorted(places, first))
    while True:
        picks.append(places[place])
        if len(picks) == k:
            return picks
        np.minimum(distances, listed.distances_to(place), out=distances)
        distances[place] = -np.inf
        place = first_best(distances)
        # Somebody outside may tie with it, or be farther.
        if distances[place] * (1 - 2 * TIE) <= outside:
            return picks
