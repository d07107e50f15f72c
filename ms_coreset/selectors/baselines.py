"""Baselines that every method is compared with: a random choice, and all samples."""

from typing import Any

import numpy as np

from ms_coreset.evidence import Evidence
from ms_coreset.selectors.catalogue import method
from ms_coreset.selectors.estimate import Size, Work
from ms_coreset.selectors.quota import Request, pick_by_group
from ms_coreset.selectors.selection import Selection


def _work(size: Size, options: dict[str, Any]) -> Work:
    """24 bytes a sample, which the 40 (scores and their order) cover that every method is assumed to need."""
    return Work(-16 * size.n, size.n)


@method("random", labels=False, cost="n", work=_work, aliases=("uniform",),
        source="Guo et al., DeepCore, 2022 (Uniform)")
def random(evidence: Evidence, request: Request) -> Selection:
    """A uniform random choice, without replacement.

    It draws by ``RandomState(seed).choice``. Balanced, one random stream serves the classes in ascending order, which
    gives DeepCore's indices.

    Args:
        evidence: what is known of the samples.
        request: rate, balance, seed and memory, see ``quota.Request``.

    Returns:
        The picks, a ``Selection``.
    """
    rng = np.random.RandomState(request.seed)
    return Selection(pick_by_group(evidence.groups, request, lambda rows, k: rng.choice(rows, k, replace=False)))


@method("full", labels=False, cost="n", work=_work, source="Guo et al., DeepCore, 2022 (Full)")
def full(evidence: Evidence, request: Request) -> Selection:
    """All samples, whatever the rate.

    Args:
        evidence: what is known of the samples.
        request: rate, balance, seed and memory, see ``quota.Request``.

    Returns:
        The picks, a ``Selection``.
    """
    return Selection(np.arange(len(evidence)))
