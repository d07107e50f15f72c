"""Facility location, graph cut and log determinant with a query set to be like and a private set to be unlike."""

from collections.abc import Callable
from typing import Annotated, Any

import numpy as np

from ms_coreset.errors import MsCoresetError
from ms_coreset.evidence import Evidence
from ms_coreset.evidence_checks import require_not_negative
from ms_coreset.selectors.already_selected import Places as Selected
from ms_coreset.selectors.catalogue import PRECOMPUTED, method
from ms_coreset.selectors.estimate import Size, Work
from ms_coreset.selectors.option_values import NotNegative, OneOf, Positive
from ms_coreset.selectors.quota import Request
from ms_coreset.selectors.selection import Selection
from ms_coreset.selectors.submodular import kernels
from ms_coreset.selectors.submodular.greedy import Maximizer, lazy, optimizer
from ms_coreset.selectors.submodular.kernel_methods import (
    AnySimilarity,
    Beta,
    Epsilon,
    Greedy,
    Kernel,
    as_matrix,
    goes_by_gradients,
    is_nested,
    kernel_bytes,
    needs_of_kernel,
    sharing_by_class,
    similarities_work,
    similarity_of,
)
from ms_coreset.selectors.submodular.pools import maximize_pools
from ms_coreset.selectors.submodular.set_functions import LogDeterminant, SetFunction
from ms_coreset.selectors.submodular.targeted import (
    SOURCE,
    TAKES,
    Conditioned,
    Difference,
    Modular,
    Places,
    QueryFacilityLocation,
    TargetedFacilityLocation,
    TargetedGraphCut,
    joined,
    nearest_of,
    sums_over,
)

Over = Annotated[str, OneOf(("all", "like"))]
Function = Callable[[AnySimilarity, Places, int], SetFunction]


def _facility_location_work(size: Size, options: dict[str, Any]) -> Work:
    return similarities_work(size, options, kernel_bytes(size, options) + size.doubles_of(size.pool), size.pools)


def _graph_cut_work(size: Size, options: dict[str, Any]) -> Work:
    return Work(kernel_bytes(size, options), 8 * size.n * size.d * size.columns)


def _log_determinant_work(size: Size, options: dict[str, Any]) -> Work:
    return Work(kernel_bytes(size, options) + 8 * size.pool * size.k, size.factorization)


@method("targeted_facility_location", needs=needs_of_kernel, takes=TAKES, cost="n^2 (d + C), and n per gain",
        work=_facility_location_work, aliases=("FLVMI", "FLCG", "FLCMI"), nested=is_nested, parallel=sharing_by_class,
        labels=goes_by_gradients, label_columns=goes_by_gradients, source=SOURCE)
