"""Common parts of the methods that maximize a set function of a similarity kernel."""

import math
from collections.abc import Callable, Sequence
from typing import Annotated, Any

import numpy as np

from ms_coreset.evidence import EXTRACTED, Evidence, require_field
from ms_coreset.evidence_checks import require_not_negative
from ms_coreset.rows import take
from ms_coreset.selectors.already_selected import Places
from ms_coreset.selectors.catalogue import PRECOMPUTED
from ms_coreset.selectors.estimate import Size, Work
from ms_coreset.selectors.last_layer_gradients import LastLayerGradients
from ms_coreset.selectors.memory import BLOCKS, BOUND, as_text, matrix_bytes
from ms_coreset.selectors.option_values import Number, OneOf, OrFunction
from ms_coreset.selectors.quota import Request
from ms_coreset.selectors.selection import Selection
from ms_coreset.selectors.submodular import kernels, live_pairs
from ms_coreset.selectors.submodular.greedy import BIDIRECTIONAL, DRAWING, NAMES, Maximizer
from ms_coreset.selectors.submodular.pools import maximize_pools
from ms_coreset.selectors.submodular.set_functions import (
    SetFunction,
)
from ms_coreset.selectors.submodular.similarity import Cosine, Dense, as_matrices, held, rows_kept

ROWS = 16 << 20  # bytes of rows that are computed whenever they are needed
LIVE = 0.01  # share of the pairs that still count when they are collected, as was seen
DEEPCORE = "Guo et al., DeepCore, DEXA 2022"
_OF_VECTORS = {"cosine": kernels.squared_cosine, "correlation": kernels.squared_correlation,
               "euclidean": kernels.euclidean}
KERNELS = ("gradient", "features", *_OF_VECTORS, "rbf", "dot", PRECOMPUTED)

Kernel = Annotated[str | kernels.Kernel, OrFunction(OneOf(KERNELS))]
AnySimilarity = Cosine | kernels.OfProducts | kernels.OfFunction | kernels.Given | Dense
Greedy = Annotated[str, OneOf(NAMES)]
AnyGreedy = Annotated[str, OneOf((*NAMES, BIDIRECTIONAL))]  # of functions that elements can leave
Epsilon = Annotated[float, Number(lambda value: 0 < value < 1, "above 0 and below 1")]
Beta = Annotated[float, Number(lambda value: 0 < value <= 1, "above 0 and at most 1")]


def needs_of_kernel(options: dict[str, Any]) -> tuple[str, ...]:
    """Fields of ``Evidence`` that the kernel of these options needs."""
    return {"gradient": EXTRACTED, PRECOMPUTED: ("similarity",)}.get(options["kernel"], ("features",))


def goes_by_gradients(options: dict[str, Any]) -> bool:
    """Whether the kernel of these options is that of gradients."""
    return options["kernel"] == "gradient"


def is_nested(options: dict[str, Any]) -> bool:
    """Whether picks at a rate are the first picks at any higher rate."""
    return options["greedy"] not in DRAWING and not len(options.get("already_selected", ()))


def sharing_of(options: dict[str, Any]) -> str:
    """How several ranks share the method, see ``catalogue.Entry``."""
    # Draws continue from class to class, and places already selected are those of all samples.
    return "" if options["greedy"] in DRAWING or len(options.get("already_selected", ())) else "rounds"


def sharing_by_class(options: dict[str, Any]) -> str:
    """The same of a method that several ranks share by classes only."""
    return "classes" if sharing_of({"greedy": "lazy", **options}) else ""


def kernel_bytes(size: Size, options: dict[str, Any]) -> int:
    """Bytes of a similarity that is no matrix: vectors of its own in float64, where it has such."""
    m, kernel = size.pool, options["kernel"]
    if kernel == PRECOMPUTED:
        return BOUND * m
    if callable(kernel):
        return size.features_of(m) + BOUND * m
    if kernel != "gradient":
        return size.features_of(m) + 8 * m * size.d + BOUND * m
    return size.features_of(m) + 8 * m * (size.d + 2 * size.columns) + BOUND * m


def work_by_picks(size: Size, options: dict[str, Any]) -> Work:
    """``Work`` of a method that computes a row of the similarities for every pick."""
    width, ahead = size.d + size.columns, 8 * size.pool * (rows_kept(size.pool) + 2)
    return Work(kernel_bytes(size, options) + ahead, size.over_pools(lambda m, k: 2 * m * k * width))


