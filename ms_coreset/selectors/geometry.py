"""Samples chosen by where they lie: herding, k-center and contextual diversity."""

import numpy as np

from ms_coreset.errors import MsCoresetError
from ms_coreset.evidence import log_softmax
from ms_coreset.selectors import kernels
from ms_coreset.selectors.catalogue import method
from ms_coreset.selectors.quota import pick_by_group
from ms_coreset.selectors.rules import first_best
from ms_coreset.selectors.scores.uncertainty import require_variant
from ms_coreset.selectors.selection import Selection

_SIGNS = {"paper": -1, "deepcore": 1}  # the sign of herding's distances, of which the largest is picked


@method("herding", needs=("features",), cost="n d k",
        source="Welling, Herding Dynamical Weights to Learn, ICML 2009; Rebuffi et al., iCaRL, CVPR 2017, Algorithm 4")
def herding(evidence, request, variant="paper"):
    """Samples whose mean stays as near as can be to the mean of all.

    With mu the mean of the pool's features, the t-th pick is argmin_i || t mu - sum_{j in S} f_j - f_i || over the
    samples not picked; ties go to the lowest place.

    variant: "paper"; "deepcore" picks the argmax, the farthest, as DeepCore's code does: its coresets are worse than
        random by construction

    Raises ``MsCoresetError`` for another variant.
    """
    require_variant(variant)

    def pick(rows, k):
        return rows[_herd(evidence.features[rows], k, _SIGNS[variant])]

    return Selection(pick_by_group(evidence.labels, request, pick))


def _herd(features, k, sign):
    points = kernels.Points(features)
    mean = kernels.class_mean(features)
    total = np.zeros_like(mean)
    left = np.ones(len(features), bool)
    picks = []
    for count in range(1, k + 1):
        distances = points.distances_to(count * mean - total)
        place = first_best(np.where(left, sign * distances, -np.inf))
        picks.append(place)
        left[place] = False
        total += features[place]
    return picks


@method("k_center", needs=("features",), cost="n d k", aliases=("kCenterGreedy", "k_center_greedy"),
        source="Sener & Savarese, Active Learning for Convolutional Neural Networks, ICLR 2018, Algorithm 1")
def k_center(evidence, request, already_selected=()):
    """Samples such that none is far from the nearest of them, by farthest-first traversal.

    The next pick is argmax_i min_{j in S} ||f_i - f_j||, ties to the lowest place; at most twice the radius that is
    possible. Distances are sqrt(max(||x||^2 + ||y||^2 - 2 <x, y>, 1e-12)). The first centre is drawn by
    ``RandomState(seed).randint(pool size)``, anew in each class if balanced, so that classes of equal size start at
    the same place (DeepCore's indices).

    already_selected: places that are in the coreset from the start, in place of the random centre (of the classes
        that have one, if balanced). As in DeepCore the budget counts what is **added**: the result is these places,
        then the new ones

    One distance row is computed per pick and only the minimum kept: O(n) memory beside the features.
    Raises ``MsCoresetError`` for places out of range or given twice, and when fewer than the budget are left.
    """
    chosen = _checked_places(already_selected, len(evidence))

    def pick(rows, k):
        features = evidence.features[rows]
        points = kernels.Points(features)
        centres = np.flatnonzero(np.isin(rows, chosen))
        if k > len(rows) - len(centres):
            raise MsCoresetError(f"already_selected holds {len(centres)} of {len(rows)} samples: fewer are left than "
                                 f"the {k} to add: lower the rate")

        def distances_from(place):
            return points.distances_to(features[place])

        return rows[_farthest_first(distances_from, len(rows), k, request.seed, centres)]

    return Selection(np.concatenate([chosen, pick_by_group(evidence.labels, request, pick)]))


def _checked_places(places, n):
    places = np.asarray(places)
    if not places.size:
        return np.empty(0, np.int64)
    if places.ndim != 1 or not np.issubdtype(places.dtype, np.integer):
        raise MsCoresetError("already_selected must be a list of places, whole numbers")
    if not 0 <= places.min() <= places.max() < n or len(np.unique(places)) != len(places):
        raise MsCoresetError(f"already_selected must be places from 0 to {n - 1}, each once")
    return places


@method("contextual_diversity", needs=("logits",), cost="n C k", aliases=("ContextualDiversity",),
        source="Agarwal et al., Contextual Diversity for Active Learning, ECCV 2020; DeepCore's form, on softmax rows")
def contextual_diversity(evidence, request):
    """k-center over predicted probabilities, by the symmetric Kullback-Leibler divergence.

    D(p, q) = 0.5 sum_c (p_c - q_c) (log p_c - log q_c), from logits through log softmax in float64. First centre, order
    and ties as in ``k_center``.

    Departures: DeepCore's divergence of saturated samples is NaN, which it picks first; here it is always finite, and
    the same where DeepCore's is. The paper compares mixtures of a class's predictions within images; DeepCore, and
    this, the samples' predictions.
    """
    def pick(rows, k):
        distributions = kernels.Distributions(log_softmax(evidence.logits[rows]))
        return rows[_farthest_first(distributions.divergences_from, len(rows), k, request.seed)]

    return Selection(pick_by_group(evidence.labels, request, pick))


def _farthest_first(distances_from, n, k, seed, centres=()):
    """k places of n in pick order, each the farthest from ``centres`` (or one at random) and those before it."""
    nearest = np.full(n, np.inf)

    def add(place):
        np.minimum(nearest, distances_from(place), out=nearest)
        nearest[place] = -np.inf

    picks = list(centres) or [np.random.RandomState(seed).randint(n)]
    for place in picks:
        add(place)
    while len(picks) < k + len(centres):
        picks.append(first_best(nearest))
        add(picks[-1])
    return picks[len(centres):]
