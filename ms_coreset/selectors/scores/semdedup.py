"""SemDeDup: how unlike a sample is to those of its cluster that would be kept rather than it."""

from typing import Annotated, Any

import numpy as np

from ms_coreset.distributed import current
from ms_coreset.evidence import Evidence, require_field
from ms_coreset.rows import take
from ms_coreset.selectors import products
from ms_coreset.selectors.catalogue import score
from ms_coreset.selectors.estimate import Size, Work
from ms_coreset.selectors.feature_groups import (
    CLUSTERS,
    Groups,
    Seed,
    clusters_work,
    goes_by_labels,
    group_numbers,
    group_sizes,
    whole_units,
)
from ms_coreset.selectors.norms import unit_length
from ms_coreset.selectors.option_values import Count, Number, OneOf
from ms_coreset.selectors.quota import classes
from ms_coreset.selectors.row_blocks import blocks
from ms_coreset.selectors.rules import ascending

SAMPLES_OF_A_CLUSTER = 1000
LEAST = -1.0  # cosine: that with nothing
SIGNS = {"hard": 1, "easy": -1}
Keep = Annotated[str, OneOf(SIGNS)]
Eps = Annotated[float, Number(lambda value: 0 <= value <= 2, "at least 0 and at most 2")]


def _count(n: int, clusters: int | None) -> int:
    return clusters or max(1, round(n / SAMPLES_OF_A_CLUSTER))


def _work(size: Size, options: dict[str, Any]) -> Work:
    clusters = min(_count(size.n, options["clusters"]), size.n)
    peak, operations = clusters_work(size, options, clusters, "cosine")
    sizes = group_sizes(size, options, clusters)
    largest = max(samples for samples, _ in sizes)
    pairs = sum(times * samples**2 for samples, times in sizes)
    return Work(max(peak, 16 * largest * size.d), operations + pairs * size.d)


class _Cosines:
    """Cosines of rows (m, d) float64, which are divided by their norms in place."""

    def __init__(self, rows: np.ndarray) -> None:
        self._directions = unit_length(rows)
        self._resident = products.resident_rows(self._directions)

    def __len__(self) -> int:
        return len(self._directions)

    def until(self, part: slice) -> np.ndarray:
        """(b, stop) of the rows of a block with all up to its last row."""
        return self._resident.products(self._directions[part], slice(0, part.stop))

    def with_all(self, place: int) -> np.ndarray:
        """(m,) of one row with all."""
        return self._resident.products(self._directions[[place]])[0]

    def in_blocks(self) -> list[slice]:
        """Blocks of rows whose cosines with all fit."""
        return blocks(len(self), 32 * len(self))


def _earlier(cosines: _Cosines, eps: float) -> np.ndarray:
    """The largest cosine (m,) of each row with those before it."""
    found = np.full(len(cosines), LEAST)
    for part in cosines.in_blocks():
        rows, columns = np.ogrid[part, :part.stop]
        found[part] = np.where(columns < rows, cosines.until(part), LEAST).max(axis=1)
    return found


def _keep(cosines: _Cosines, eps: float) -> np.ndarray:
    """The largest cosine (m,) of each row with those before it for which it is at most 1 - eps."""
    found, kept = np.full(len(cosines), LEAST), np.zeros(len(cosines), bool)
    for part in cosines.in_blocks():
        for place, row in zip(range(part.start, part.stop), cosines.until(part), strict=True):
            found[place] = row[:place].max(where=kept[:place], initial=LEAST)
            kept[place] = _distance(found[place]) >= eps
    return found


def _components(cosines: _Cosines, eps: float) -> np.ndarray:
    """The least cosine (m,) on the best way from each row to one before it: the largest for which they are joined.

    Prim's algorithm finds a tree of largest cosines. Its edges, from the largest on, join components; of two, the one
    whose first row comes later ends there.
    """
    found = np.full(len(cosines), LEAST)
    first = np.arange(len(cosines))  # of each row's component, by way of other rows

    def first_of(place: int) -> int:
        while first[place] != place:
            first[place] = place = first[first[place]]
        return place

    for cosine, *ends in sorted(_tree(cosines), key=lambda edge: -edge[0]):
        earlier, later = sorted(map(first_of, ends))
        found[later], first[later] = cosine, earlier
    return found


def _tree(cosines: _Cosines) -> list[tuple[float, int, int]]:
    """The edges (cosine, row, row) of a tree through all rows whose cosines are largest."""
    nearest, from_row = np.full(len(cosines), -np.inf), np.zeros(len(cosines), int)
    outside, place, edges = np.ones(len(cosines), bool), 0, []
    for _ in range(len(cosines) - 1):
        outside[place] = False
        row = whole_units(cosines.with_all(place))
        nearer = outside & (row > nearest)
        nearest[nearer], from_row[nearer] = row[nearer], place
        place = int(np.argmax(np.where(outside, nearest, -np.inf)))
        edges.append((float(nearest[place]), int(from_row[place]), place))
    return edges


