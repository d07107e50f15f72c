"""CRAIG: weighted samples whose gradients represent those of their class."""

from typing import Any

import numpy as np

from ms_coreset.errors import MsCoresetError
from ms_coreset.evidence import EXTRACTED, Evidence, require_field
from ms_coreset.selectors.already_selected import Places
from ms_coreset.selectors.catalogue import method
from ms_coreset.selectors.distances import distances_from_products, squares_from_products
from ms_coreset.selectors.estimate import Size, Work
from ms_coreset.selectors.last_layer_gradients import BatchGradients, whole_batches
from ms_coreset.selectors.memory import BOUND
from ms_coreset.selectors.option_values import AnyVariant, Count
from ms_coreset.selectors.quota import Request, pick_by_group
from ms_coreset.selectors.rules import TIE
from ms_coreset.selectors.selection import Selection
from ms_coreset.selectors.submodular.continued import Continued
from ms_coreset.selectors.submodular.greedy import optimizer
from ms_coreset.selectors.submodular.kernel_methods import (
    Beta,
    Epsilon,
    Greedy,
    gradients_of,
    sharing_by_class,
    similarities_work,
)
from ms_coreset.selectors.submodular.set_functions import (
    FacilityLocation,
    Separate,
)
from ms_coreset.selectors.submodular.similarity import (
    NEARNESS_MARGIN,
    Dense,
    GradientDistance,
    Similarity,
    as_matrices,
    blocks,
)


def _craig_work(size: Size, options: dict[str, Any]) -> Work:
    base = size.gradients_of(size.pool) + BOUND * size.pool
    if options["per_batch"]:
        m = -(-size.pool // options["batch_size"])
        written = 8 * m * (m + size.columns * (size.d + 1))
        return Work(base + written, size.over_pools(lambda m, k: m**2) * size.d * size.columns
                    / options["batch_size"] ** 2)
    if not size.balance and size.classes > 1:
        base += size.types[0].itemsize * size.pool * size.d  # the features of each class
    return similarities_work(size, options, base, size.groups)


@method("craig", needs=EXTRACTED, label_columns=True, cost="sum of n_c^2 (d + C), and n_c per gain", work=_craig_work,
        parallel=sharing_by_class,
        source="Mirzasoleiman, Bilmes & Leskovec, Coresets for Data-efficient Training, ICML 2020, Algorithm 1")
def craig(evidence: Evidence, request: Request, greedy: Greedy = "lazy", epsilon: Epsilon = 0.1, beta: Beta = 0.9,
          variant: AnyVariant = "paper", batch_size: Count = 128, already_selected: Places = (),
          per_batch: bool = False) -> Selection:
    """Weighted samples whose gradients represent the gradients of all samples of their class.

    This is facility location within each class (``facility_location``) with s_ij = max_kl d_kl - d_ij + 1e-3, where
    d_ij = ||G_i - G_j|| are distances of the last layer's gradients. The weight of a pick is the number of samples of
    its class that are most similar to it (of equally similar picks, to the lowest place), so that the weights of a
    class sum to n_c. Unbalanced, the classes compete for one budget: f is the sum of the classes' f, no similarities
    across classes are computed, and a class without a pick has no weight.

    The n_c x n_c similarities, of all classes or (balanced) of one at a time, are stored if they fit in the memory of
    the call; otherwise their rows are computed each time they are needed.

    Departures: DeepCore's unbalanced gains count only the first batch, and it assigns the samples of a class without a
    pick to the lowest pick; no variant here does either.

    Args:
        evidence: with labels, ``features`` and ``logits``.
        request: rate, balance, seed and memory, see ``quota.Request``.
        greedy: see ``facility_location``.
        epsilon: see ``facility_location``.
        beta: see ``facility_location``.
        variant: "paper", or "deepcore", which adds 1 to every weight and divides each gradient by the size of its batch
            of ``batch_size`` consecutive samples, of the class if balanced, otherwise of all; or "cords", with s_ij =
            max_kl d_kl^2 - d_ij^2.
        batch_size: size of the batches of consecutive samples, for the variant "deepcore" and ``per_batch``.
        already_selected: see ``facility_location``; not with ``per_batch``.
        per_batch: choose whole batches by their mean gradients (CRAIGPB), whatever the labels, the last of them of
            fewer samples: for a budget of k samples ceil(k / batch_size) batches of the pool, all of whose samples are
            kept. Their weight is the number of batches that are most similar to theirs.

    Returns:
        A ``Selection`` with weights, at least 0, and with gains, but for ``per_batch``.

    Raises:
        MsCoresetError: for an option out of range, and for labels that are not columns of the logits.
    """
    maximize = optimizer(greedy, epsilon, beta, request.seed)
    weights = np.full(len(evidence), 1.0 if variant == "deepcore" else 0.0)
    squared, margin = variant == "cords", 0.0 if variant == "cords" else NEARNESS_MARGIN
    if per_batch and len(already_selected):
        raise MsCoresetError("craig: already_selected names samples, per_batch chooses batches: leave one of them out")

    def pick_batches(rows: np.ndarray, k: int) -> np.ndarray:
        gradients = BatchGradients.of(gradients_of(evidence, rows), batch_size)
        squares, products = gradients.squared_norms(), gradients.gram()
        apart = (squares_from_products if squared else distances_from_products)(products, squares, squares)
        similarity = Dense(apart).nearness(margin)
        batches = np.sort(maximize(FacilityLocation(similarity), -(-k // batch_size)).places)
        places, of_batch = whole_batches(batches, cluster_sizes(similarity, batches), len(rows), batch_size)
        weights[rows[places]] += of_batch
        return rows[places]

    if per_batch:
        indices = pick_by_group(evidence.groups, request, pick_batches)
        return Selection(indices, weights[indices])
    course = Continued(already_selected, evidence.groups)

    def add(rows: np.ndarray, k: int) -> np.ndarray:
        gradients = gradients_of(evidence, rows)
        if variant == "deepcore":
            gradients = gradients.divide_by_batch(batch_size)
        labels = require_field(evidence.labels)[rows]
        members = [np.flatnonzero(labels == label) for label in np.unique(labels)]
        distances = as_matrices([GradientDistance(gradients.take(places), squared) for places in members],
                                request.memory_bytes)
        similarities = [block.nearness(margin) for block in distances]
        memory = request.memory_bytes // len(members)
        functions = [FacilityLocation(similarity, memory) for similarity in similarities]
        picks = course.add(rows, k, maximize, lambda _: Separate(list(zip(members, functions, strict=True))))
        for places, similarity in zip(members, similarities, strict=True):
            picked = np.flatnonzero(np.isin(places, picks))
            weights[rows[places[picked]]] += cluster_sizes(similarity, picked)
        return picks

    selection = course.select(request, add)
    return selection._replace(weights=weights[selection.indices])


def cluster_sizes(similarity: Similarity, picked: np.ndarray) -> np.ndarray:
    """Number of elements that are most similar to each pick; ties go to the first pick.

    Args:
        similarity: of the pool.
        picked: ascending places.

    Returns:
        (len(picked),), empty if none is picked.
    """
    sizes = np.zeros(len(picked), int)
    n = len(similarity)
    for block in blocks(np.arange(n), n) if len(picked) else ():
        near = similarity.rows(block)[:, picked]
        best = near.max(axis=1, keepdims=True)
        sizes += np.bincount(np.argmax(near >= best - TIE * np.abs(best), axis=1), minlength=len(picked))
    return sizes
