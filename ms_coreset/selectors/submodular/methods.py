"""Facility location, graph cut, log determinant and CRAIG."""

import math
from collections.abc import Callable, Sequence
from typing import Annotated, Any

import numpy as np

from ms_coreset.distributed import current
from ms_coreset.evidence import EXTRACTED, Evidence, LastLayerGradients, required, take
from ms_coreset.selectors.catalogue import method
from ms_coreset.selectors.estimate import Size, Work
from ms_coreset.selectors.memory import BLOCKS, BOUND, as_text, matrix_bytes
from ms_coreset.selectors.options import Count, Number, OneOf, Positive, Variant
from ms_coreset.selectors.quota import Request, pick_by_group
from ms_coreset.selectors.rules import TIE
from ms_coreset.selectors.selection import Selection
from ms_coreset.selectors.submodular.functions import (
    ExplainedVariance,
    FacilityLocation,
    GraphCut,
    LogDeterminant,
    NeighbourFacilityLocation,
    Separate,
    SetFunction,
)
from ms_coreset.selectors.submodular.greedi import greedi
from ms_coreset.selectors.submodular.greedy import NAMES, Maximiser, optimizer
from ms_coreset.selectors.submodular.similarity import Cosine, Dense, GradientDistance, Similarity, blocks, held

ROWS = 16 << 20  # bytes of rows that are computed whenever they are needed
_DEEPCORE = "Guo et al., DeepCore, DEXA 2022"
_SIMILARITIES = {"gradient": lambda evidence, rows: Cosine.of_gradients(_gradients(evidence, rows)),
                 "features": lambda evidence, rows: Cosine.of_features(take(required(evidence.features), rows))}

Kernel = Annotated[str, OneOf(_SIMILARITIES)]
Greedy = Annotated[str, OneOf(NAMES)]
Epsilon = Annotated[float, Number(lambda value: 0 < value < 1, "above 0 and below 1")]
Beta = Annotated[float, Number(lambda value: 0 < value <= 1, "above 0 and at most 1")]
NotNegative = Annotated[float, Number(lambda value: value >= 0, "at least 0 and finite")]


def _needs(options: dict[str, Any]) -> tuple[str, ...]:
    return ("features",) if options["kernel"] == "features" else EXTRACTED


def _by_gradients(options: dict[str, Any]) -> bool:
    return options["kernel"] == "gradient"


def _nested(options: dict[str, Any]) -> bool:
    return options["greedy"] != "stochastic"  # which draws the more candidates the fewer are to be picked


def _parallel(options: dict[str, Any]) -> str:
    return "rounds" if options["greedy"] != "stochastic" else ""  # whose draws go on from class to class


def _kernel_bytes(size: Size, options: dict[str, Any]) -> int:
    """Of a cosine, which has vectors of its own in float64."""
    m = size.pool
    if options["kernel"] == "features":
        return size.features_of(m) + 8 * m * size.d + BOUND * m
    return size.features_of(m) + 8 * m * (size.d + 2 * size.columns) + BOUND * m


def _similarities_work(size: Size, options: dict[str, Any], base: int, groups: Sequence[tuple[int, int]]) -> Work:
    """Facility location within groups of samples, (samples, how many), balanced one at a time, else all together."""
    width, pairs = size.d + size.columns, sum(times * m**2 for m, times in groups)
    columns = 1 if options.get("kernel") == "features" else size.columns
    together = ((size.pool, 1),) if size.balance else groups
    matrices = 8 * sum(times * m**2 for m, times in together)
    if sum(times * matrix_bytes(m, size.d, columns) for m, times in together) + BLOCKS <= size.memory:
        return Work(base + matrices, pairs * width)
    # As was seen: about seven gains for each sample, each a row.
    note = (f"the similarities, {as_text(matrices)}, do not fit: their rows are computed whenever they are needed "
            "(greedy \"stochastic\" needs fewer, balance smaller ones)")
    evaluations = {"naive": size.k, "stochastic": -math.log(options["epsilon"])}.get(options["greedy"], 7)
    return Work(base + ROWS, 2 * pairs * width * evaluations, note)


