"""Facility location: every sample has a similar one among the picks."""

from typing import Any

from ms_coreset.errors import MsCoresetError
from ms_coreset.evidence import Evidence
from ms_coreset.selectors.already_selected import Places
from ms_coreset.selectors.catalogue import method
from ms_coreset.selectors.estimate import Size, Work
from ms_coreset.selectors.memory import BOUND
from ms_coreset.selectors.neighbors import pairs_sought
from ms_coreset.selectors.option_values import Count, Positive, Probes
from ms_coreset.selectors.quota import Request
from ms_coreset.selectors.selection import Selection
from ms_coreset.selectors.submodular import live_pairs
from ms_coreset.selectors.submodular.greedy import optimizer
from ms_coreset.selectors.submodular.kernel_methods import (
    DEEPCORE,
    AnySimilarity,
    Beta,
    Epsilon,
    Greedy,
    Kernel,
    goes_by_gradients,
    is_nested,
    kernel_bytes,
    needs_of_kernel,
    select_by_kernel,
    sharing_of,
    similarities_work,
)
from ms_coreset.selectors.submodular.kernels import Given
from ms_coreset.selectors.submodular.set_functions import (
    FacilityLocation,
    NeighborFacilityLocation,
)
from ms_coreset.selectors.submodular.similarity import CosineOfFeatures, Held


def _facility_location_work(size: Size, options: dict[str, Any]) -> Work:
    m = size.pool
    base = size.features_of(m) + BOUND * m if options["probes"] else kernel_bytes(size, options)
    if options["neighbors"] is None:
        return similarities_work(size, options, base, size.pools)
    pairs = size.over_pools(lambda m, k: pairs_sought(m, options["probes"]))
    return Work(base + live_pairs.BYTES * m * min(options["neighbors"], m), 2 * pairs * (size.d + size.columns))


@method("facility_location", needs=needs_of_kernel, takes=("cost",), cost="n^2 (d + C), and n per gain",
        work=_facility_location_work, aliases=("FacilityLocation",), nested=is_nested, parallel=sharing_of,
        labels=goes_by_gradients, label_columns=goes_by_gradients,
        source=f"Nemhauser, Wolsey & Fisher, Mathematical Programming 1978; Minoux 1978; {DEEPCORE}")
def facility_location(evidence: Evidence, request: Request, kernel: Kernel = "gradient", greedy: Greedy = "lazy",
                      epsilon: Epsilon = 0.1, beta: Beta = 0.9, neighbors: Count | None = None,
                      probes: Probes = 0, gamma: Positive | None = None, already_selected: Places = ()) -> Selection:
    """Samples such that every sample is similar to one of them.

    It maximizes f(S) = sum_i max_{j in S} s_ij, f({}) = 0, greedily; "naive" and "lazy" reach at least 1 - 1/e of the
    maximum.

    The n x n similarities are held where they fit in the memory of the call, for the first few picks; from there on
    only those that can still count, a fiftieth of them or less. Where they do not fit, their rows are computed whenever
    they are needed, with the same picks, in about three times the time. Faster then: balance=True, which needs n_c x
    n_c for one class at a time, ``neighbors``, which computes every row once, or greedy="stochastic".

    Departures from DeepCore: the coreset keeps the order of the picks; ties go to the lowest place; zero gradients, for
    which DeepCore's lazy greedy never ends, are allowed.

    Args:
        evidence: with labels, ``features``, and for the kernel "gradient" ``logits``.
        request: rate, balance, seed and memory, see ``quota.Request``.
        kernel: how similar two samples are. "gradient": s_ij = 0.5 + 0.5 cos(G_i, G_j) of the last layer's gradients,
            in [0, 1]; a zero vector has cosine 0 with all others. Or of features x: "features": 0.5 + 0.5 cos(x_i,
            x_j); "cosine": cos(x_i, x_j)^2, and "correlation": the square of Pearson's r of the numbers of x_i and x_j,
            both as in apricot and in [0, 1]; "euclidean": max_kl d_kl^2 - d_ij^2, the largest distance being that of
            the samples that compete for one budget (apricot's default); "rbf": exp(-gamma d_ij^2); "dot": <x_i, x_j>;
            or a function of rows (a, d) and (b, d) that returns (a, b). "precomputed": ``evidence.similarity``, which
            is the default where the evidence has one; of a sparse matrix only the stored pairs are looked at. No
            similarity may be below 0.
        greedy: "lazy", "naive" and "two_stage" (ten picks by the one, then by the other) give the same picks;
            "approximate_lazy" takes the first gain that is at least ``beta`` of its bound; "stochastic" takes the best
            of -ln(``epsilon``) n / k candidates that are drawn for each pick; "sample" draws the share ``beta`` of the
            candidates once (at least k) and picks as "lazy" among these; "modular" takes the k largest first gains.
        epsilon: of "stochastic", in (0, 1).
        beta: of "approximate_lazy" and "sample", in (0, 1].
        neighbors: count for each sample only its similarities to this many most similar samples, itself included; all
            others are 0. This takes n ``neighbors`` numbers instead of n x n, and is another objective. At least 1;
            None, or more than there are samples: all. Of similarities that are equal to 12 decimal places the lowest
            index counts.
        probes: with ``neighbors`` and the kernel "features": 0: the most similar are exact; otherwise they are sought
            in this many cells (``neighbors.nearest_among``), for many samples.
        gamma: of the kernel "rbf", above 0; None: 1 / d.
        already_selected: places that are in the coreset from the start, so that one is continued: the picks are the
            best beside these. The budget counts what is added; the result is these places, then the picks.

    Returns:
        The picks, a ``Selection``, with their gains.

    Raises:
        MsCoresetError: for an option out of range, for similarities below 0, for places already selected that there
            are not, and, with the kernel "gradient", for labels that are not columns of the logits.
    """
    if probes and (neighbors is None or kernel != "features"):
        raise MsCoresetError(f"facility_location: probes {probes} goes with neighbors and with kernel features")

    def function(similarity: AnySimilarity | Held, k: int, share: float) -> FacilityLocation | NeighborFacilityLocation:
        if isinstance(similarity, Given) and similarity.is_sparse and neighbors is None:
            return NeighborFacilityLocation([similarity.pairs()], len(similarity))
        if neighbors is None:
            return FacilityLocation(similarity, request.memory_bytes)
        count = min(neighbors, len(similarity))
        if probes and isinstance(similarity, CosineOfFeatures):
            return NeighborFacilityLocation.of_pairs(*similarity.most_similar(count, probes, request.seed))
        return NeighborFacilityLocation.of(similarity, count)

    return select_by_kernel(evidence, request, kernel, optimizer(greedy, epsilon, beta, request.seed), function,
                            hold=neighbors is None, gamma=gamma, already_selected=already_selected)