READINGS = {"earlier": _earlier, "kept": _keep, "components": _components}
Reading = Annotated[str, OneOf(READINGS)]


FACTS: dict[str, Any] = {
    "needs": ("features",), "work": _work, "labels": goes_by_labels,
    "cost": "n d K for K clusters, a hundred times or so, and m^2 d for each cluster of m",
    "source": "Abbas et al., SemDeDup: Data-efficient learning at web-scale through semantic deduplication, 2023, "
              "arXiv 2303.09540"}


@score("semdedup", **FACTS)
def semdedup(evidence: Evidence, reading: Reading = "earlier", keep: Keep = "hard", clusters: Count | None = None,
             groups: Groups = CLUSTERS, eps: Eps = 0.05, cluster_seed: Seed = 0) -> np.ndarray:
    """How unlike a sample is to those of its cluster that would be kept rather than it: s_j = 1 - M_j.

    The samples of each cluster are ranked by their cosine with its center, the mean of their directions, the lowest
    first; of equal ones, the lowest index. M_j is, for

        "earlier": the largest cosine of sample j with one that ranks before it;
        "kept": the largest with one before it that is itself kept, s_i >= ``eps``; so the fewest are dropped;
        "components": the largest c for which j is joined with one before it by samples each of which has a cosine of c
            or more with the next; so the most are dropped.

    What SemDeDup keeps for a threshold epsilon are the samples with s_j >= epsilon (for "kept": with ``eps`` as
    epsilon): no cosine above 1 - epsilon. The top of a score is the choice of an epsilon for a budget, and one score
    serves all, but for "kept". The first of each cluster has s_j = 2, the highest. Cosines are rounded to 40 binary
    places: copies, and rows of one direction, have s_j = 0 but for the first. A zero vector has cosine 0 with all.

    The paper says that of each group of duplicates, pairs with a cosine above 1 - epsilon, the one with the lowest
    cosine with the center is kept; the three are readings of that. This follows the text; the authors' code, under a
    non-commercial licence, was not read. By its issues it goes by "earlier".

    Two copies that clusters separate are both kept. Copies with different labels are found among clusters, and never
    with groups="labels".

    Args:
        evidence: with ``features``.
        reading: "earlier", "kept" or "components".
        keep: of duplicates the one that is least like the center ("hard", the paper), or most ("easy").
        clusters: how many; None: n / 1000, rounded, at least 1, which is ours. The paper has 50,000 for 440 million
            samples, and finds that their number matters little.
        groups: "clusters", those of spherical ``k_means.k_means``, or "labels": duplicates are sought in each class.
        eps: epsilon of the reading "kept", the only one that uses it; 0.05 is ours.
        cluster_seed: of the clusters.

    Returns:
        (n,) float64 in [0, 2]; high = like nothing that is kept = keep.

    Raises:
        MsCoresetError: for more clusters than samples.
    """
    numbers = groups_of_semdedup(evidence, groups, clusters, cluster_seed)
    return unlike_in_groups(require_field(evidence.features), numbers, reading, keep, eps)


def groups_of_semdedup(evidence: Evidence, groups: str, clusters: int | None, seed: int) -> np.ndarray:
    """(n,) the group of each sample, with options of ``semdedup``."""
    return group_numbers(evidence, groups, _count(len(evidence), clusters), "cosine", seed)


def unlike_in_groups(features: np.ndarray, numbers: np.ndarray, reading: str, keep: str, eps: float) -> np.ndarray:
    """(n,) the score of features (n, d), in groups by their numbers (n,), which the ranks share."""
    members, values = classes(numbers), np.empty(len(features))
    own = [_in_group(take(features, rows), reading, keep, eps) for rows in members[current().part(len(members))]]
    values[np.concatenate(members)] = current().join(np.concatenate([*own, np.empty(0)]))
    return values


def _in_group(features: np.ndarray, reading: str, keep: str, eps: float) -> np.ndarray:
    """The score (m,) of the samples of one group by themselves."""
    rows, values = np.asarray(features, np.float64), np.empty(len(features))
    order = _by_center(rows, keep)
    values[order] = _distance(READINGS[reading](_Cosines(rows[order]), eps))
    return values


def _by_center(features: np.ndarray, keep: str) -> np.ndarray:
    """Places by the cosine with the center, which goes by the mean of the cosines with all rows."""
    directions = unit_length(features.copy())
    return ascending(SIGNS[keep] * whole_units(np.einsum("ij,j->i", directions, directions.mean(axis=0))))


def _distance(cosines: np.ndarray | float) -> np.ndarray:
    return np.maximum(1 - whole_units(np.asarray(cosines)), 0)
