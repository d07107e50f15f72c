"""Prototypes as a method: the samples far from the center of their cluster, or near it."""

from typing import Annotated

import numpy as np

from ms_coreset.evidence import Evidence
from ms_coreset.selectors.catalogue import method
from ms_coreset.selectors.class_quotas import water_filling, whole_numbers
from ms_coreset.selectors.feature_groups import CLUSTERS, Groups, Seed, sharing_of_groups
from ms_coreset.selectors.option_values import Count, Metric, OneOf
from ms_coreset.selectors.quota import Request, classes, pick_by_group
from ms_coreset.selectors.rules import top
from ms_coreset.selectors.scores.prototype import FACTS, distances_from_centers, prototype_groups
from ms_coreset.selectors.selection import Selection

SIGNS = {"hard": 1, "easy": -1}
Keep = Annotated[str, OneOf(SIGNS)]


@method("prototype", **FACTS, nested=lambda options: not options["per_group"], parallel=sharing_of_groups,
        aliases=("prototypes",))
def prototype(evidence: Evidence, request: Request, keep: Keep = "hard", clusters: Count | None = None,
              metric: Metric = "cosine", groups: Groups = CLUSTERS, per_group: bool = False,
              cluster_seed: Seed = 0) -> Selection:
    """Samples far from the center of their cluster, or near it: the score ``prototype``.

    Args:
        evidence: what is known of the samples.
        request: rate, balance, seed and memory, see ``quota.Request``.
        keep: "hard", the farthest, for plenty of samples, or "easy", the nearest, for few.
        clusters: see the score ``prototype``.
        metric: see the score ``prototype``.
        groups: see the score ``prototype``.
        per_group: whether each group gives a share of the budget in proportion to its size, rounded by the largest
            remainders (of equal ones, the group that begins first), and at least one if the budget allows as many;
            otherwise all compete.
        cluster_seed: see the score ``prototype``.

    Returns:
        The picks, a ``Selection``.
    """
    numbers = prototype_groups(evidence, clusters, metric, groups, cluster_seed)
    values = distances_from_centers(evidence, numbers, metric)

    def pick(rows: np.ndarray, k: int) -> np.ndarray:
        members = [rows[places] for places in classes(numbers[rows])] if per_group else [rows]
        budgets = shares_of_groups([len(places) for places in members], k)
        return np.concatenate([places[top(SIGNS[keep] * values[places], share)]
                               for places, share in zip(members, budgets, strict=True)])

    return Selection(pick_by_group(evidence.groups, request, pick), scores=values)


def shares_of_groups(sizes: list[int], k: int) -> np.ndarray:
    """How many of each of some groups, in proportion to their sizes, at least one if k allows; k in all."""
    given = np.array(sizes)
    lowest = np.full(len(given), int(k >= len(given)))
    return whole_numbers(water_filling(given, given, k, lowest), given)