def targeted_facility_location(evidence: Evidence, request: Request, eta: Positive = 1.0, nu: Positive = 1.0,
                               over: Over = "all", kernel: Kernel = "features", greedy: Greedy = "lazy",
                               epsilon: Epsilon = 0.1, beta: Beta = 0.9, gamma: Positive | None = None,
                               already_selected: Selected = ()) -> Selection:
    """Samples that stand for all, as far as these are like a query set Q and unlike a private set P.

    With V all samples, high_i = eta max_{j in Q} s_ij (infinite without Q) and low_i = nu max_{j in P} s_ij (0 without
    P), it maximizes greedily

        f(S) = sum_{i in V} max(min(max_{j in S} s_ij, high_i) - low_i, 0).

    With Q alone it is the mutual information I(S; Q) of facility location (FLVMI), with P alone the conditional gain
    f(S | P) (FLCG), with both I(S; Q | P) (FLCMI), with neither ``facility_location``. Over the query set it is

        f(S) = sum_{i in Q} max_{j in S} s_ij + eta sum_{j in S} max_{i in Q} s_ij (FLQMI).

    All are monotone and submodular: "naive" and "lazy" reach at least 1 - 1/e of the maximum. Q and P are no samples
    that can be picked. Balanced, both are the same for every class.

    Args:
        evidence: with ``features`` (with the kernel "gradient" also labels and ``logits``); ``like`` and ``unlike`` are
            used if given.
        request: rate, balance, seed and memory, see ``quota.Request``.
        eta: how much of the likeness to Q counts, above 0; over the query set, its weight beside what Q is covered.
        nu: how strictly to stay away from P, above 0.
        over: "all", or "like": the sum over Q, which takes n q numbers in place of n x n, and knows no P.
        kernel: see ``facility_location``.
        greedy: see ``facility_location``.
        epsilon: see ``facility_location``.
        beta: see ``facility_location``.
        gamma: see ``facility_location``.
        already_selected: see ``facility_location``.

    Returns:
        The picks, a ``Selection``, with their gains.

    Raises:
        MsCoresetError: as ``facility_location``; for features of Q and P with another number of columns; and for a
            sum over a query set where none is given, or a private set is.
    """
    if over == "like" and (evidence.like is None or evidence.unlike is not None):
        raise MsCoresetError("targeted_facility_location: over like is of Evidence(like=...) alone, without unlike")

    def function(similarity: AnySimilarity, places: Places, k: int) -> SetFunction:
        if over == "like":
            return QueryFacilityLocation(similarity.rows(np.arange(places.n), places.like), eta)
        nearest, private = (nearest_of(similarity, places.n, part) for part in (places.like, places.unlike))
        return TargetedFacilityLocation(similarity, np.zeros(places.n) if private is None else nu * private,
                                        np.full(places.n, np.inf) if nearest is None else eta * nearest)

    return _select(evidence, request, kernel, optimizer(greedy, epsilon, beta, request.seed), function, gamma,
                   already_selected, hold=over == "all")


@method("targeted_graph_cut", needs=needs_of_kernel, takes=TAKES, cost="n C d, and C d per gain",
        work=_graph_cut_work, aliases=("GCMI", "GCCG"), nested=is_nested, parallel=sharing_by_class,
        labels=goes_by_gradients, label_columns=goes_by_gradients, source=SOURCE)
def targeted_graph_cut(evidence: Evidence, request: Request, lam: NotNegative = 1.0, nu: Positive = 1.0,
                       kernel: Kernel = "features", greedy: Greedy = "lazy", epsilon: Epsilon = 0.1,
                       beta: Beta = 0.9, gamma: Positive | None = None, already_selected: Selected = ()) -> Selection:
    """Samples similar to a query set Q, or similar to all and unlike one another and a private set P.

    With Q it maximizes the mutual information of ``graph_cut``, I(S; Q) = 2 sum_{i in Q, j in S} s_ij (GCMI): the
    samples most similar to Q in sum, which no other set exceeds. Where P is given, too, I(S; Q | P) is the same, for in
    graph cut P cancels. With P alone it maximizes the conditional gain greedily (GCCG),

        f(S | P) = lam sum_{i in V, j in S} s_ij - sum_{i, j in S} s_ij - 2 nu sum_{i in P, j in S} s_ij,

    with neither that of ``graph_cut``, which has no P. It is submodular, and not monotone but for a large lam.

    Args:
        evidence: with ``features`` (with the kernel "gradient" also labels and ``logits``); ``like`` and ``unlike`` are
            used if given.
        request: rate, balance, seed and memory, see ``quota.Request``.
        lam: of the conditional gain, see ``graph_cut``.
        nu: how strictly to stay away from P, above 0; 1 is the conditional gain itself.
        kernel: see ``facility_location``.
        greedy: see ``facility_location``.
        epsilon: see ``facility_location``.
        beta: see ``facility_location``.
        gamma: see ``facility_location``.
        already_selected: see ``facility_location``.

    Returns:
        The picks, a ``Selection``, with their gains.

    Raises:
        MsCoresetError: as ``facility_location``, and for features of Q and P with another number of columns.
    """
    def function(similarity: AnySimilarity, places: Places, k: int) -> SetFunction:
        if evidence.like is not None:
            return Modular(2 * sums_over(similarity, places.n, np.arange(places.like.start, places.like.stop)))
        return TargetedGraphCut(similarity, places, lam, nu)

    return _select(evidence, request, kernel, optimizer(greedy, epsilon, beta, request.seed), function, gamma,
                   already_selected)