def similarities_work(size: Size, options: dict[str, Any], base: int, groups: Sequence[tuple[int, int]]) -> Work:
    """``Work`` of facility location in groups (samples, how many such groups), one at a time if balanced."""
    width, pairs = size.d + size.columns, sum(times * m**2 for m, times in groups)
    if options.get("kernel") == PRECOMPUTED:
        return Work(base + ROWS + LIVE * live_pairs.BYTES * size.pool**2, pairs)
    columns = size.columns if options.get("kernel", "gradient") == "gradient" else 1
    together = ((size.pool, 1),) if size.balance else groups
    matrices = 8 * sum(times * m**2 for m, times in together)
    if sum(times * matrix_bytes(m, size.d, columns) for m, times in together) + BLOCKS <= size.memory:
        return Work(base + matrices, pairs * width)
    # As was seen: so many rows for each sample until those that still count are collected.
    note = (f"the similarities, {as_text(matrices)}, do not fit: their rows are computed whenever they are needed "
            "(greedy \"stochastic\" needs fewer, balance smaller ones)")
    evaluations = {"naive": min(size.k, 10), "stochastic": min(-math.log(options["epsilon"]), 1)}.get(
        options["greedy"], 2.5)
    return Work(base + ROWS, 2 * pairs * width * evaluations, note)


def similarity_of(evidence: Evidence, rows: np.ndarray, kernel: str | kernels.Kernel, gamma: float | None = None,
                  signed: bool = False) -> AnySimilarity:
    """The similarities of the samples ``rows`` by a kernel; see ``facility_location``. Below 0 only if ``signed``."""
    if kernel == "gradient":
        return Cosine.of_gradients(gradients_of(evidence, rows))
    if kernel == PRECOMPUTED:
        return kernels.given(evidence.similarity, rows)
    features = require_field(evidence.features)
    if callable(kernel):
        return kernels.OfFunction(kernel, np.asarray(take(features, rows)), signed)
    if kernel == "features":
        return Cosine.of_features(take(features, rows))
    vectors = np.array(take(features, rows), np.float64)
    if kernel == "rbf":
        return kernels.rbf(vectors, gamma or 1 / vectors.shape[1])
    return kernels.dot(vectors, signed) if kernel == "dot" else _OF_VECTORS[kernel](vectors)


def select_by_kernel(evidence: Evidence, request: Request, kernel: str | kernels.Kernel, maximize: Maximizer,
                     function: Callable[..., SetFunction], hold: bool = False, *,
                     gamma: float | None = None, already_selected: Places = (), signed: bool = False) -> Selection:
    """Maximize a set function of the kernel over all samples, or within each class.

    Args:
        evidence: what is known of the samples.
        request: rate, balance, seed and memory, see ``quota.Request``.
        kernel: see ``facility_location``.
        maximize: one of the maximizers of ``greedy``.
        function: (similarity, k, share) -> the set function; ``share`` is the part of the samples that f covers, below
            1 in GreeDi only.
        hold: whether the similarities are stored as a matrix if it fits.
        gamma: see ``facility_location``.
        already_selected: see ``facility_location``.
        signed: whether similarities may be below 0.

    Returns:
        A ``Selection``: the places already selected, then the picks, with gains where one process chooses.

    Raises:
        MsCoresetError: for similarities below 0, unless ``signed``, and places that can't be selected already.
    """
    if kernel == PRECOMPUTED and not signed:
        require_not_negative(evidence.similarity, "this set function")

    def pool(rows: np.ndarray, share: float) -> Callable[[int], SetFunction]:
        similarity = similarity_of(evidence, rows, kernel, gamma, signed)
        if not hold or isinstance(similarity, Dense | kernels.Given):
            return lambda k: function(similarity, k, share)
        kept = held(similarity, request.memory_bytes)
        return lambda k: function(kept, k, share)

    return maximize_pools(evidence, request, maximize, pool, already_selected, rounds=True)


def as_matrix(similarity: AnySimilarity, request: Request) -> AnySimilarity:
    """The similarities as a matrix, if that fits in the memory of the call."""
    if isinstance(similarity, Dense | kernels.Given):
        return similarity
    return as_matrices([similarity], request.memory_bytes)[0]


def gradients_of(evidence: Evidence, rows: np.ndarray) -> LastLayerGradients:
    """The last-layer gradients of the samples ``rows``."""
    return LastLayerGradients.of(evidence.part(rows, EXTRACTED))
