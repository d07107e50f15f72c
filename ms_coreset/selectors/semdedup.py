"""SemDeDup as a method: it tells of the threshold, and of what the clusters hide."""

import numpy as np

from ms_coreset.evidence import Evidence, require_field
from ms_coreset.randomness import stream
from ms_coreset.rows import take
from ms_coreset.selectors import products
from ms_coreset.selectors.catalogue import method
from ms_coreset.selectors.drawing import top
from ms_coreset.selectors.feature_groups import CLUSTERS, Groups, Seed, whole_units
from ms_coreset.selectors.norms import unit_length
from ms_coreset.selectors.option_values import Count
from ms_coreset.selectors.quota import Request
from ms_coreset.selectors.row_blocks import blocks
from ms_coreset.selectors.scores.semdedup import (
    FACTS,
    LEAST,
    Eps,
    Keep,
    Reading,
    groups_of_semdedup,
    unlike_in_groups,
)
from ms_coreset.selectors.selection import Selection

SAMPLED = 1000


@method("semdedup", **FACTS, parallel="scores")
def semdedup(evidence: Evidence, request: Request, reading: Reading = "earlier", keep: Keep = "hard",
             clusters: Count | None = None, groups: Groups = CLUSTERS, eps: Eps = 0.05,
             cluster_seed: Seed = 0) -> Selection:
    """Samples unlike those of their cluster that are kept rather than they: the top of the score ``semdedup``.

    The manifest's "duplicates" says which "epsilon" this budget comes to, the lowest score that is kept: no two samples
    of a cluster are kept whose cosine is above 1 - epsilon (by "components": and that are joined by such ones). And it
    tells of 1,000 samples, or all if there are fewer, drawn by ``cluster_seed``: how many have a sample anywhere with a
    cosine above 1 - epsilon, how many of these have the most similar one in their own cluster, where it can be found,
    and, if there are labels, of how many the most similar one has another label.

    Args:
        evidence: what is known of the samples.
        request: rate, balance, seed and memory, see ``quota.Request``.
        reading: see the score ``semdedup``.
        keep: see the score ``semdedup``.
        clusters: see the score ``semdedup``.
        groups: see the score ``semdedup``.
        eps: see the score ``semdedup``.
        cluster_seed: see the score ``semdedup``.

    Returns:
        The picks, a ``Selection``.
    """
    numbers = groups_of_semdedup(evidence, groups, clusters, cluster_seed)
    values = unlike_in_groups(require_field(evidence.features), numbers, reading, keep, eps)
    picked = top(values, evidence, request)
    found = _duplicates(evidence, numbers, float(values[picked.indices].min()), cluster_seed)
    return picked._replace(scores=values, notes={"duplicates": found})


def _duplicates(evidence: Evidence, numbers: np.ndarray, epsilon: float, seed: int) -> dict[str, float]:
    """What a sample of the samples tells of those with a cosine above 1 - epsilon."""
    sampled = np.sort(stream(seed, "duplicates").permutation(len(evidence))[:SAMPLED])
    others, cosines = most_similar(require_field(evidence.features), sampled)
    alike = 1 - cosines < epsilon
    ones, others = sampled[alike], others[alike]
    found = {"epsilon": epsilon, "sampled": len(sampled), "alike": len(ones),
             "in_one_cluster": int((numbers[ones] == numbers[others]).sum())}
    if evidence.labels is not None:
        found["of_two_labels"] = int((evidence.labels[ones] != evidence.labels[others]).sum())
    return found


def most_similar(features: np.ndarray, places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The other sample of the largest cosine with each of some, of equal ones the lowest, and that cosine.

    Args:
        features: (n, d).
        places: (m,).

    Returns:
        (m,) places; (m,) cosines, rounded as in the score; -1 where there is no other sample.
    """
    asked = products.resident_rows(unit_length(np.array(take(features, places), np.float64)))
    others, largest = np.zeros(len(places), np.int64), np.full(len(places), LEAST)
    for part in blocks(len(features), 8 * (2 * features.shape[1] + 4 * len(places))):
        rows = np.arange(part.start, part.stop)
        cosines = whole_units(asked.products(unit_length(np.array(take(features, rows), np.float64))))
        cosines[rows[:, None] == places] = LEAST
        best = cosines.argmax(axis=0)
        nearest = cosines[best, np.arange(len(places))]
        nearer = nearest > largest
        others[nearer], largest[nearer] = rows[best[nearer]], nearest[nearer]
    return others, largest
