"""Facility location: every sample has a similar one among the picks."""

from typing import Any

from ms_coreset.errors import MsCoresetError
from ms_coreset.evidence import Evidence
from ms_coreset.selectors.catalogue import method
from ms_coreset.selectors.estimate import Size, Work
from ms_coreset.selectors.memory import BOUND
from ms_coreset.selectors.neighbors import pairs_sought
from ms_coreset.selectors.option_values import Count, Probes
from ms_coreset.selectors.quota import Request
from ms_coreset.selectors.selection import Selection
from ms_coreset.selectors.submodular import live_pairs
from ms_coreset.selectors.submodular.greedy import optimizer
from ms_coreset.selectors.submodular.kernel_methods import (
    DEEPCORE,
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
from ms_coreset.selectors.submodular.set_functions import (
    FacilityLocation,
    NeighborFacilityLocation,
)
from ms_coreset.selectors.submodular.similarity import CosineOfFeatures, Similarity


def _facility_location_work(size: Size, options: dict[str, Any]) -> Work:
    m = size.pool
    base = size.features_of(m) + BOUND * m if options["probes"] else kernel_bytes(size, options)
    if options["neighbors"] is None:
        return similarities_work(size, options, base, size.pools)
    pairs = size.over_pools(lambda m, k: pairs_sought(m, options["probes"]))
    return Work(base + live_pairs.BYTES * m * min(options["neighbors"], m), 2 * pairs * (size.d + size.columns))


@method("facility_location", needs=needs_of_kernel, cost="n^2 (d + C), and n per gain", work=_facility_location_work,
        aliases=("FacilityLocation",), nested=is_nested, parallel=sharing_of, labels=goes_by_gradients,
        label_columns=goes_by_gradients,
        source=f"Nemhauser, Wolsey & Fisher, Mathematical Programming 1978; Minoux 1978; {DEEPCORE}")
def facility_location(evidence: Evidence, request: Request, kernel: Kernel = "gradient", greedy: Greedy = "lazy",
                      epsilon: Epsilon = 0.1, beta: Beta = 0.9, neighbors: Count | None = None,
                      probes: Probes = 0) -> Selection:
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
        kernel: "gradient", s_ij = 0.5 + 0.5 cos(G_i, G_j) of the last layer's gradients, or "features", the same of
            features; in [0, 1]. A zero vector has cosine 0 with all others.
        greedy: "lazy" and "naive" give the same picks; "approximate_lazy" takes the first gain that is at least
            ``beta`` of its bound; "stochastic" takes the best of -ln(``epsilon``) n / k candidates that are drawn for
            each pick.
        epsilon: of "stochastic", in (0, 1).
        beta: of "approximate_lazy", in (0, 1].
        neighbors: count for each sample only its similarities to this many most similar samples, itself included; all
            others are 0. This takes n ``neighbors`` numbers instead of n x n, and is another objective. At least 1;
            None, or more than there are samples: all. Of similarities that are equal to 12 decimal places the lowest
            index counts.
        probes: with ``neighbors`` and the kernel "features": 0: the most similar are exact; otherwise they are sought
            in this many cells (``neighbors.nearest_among``), for many samples.

    Returns:
        The picks, a ``Selection``.

    Raises:
        MsCoresetError: for an option out of range, and, with the kernel "gradient", for labels that are not columns of
            the logits.
    """
    if probes and (neighbors is None or kernel != "features"):
        raise MsCoresetError(f"facility_location: probes {probes} goes with neighbors and with kernel features")

    def function(similarity: Similarity, k: int, share: float) -> FacilityLocation | NeighborFacilityLocation:
        if neighbors is None:
            return FacilityLocation(similarity, request.memory_bytes)
        count = min(neighbors, len(similarity))
        if probes and isinstance(similarity, CosineOfFeatures):
            return NeighborFacilityLocation.of_pairs(*similarity.most_similar(count, probes, request.seed))
        return NeighborFacilityLocation.of(similarity, count)

    return select_by_kernel(evidence, request, kernel, optimizer(greedy, epsilon, beta, request.seed), function,
                            hold=neighbors is None)
