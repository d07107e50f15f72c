"""Common parts of the methods that maximize a set function of a similarity kernel."""

import math
from collections.abc import Callable, Sequence
from typing import Annotated, Any

import numpy as np

from ms_coreset.distributed import current
from ms_coreset.evidence import EXTRACTED, Evidence, require_field
from ms_coreset.rows import take
from ms_coreset.selectors.estimate import Size, Work
from ms_coreset.selectors.last_layer_gradients import LastLayerGradients
from ms_coreset.selectors.memory import BLOCKS, BOUND, as_text, matrix_bytes
from ms_coreset.selectors.option_values import Number, OneOf
from ms_coreset.selectors.quota import Request, pick_by_group
from ms_coreset.selectors.selection import Selection
from ms_coreset.selectors.submodular.greedi import greedi
from ms_coreset.selectors.submodular.greedy import NAMES, Maximizer
from ms_coreset.selectors.submodular.set_functions import (
    SetFunction,
)
from ms_coreset.selectors.submodular.similarity import Cosine, held

ROWS = 16 << 20  # bytes of rows that are computed whenever they are needed
DEEPCORE = "Guo et al., DeepCore, DEXA 2022"
_SIMILARITIES = {"gradient": lambda evidence, rows: Cosine.of_gradients(gradients_of(evidence, rows)),
                 "features": lambda evidence, rows: Cosine.of_features(take(require_field(evidence.features), rows))}

Kernel = Annotated[str, OneOf(_SIMILARITIES)]
Greedy = Annotated[str, OneOf(NAMES)]
Epsilon = Annotated[float, Number(lambda value: 0 < value < 1, "above 0 and below 1")]
Beta = Annotated[float, Number(lambda value: 0 < value <= 1, "above 0 and at most 1")]
NotNegative = Annotated[float, Number(lambda value: value >= 0, "at least 0 and finite")]


def needs_of_kernel(options: dict[str, Any]) -> tuple[str, ...]:
    """Fields of ``Evidence`` that the kernel of these options needs."""
    return ("features",) if options["kernel"] == "features" else EXTRACTED


def goes_by_gradients(options: dict[str, Any]) -> bool:
    """Whether the kernel of these options is that of gradients."""
    return options["kernel"] == "gradient"


def is_nested(options: dict[str, Any]) -> bool:
    """Whether picks at a rate are the first picks at any higher rate."""
    return options["greedy"] != "stochastic"  # "stochastic" draws more candidates for smaller budgets


def sharing_of(options: dict[str, Any]) -> str:
    """How several ranks share the method, see ``catalogue.Entry``."""
    return "rounds" if options["greedy"] != "stochastic" else ""  # its draws continue from class to class


def kernel_bytes(size: Size, options: dict[str, Any]) -> int:
    """Bytes of a ``Cosine``, which stores vectors of its own in float64."""
    m = size.pool
    if options["kernel"] == "features":
        return size.features_of(m) + 8 * m * size.d + BOUND * m
    return size.features_of(m) + 8 * m * (size.d + 2 * size.columns) + BOUND * m


def similarities_work(size: Size, options: dict[str, Any], base: int, groups: Sequence[tuple[int, int]]) -> Work:
    """``Work`` of facility location in groups (samples, how many such groups), one at a time if balanced."""
    width, pairs = size.d + size.columns, sum(times * m**2 for m, times in groups)
    columns = 1 if options.get("kernel") == "features" else size.columns
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


def select_by_kernel(evidence: Evidence, request: Request, kernel: str, maximize: Maximizer,
                     function: Callable[..., SetFunction], hold: bool = False) -> Selection:
    """Maximize a set function of the kernel over all samples, or within each class.

    Args:
        evidence: what is known of the samples.
        request: rate, balance, seed and memory, see ``quota.Request``.
        kernel: "gradient" or "features", see ``facility_location``.
        maximize: one of the maximizers of ``greedy``.
        function: (similarity, k, share) -> the set function; ``share`` is the part of the samples that f covers, below
            1 in GreeDi only.
        hold: whether the similarities are stored as a matrix if it fits.

    Returns:
        The picks, a ``Selection``.
    """
    def pool(rows: np.ndarray, share: float) -> Callable[[int], SetFunction]:
        given = _SIMILARITIES[kernel](evidence, rows)
        similarity = held(given, request.memory_bytes) if hold else given
        return lambda k: function(similarity, k, share)

    def pick(rows: np.ndarray, k: int) -> np.ndarray:
        if current().size > 1 and not request.balance:
            return greedi(len(rows), k, request.seed, pool, maximize)
        return rows[maximize(pool(rows, 1.0)(k), k)]

    return Selection(pick_by_group(evidence.groups, request, pick))


def gradients_of(evidence: Evidence, rows: np.ndarray) -> LastLayerGradients:
    """The last-layer gradients of the samples ``rows``."""
    return LastLayerGradients.of(evidence.part(rows, EXTRACTED))