def _facility_location_work(size: Size, options: dict[str, Any]) -> Work:
    m, base = size.pool, _kernel_bytes(size, options)
    if options["neighbors"] is None:
        return _similarities_work(size, options, base, size.pools)
    pairs = size.over_pools(lambda m, k: m**2)
    return Work(base + 32 * m * min(options["neighbors"], m), 2 * pairs * (size.d + size.columns))


@method("facility_location", needs=_needs, cost="n^2 (d + C), and n per gain", work=_facility_location_work,
        aliases=("FacilityLocation",), nested=_nested, parallel=_parallel, label_columns=_by_gradients,
        source=f"Nemhauser, Wolsey & Fisher, Mathematical Programming 1978; Minoux 1978; {_DEEPCORE}")
def facility_location(evidence: Evidence, request: Request, kernel: Kernel = "gradient", greedy: Greedy = "lazy",
                      epsilon: Epsilon = 0.1, beta: Beta = 0.9, neighbors: Count | None = None) -> Selection:
    """Samples such that every sample has a similar one among them.

    Maximises f(S) = sum_i max_{j in S} s_ij, f({}) = 0, greedily: within 1 - 1/e of the best (naive and lazy).

    kernel: "gradient", s_ij = 0.5 + 0.5 cos(G_i, G_j) of the last layer's gradients, or "features", of features; in
        [0, 1]; a zero vector has cosine 0 with all
    greedy: "lazy" and "naive" give the same picks; "approximate_lazy" takes a gain that is still ``beta`` in (0, 1] of
        its bound; "stochastic" the best of -ln(``epsilon``) n / k drawn candidates, epsilon in (0, 1)
    neighbors: only the similarities of each sample to so many that are most similar to it count, itself among them, the
        others are 0: n ``neighbors`` numbers instead of n x n, and another objective. At least 1; more than there are
        samples: all of them. Of similarities equal to 12 places the lowest index. None: all

    The n x n similarities are held where they fit in the memory of the call; else their rows are computed whenever they
    are needed, with the same picks, in O(n d) memory and many times the time: prefer balance=True, which needs
    n_c x n_c for one class at a time, ``neighbors``, which computes every row once, or greedy="stochastic".

    Raises ``MsCoresetError`` for an option out of range, and with the gradient kernel for labels that are no columns of
    logits. Departures from DeepCore: order of the picks kept; ties to the lowest place; zero gradients, on which its
    lazy greedy never ends, are allowed.
    """
    def function(similarity: Similarity, k: int, share: float) -> FacilityLocation | NeighbourFacilityLocation:
        if neighbors is None:
            return FacilityLocation(similarity)
        return NeighbourFacilityLocation(similarity, min(neighbors, len(similarity)))

    return _select(evidence, request, kernel, optimizer(greedy, epsilon, beta, request.seed), function,
                   hold=neighbors is None)


def _graph_cut_work(size: Size, options: dict[str, Any]) -> Work:
    return Work(_kernel_bytes(size, options), 8 * size.n * size.d * size.columns)


@method("graph_cut", needs=_needs, cost="n C d, and C d per gain", work=_graph_cut_work,
        aliases=("GraphCut", "Submodular"), nested=_nested, parallel=_parallel, label_columns=_by_gradients,
        source=f"Iyer & Bilmes, Submodular optimization with submodular cover constraints, NeurIPS 2013; {_DEEPCORE}")
