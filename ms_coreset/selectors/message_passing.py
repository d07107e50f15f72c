"""Messages between neighbors: a score is passed on, and taken back around every pick."""

from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np

from ms_coreset.distributed import current
from ms_coreset.errors import warn
from ms_coreset.evidence import Evidence, require_field
from ms_coreset.selectors import rules
from ms_coreset.selectors.catalogue import rule
from ms_coreset.selectors.drawing import (
    ScoreName,
    Share,
    cutoff_needs_labels,
    hardness_for_cutoff,
    needs_of_cutoff,
    pick_scored,
    where_known,
)
from ms_coreset.selectors.estimate import Size, Work
from ms_coreset.selectors.neighbors import nearest_among
from ms_coreset.selectors.option_values import AUTO, Count, NotNegative, OneOf, Probes
from ms_coreset.selectors.quota import Request
from ms_coreset.selectors.searches import Neighbors
from ms_coreset.selectors.selection import Selection

SOURCE = "Maharana, Yadav & Bansal, D2 Pruning: Message Passing for Balancing Diversity & Difficulty, ICLR 2024"
FLOOR = 1e-7  # of a score that is passed on, as in the authors' code
_EDGE_BYTES = 48  # of a pair of neighbors, listed from both ends: two places, a distance, and their sorting

Density = Annotated[str, OneOf(("sum", "product"))]
Discount = Annotated[str, OneOf(("weighted", "absolute"))]
Scale = Annotated[str, OneOf(("none", "median"))]


def work(size: Size, options: dict[str, Any]) -> Work:
    """The features around their mean, as float32 where all are searched, else those searched as float64; the graph."""
    everyone = not (size.balance or options["mis_ratio"] or options["probes"])
    edges = 2 * size.pool * min(options["neighbors"], size.pool)
    loops = size.over_pools(lambda m, k: 2 * m**2 * size.d + 4 * m * k)
    return Work((4 if everyone else 16) * size.pool * size.d + _EDGE_BYTES * edges, loops)


def needs_of(options: dict[str, Any]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(("features", *needs_of_cutoff(options))))


def is_nested(options: dict[str, Any]) -> bool:
    """Whether the cut-off, if there is one, is the same at any rate."""
    return options["mis_ratio"] != AUTO


@rule("d2", needs=needs_of, labels=cutoff_needs_labels, cost="n^2 d + n k", source=SOURCE, work=work, nested=is_nested)
def messages(values: np.ndarray, evidence: Evidence, request: Request, neighbors: Count = 5, gamma: NotNegative = 0.1,
             density: Density = "sum", discount: Discount = "weighted", symmetric: bool = True, scale: Scale = "none",
             mis_ratio: Share = 0.0, cutoff_score: ScoreName = "accumulated_margin", probes: Probes = 0) -> Selection:
    """The highest density of the score one after the other, each lowering its neighbors'; see the method ``d2``.

    Args:
        values: (n,) float64, the score of each sample; high = keep, NaN where it has none.
        evidence: with ``features``.
        request: rate, balance, seed and memory, see ``quota.Request``.
        neighbors: see the method ``d2``.
        gamma: see the method ``d2``.
        density: see the method ``d2``.
        discount: see the method ``d2``.
        symmetric: see the method ``d2``.
        scale: see the method ``d2``.
        mis_ratio: see the rule ``window``.
        cutoff_score: see the rule ``window``.
        probes: see the method ``d2``.

    Returns:
        The picks, a ``Selection``.
    """
    hardness, share = hardness_for_cutoff(values, evidence, request, mis_ratio, cutoff_score)
    features, amounts = require_field(evidence.features), _from_zero_up(values)

    def pick(rows: np.ndarray, k: int) -> np.ndarray:
        rows = rows[rules.after_cutoff(hardness[rows], k, share)] if share else rows
        graph = _Graph.of(_nearest(features, rows, neighbors, probes, request.seed), symmetric, scale)
        start = graph.densities(amounts[rows], density)
        return rows[graph.picks(start, k, np.exp(-gamma * graph.apart) if discount == "weighted" else None)]

    picked = pick_scored(where_known(values, hardness), evidence, request, pick)  # all ranks: they share the neighbors
    return Selection(current().from_first(lambda: {"indices": picked})["indices"])


def _from_zero_up(values: np.ndarray) -> np.ndarray:
    """The values (n,), less the lowest where that is below 0."""
    values = rules.within_reach(values)
    return values - min(0.0, np.fmin.reduce(values))


@dataclass(frozen=True)
class _Graph:
    """Which of m samples are joined: e directed edges, those of a sample together.

    Attributes:
        first: (m + 1,), where the edges of each sample begin.
        others: (e,), the place that an edge leads to.
        apart: (e,) float64, the distance.
    """

    first: np.ndarray
    others: np.ndarray
    apart: np.ndarray

    @classmethod
    def of(cls, nearest: Neighbors, symmetric: bool, scale: str) -> "_Graph":
        """The graph of samples whose nearest ones are known, and numbered as they are."""
        m, count = nearest.places.shape
        ends, others, apart = np.repeat(np.arange(m), count), nearest.places.ravel(), nearest.distances.ravel()
        if scale == "median" and len(apart):
            apart = apart / (np.median(apart) or 1)
        if symmetric:
            edges = np.concatenate([ends * m + others, others * m + ends])
            edges, place = np.unique(edges, return_index=True)
            (ends, others), apart = np.divmod(edges, m), np.concatenate([apart, apart])[place]
        if len(apart) and not np.exp(-apart).any():
            warn(f"d2: features are at least {apart.min():.3g} apart, which no message outlives (e^-d is 0): the "
                 "highest scores are kept; take scale=\"median\"")
        return cls(np.concatenate([[0], np.cumsum(np.bincount(ends, minlength=m))]), others, apart)

    def densities(self, amounts: np.ndarray, density: str) -> np.ndarray:
        """The densities (m,) of a score (m,) in the beginning."""
        ends = np.repeat(np.arange(len(amounts)), np.diff(self.first))
        heard = np.bincount(ends, np.exp(-self.apart) * np.maximum(amounts, FLOOR)[self.others], len(amounts))
        return amounts + heard if density == "sum" else amounts * heard

    def picks(self, densities: np.ndarray, k: int, weights: np.ndarray | None) -> list[int]:
        """The place of the highest density left, k times; ``weights`` (e,) of what an edge takes back, None: all."""
        left, size, picks = densities.copy(), np.abs(densities).max(), []
        for _ in range(k):
            pick = rules.first_best(left, size)
            picks.append(pick)
            edges = slice(self.first[pick], self.first[pick + 1])
            left[self.others[edges]] -= left[pick] * (1 if weights is None else weights[edges])
            left[picks] = -np.inf
        return picks


def _nearest(features: np.ndarray, rows: np.ndarray, count: int, probes: int, seed: int) -> Neighbors:
    """The nearest others to each of the ``rows`` (m,), as places among these; the ranks share the queries."""
    ranks, count = current(), min(count, len(rows) - 1)
    if not count:
        return Neighbors(np.empty((len(rows), 0), np.int64), np.empty((len(rows), 0)))
    found = nearest_among(features, rows[ranks.part(len(rows))], rows, k=count, probes=probes, seed=seed)
    return Neighbors(ranks.join(np.searchsorted(rows, found.places)), ranks.join(found.distances))