@method("targeted_log_determinant", needs=needs_of_kernel, takes=TAKES, cost="n (d + C) k + n k^2",
        work=_log_determinant_work, aliases=("LogDetMI", "LogDetCG", "LogDetCMI"), 
        nested=lambda options: not len(options["already_selected"]), parallel=sharing_by_class,
        labels=goes_by_gradients, label_columns=goes_by_gradients, source=SOURCE)
def targeted_log_determinant(evidence: Evidence, request: Request, jitter: Positive = 1e-6, eta: Beta = 1.0,
                             nu: Beta = 1.0, kernel: Kernel = "features", gamma: Positive | None = None,
                             already_selected: Selected = ()) -> Selection:
    """Diverse samples that explain a query set Q, or are not explained by a private set P.

    With K = s + jitter I of all samples, Q and P, and K_{S|C} = K_SS - K_SC K_CC^-1 K_CS, it maximizes greedily

        I(S; Q) = log det K_SS - log det K_{S|Q} with Q alone (LogDetMI),
        f(S | P) = log det K_{S|P} with P alone (LogDetCG),
        I(S; Q | P) = log det K_{S|P} - log det K_{S|P,Q} with both (LogDetCMI),

    with neither log det K_SS, as ``log_determinant``. K_SQ counts eta times, K_SP nu times and K_PQ eta nu times. The
    conditional gain is submodular; the mutual informations are not, so that for them all gains are computed at every
    pick. No promise of a share of the maximum comes with either.

    Args:
        evidence: with ``features`` (with the kernel "gradient" also labels and ``logits``); ``like`` and ``unlike`` are
            used if given.
        request: rate, balance, seed and memory, see ``quota.Request``.
        jitter: added to the diagonal, above 0.
        eta: weight of the likeness to Q, above 0 and at most 1: K has to stay positive definite.
        nu: weight of the likeness to P, as eta.
        kernel: see ``facility_location``.
        gamma: see ``facility_location``.
        already_selected: see ``facility_location``.

    Returns:
        The picks, a ``Selection``, with their gains.

    Raises:
        MsCoresetError: as ``facility_location``, and for features of Q and P with another number of columns.
    """
    def function(similarity: AnySimilarity, places: Places, k: int) -> SetFunction:
        like, unlike = (np.arange(part.start, part.stop) for part in (places.like, places.unlike))

        def beyond(*sides: tuple[np.ndarray, float]) -> LogDeterminant:
            return LogDeterminant(Conditioned(similarity, sides, places.n, jitter), k, jitter)

        if not len(like):
            return beyond((unlike, nu)) if len(unlike) else LogDeterminant(similarity, k, jitter)
        return Difference(beyond((unlike, nu)), beyond((unlike, nu), (like, eta)))

    return _select(evidence, request, kernel, lazy, function, gamma, already_selected)


def _select(evidence: Evidence, request: Request, kernel: str | kernels.Kernel, maximize: Maximizer,
            function: Function, gamma: float | None, already_selected: Selected, hold: bool = False) -> Selection:
    """Maximize ``function(similarity of all elements, where they lie, k)`` over all samples, or within each class."""
    if kernel == PRECOMPUTED and (evidence.like, evidence.unlike) != (None, None):
        raise MsCoresetError("kernel precomputed: Evidence(similarity=...) says nothing of the samples to be like or "
                             "unlike; name a kernel of features")
    if kernel == PRECOMPUTED:
        require_not_negative(evidence.similarity, "this set function")
    fields = ("labels", *needs_of_kernel({"kernel": kernel})) if kernel == "gradient" else needs_of_kernel(
        {"kernel": kernel})

    def pool(rows: np.ndarray, share: float) -> Callable[[int], SetFunction]:
        whole, places = joined(evidence, rows, fields)
        similarity = similarity_of(whole, np.arange(len(whole)), kernel, gamma)
        similarity = as_matrix(similarity, request) if hold else similarity
        return lambda k: function(similarity, places, k)

    return maximize_pools(evidence, request, maximize, pool, already_selected)