def graph_cut(evidence: Evidence, request: Request, lam: NotNegative = 1.0, kernel: Kernel = "gradient",
              greedy: Greedy = "lazy", epsilon: Epsilon = 0.1, beta: Beta = 0.9) -> Selection:
    """Samples similar to all and unlike one another.

    Maximises lam sum_{i in V, j in S} s_ij - sum_{i, j in S} s_ij greedily by the gain
    lam sum_{i in V} s_ij - 2 sum_{i in S} s_ij. The exact gain's further - s_jj is left out, as in DeepCore: it is the
    same for all but zero vectors.

    lam: at least 0; with less than 2, gains turn negative when about lam n / 2 are picked, and the picks go on
    kernel, greedy, epsilon, beta: see ``facility_location``

    Sums of cosines are products with the sum of the vectors, so that not one row of the n x n similarities is needed:
    O(n) memory beside the normalised features. Raises ``MsCoresetError`` as ``facility_location`` does. DeepCore's
    ``Submodular`` command selects by this.
    """
    return _select(evidence, request, kernel, optimizer(greedy, epsilon, beta, request.seed),
                   lambda similarity, k, share: GraphCut(similarity, lam / share))


def _log_determinant_work(size: Size, options: dict[str, Any]) -> Work:
    return Work(_kernel_bytes(size, options) + 8 * size.pool * size.k, size.factorization)


@method("log_determinant", needs=_needs, cost="n (d + C) k + n k^2", work=_log_determinant_work,
        aliases=("LogDeterminant",), nested=_nested, parallel=_parallel, label_columns=_by_gradients,
        source=f"Chen, Zhang & Zhou, Fast Greedy MAP Inference for DPP, NeurIPS 2018, Algorithm 1; {_DEEPCORE}")
def log_determinant(evidence: Evidence, request: Request, jitter: Positive = 1e-6, kernel: Kernel = "gradient",
                    greedy: Greedy = "lazy", epsilon: Epsilon = 0.1, beta: Beta = 0.9,
                    variant: Variant = "paper") -> Selection:
    """Samples whose similarities span the largest volume: diverse ones.

    Maximises log det(s_SS + jitter I) greedily by the gain log(s_jj + jitter - s_jS (s_SS + jitter I)^-1 s_Sj).
    The first pick is a tie of all but zero vectors: the lowest place.

    jitter: above 0, added to the diagonal, without which duplicates have no determinant
    kernel, greedy, epsilon, beta: see ``facility_location``; all gains are always known, so that "naive" costs no more
    variant: "paper"; "deepcore" takes the gain s_jS pinv(s_SS) s_Sj of DeepCore's code, with the opposite sign: it
        seeks redundancy, and lazily gives the first places of each class. jitter is not used then

    Memory for k rows of n, never n x n. Raises ``MsCoresetError`` as ``facility_location`` does.
    """
    def function(similarity: Cosine | Dense, k: int, share: float) -> LogDeterminant | ExplainedVariance:
        return LogDeterminant(similarity, k, jitter) if variant == "paper" else ExplainedVariance(similarity, k)

    return _select(evidence, request, kernel, optimizer(greedy, epsilon, beta, request.seed),
                   function)


def _select(evidence: Evidence, request: Request, kernel: str, maximise: Maximiser,
            function: Callable[[Cosine | Dense, int, float], SetFunction], hold: bool = False) -> Selection:
    """Maximise ``function(similarity, k, share)`` of the kernel over all samples, or each class.

    share: what part of the samples that f is about these are, below 1 in GreeDi only
    hold: keep the similarities as a matrix where it fits
    """
    def pool(rows: np.ndarray, share: float) -> Callable[[int], SetFunction]:
        given = [_SIMILARITIES[kernel](evidence, rows)]
        similarity, = held(given, request.memory_bytes) if hold else given
        return lambda k: function(similarity, k, share)

    def pick(rows: np.ndarray, k: int) -> np.ndarray:
        if current().size > 1 and not request.balance:
            return greedi(len(rows), k, request.seed, pool, maximise)
        return rows[maximise(pool(rows, 1.0)(k), k)]

    return Selection(pick_by_group(evidence.labels, request, pick))


