"""SemDeDup: how unlike a sample is to those of its cluster that would be kept rather than it."""

import numpy as np
import torch

from torch_ref.evidence import Evidence, check_choice, require
from torch_ref.feature_groups import directions, numbers_of_groups, to_places


def semdedup(evidence: Evidence, reading: str = "earlier", keep: str = "hard", clusters: int | None = None,
             groups: str = "clusters", eps: float = 0.05, cluster_seed: int = 0) -> torch.Tensor:
    """1 - the largest cosine with a sample of the same cluster that ranks before; 2 for the first of a cluster.

    Samples rank by their cosine with the cluster's center. Source: the text of Abbas et al., arXiv 2303.09540.

    Args:
        evidence: what is known of the samples.
        reading: "earlier": with any before; "kept": with those before whose own value is at least ``eps``;
            "components": the cosine down to which samples must be linked for it to be joined with one before.
        keep: the lowest cosine with the center first ("hard"), or the highest ("easy").
        clusters: how many; None: a thousandth of the samples.
        groups: "clusters", or "labels": the classes.
        eps: see ``reading``, in [0, 2].
        cluster_seed: of the clusters.

    Returns:
        (n,) float64, high = keep.
    """
    check_choice("reading", reading, tuple(READINGS))
    check_choice("keep", keep, ("hard", "easy"))
    if not 0 <= eps <= 2:
        raise ValueError(f"eps is {eps}, must be at least 0 and at most 2")
    unit = directions(require(evidence, "features"))
    count = max(1, round(len(unit) / 1000)) if clusters is None else clusters
    numbers = numbers_of_groups(evidence, groups, count, "cosine", cluster_seed)
    values = torch.zeros(len(unit), dtype=torch.float64)
    for number in np.unique(numbers):
        rows = np.flatnonzero(numbers == number)
        own = unit[rows]
        near = to_places((own * own.mean(dim=0)).sum(dim=1))
        order = np.argsort((near if keep == "hard" else -near).numpy(), kind="stable")
        cosines = to_places(own[order] @ own[order].T)
        values[rows[order]] = (1 - READINGS[reading](cosines, eps)).clamp(min=0)
    return values


def _with_any(cosines: torch.Tensor, eps: float) -> torch.Tensor:
    return torch.stack([torch.cat([row[:place], torch.tensor([-1.0])]).max() for place, row in enumerate(cosines)])


def _keep(cosines: torch.Tensor, eps: float) -> torch.Tensor:
    largest: list[float] = []
    kept: list[int] = []
    for place, row in enumerate(cosines):
        largest.append(max([-1.0, *row[kept].tolist()]))
        if 1 - largest[-1] >= eps:
            kept.append(place)
    return torch.tensor(largest, dtype=torch.float64)


def _join(cosines: torch.Tensor, eps: float) -> torch.Tensor:
    """Pairs from the most similar on merge the sets of their samples: a set's first sample loses to an earlier one."""
    sets = {place: [place] for place in range(len(cosines))}
    first_of = list(range(len(cosines)))
    largest = torch.full((len(cosines),), -1.0, dtype=torch.float64)
    left, right = torch.triu_indices(len(cosines), len(cosines), 1)
    for pair in torch.argsort(cosines[left, right], descending=True, stable=True):
        first, second = sorted((first_of[left[pair]], first_of[right[pair]]))
        if first != second:
            largest[second] = cosines[left[pair], right[pair]]
            for place in sets[second]:
                first_of[place] = first
            sets[first] += sets.pop(second)
    return largest


READINGS = {"earlier": _with_any, "kept": _keep, "components": _join}
