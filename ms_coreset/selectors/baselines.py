"""What every method is compared with: chance, and everything."""

import numpy as np

from ms_coreset.evidence import Evidence
from ms_coreset.selectors.catalogue import method
from ms_coreset.selectors.quota import Request, pick_by_group
from ms_coreset.selectors.selection import Selection


@method("random", cost="n", source="Guo et al., DeepCore, 2022 (Uniform)", aliases=("uniform",))
def random(evidence: Evidence, request: Request) -> Selection:
    """Each sample equally likely, without replacement.

    Drawn by ``RandomState(seed).choice``, balanced from one stream over the classes in turn: DeepCore's indices.
    """
    rng = np.random.RandomState(request.seed)
    return Selection(pick_by_group(evidence.labels, request, lambda rows, k: rng.choice(rows, k, replace=False)))


@method("full", cost="n", source="Guo et al., DeepCore, 2022 (Full)")
def full(evidence: Evidence, request: Request) -> Selection:
    """All samples, whatever the rate."""
    return Selection(np.arange(len(evidence)))