def _gradients(evidence: Evidence, rows: np.ndarray) -> LastLayerGradients:
    return LastLayerGradients.of(evidence.part(rows, EXTRACTED))


def _craig_work(size: Size, options: dict[str, Any]) -> Work:
    base = size.gradients_of(size.pool) + BOUND * size.pool
    if not size.balance and size.classes > 1:
        base += size.types[0].itemsize * size.pool * size.d  # the features of each class
    return _similarities_work(size, options, base, size.groups)


@method("craig", needs=EXTRACTED, label_columns=True, cost="sum of n_c^2 (d + C), and n_c per gain", work=_craig_work,
        parallel=lambda options: "classes" if options["greedy"] != "stochastic" else "",
        source="Mirzasoleiman, Bilmes & Leskovec, Coresets for Data-efficient Training, ICML 2020, Algorithm 1")
def craig(evidence: Evidence, request: Request, greedy: Greedy = "lazy", epsilon: Epsilon = 0.1, beta: Beta = 0.9,
          variant: Variant = "paper", batch_size: Count = 128) -> Selection:
    """Samples with weights, whose weighted gradients stand for those of all samples of their class.

    Facility location in each class with s_ij = max_kl d_kl - d_ij + 1e-3, d_ij = ||G_i - G_j|| of the last layer's
    gradients. The weight of a pick is how many samples of its class are most similar to it (of equally similar picks
    the lowest place), so that a class's weights sum to n_c. Unbalanced, the classes compete for one budget: f is
    the sum of the classes' f, no similarities across classes are computed, and a class without a pick has no weight.

    greedy, epsilon, beta: see ``facility_location``
    variant: "paper"; "deepcore" adds 1 to every weight and divides each gradient by the size of its batch of
        ``batch_size`` consecutive samples, of the class if balanced, else of all

    The n_c x n_c similarities, of all classes or balanced of one, are held where they fit in the memory of the call;
    else their rows are computed whenever they are needed.

    Returns weights, at least 0, of the picks. Raises ``MsCoresetError`` for an option out of range and labels that are
    no columns of logits. Departures: DeepCore's unbalanced gains count only the first batch, and it gives the samples
    of a class without a pick to the lowest pick; neither is done here in any variant.
    """
    maximise = optimizer(greedy, epsilon, beta, request.seed)
    weights = np.full(len(evidence), 1.0 if variant == "deepcore" else 0.0)

    def pick(rows: np.ndarray, k: int) -> np.ndarray:
        gradients = _gradients(evidence, rows)
        if variant == "deepcore":
            gradients = gradients.divided_by_batch(batch_size)
        labels = evidence.labels[rows]
        members = [np.flatnonzero(labels == label) for label in np.unique(labels)]
        distances = held([GradientDistance(gradients.take(places)) for places in members], request.memory_bytes)
        similarities = [block.nearness() for block in distances]
        parts = zip(members, map(FacilityLocation, similarities), strict=True)
        picks = maximise(Separate(list(parts)), k)
        for places, similarity in zip(members, similarities, strict=True):
            picked = np.flatnonzero(np.isin(places, picks))
            weights[rows[places[picked]]] += cluster_sizes(similarity, picked)
        return rows[picks]

    indices = pick_by_group(evidence.labels, request, pick)
    return Selection(indices, weights[indices])


def cluster_sizes(similarity: Similarity, picked: np.ndarray) -> np.ndarray:
    """How many elements are most similar to each of the ascending places ``picked``: (len(picked),), the first of ties.

    None picked: empty.
    """
    sizes = np.zeros(len(picked), int)
    n = len(similarity)
    for block in blocks(np.arange(n), n) if len(picked) else ():
        near = similarity.rows(block)[:, picked]
        best = near.max(axis=1, keepdims=True)
        sizes += np.bincount(np.argmax(near >= best - TIE * np.abs(best), axis=1), minlength=len(picked))
    return sizes
