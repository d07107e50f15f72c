"""The rule ``offset``: the hardest samples except the very hardest, pruning at both ends."""

from typing import Annotated

import numpy as np

from ms_coreset.errors import warn
from ms_coreset.evidence import Evidence
from ms_coreset.selectors.catalogue import rule
from ms_coreset.selectors.drawing import draw_by_group
from ms_coreset.selectors.option_values import Number
from ms_coreset.selectors.quota import Request, budget
from ms_coreset.selectors.rules import top
from ms_coreset.selectors.selection import Selection


@rule("offset", labels=False,
      source="Zheng et al., ELFS: Label-Free Coreset Selection with Proxy Training Dynamics, ICLR 2025")
def offset(values: np.ndarray, evidence: Evidence, request: Request,
           offset: Annotated[float, Number(lambda value: 0 <= value < 1, "at least 0 and below 1")] = 0.3) -> Selection:
    """The highest scores after a share of the highest is dropped: ranks ``round(beta n)`` on.

    If fewer samples than the budget would be left, fewer are dropped, and a warning says so.

    Departure from the authors' code, which takes ``order[drop:-chop]``: that keeps nothing at all if nothing is to be
    cut off below (chop = 0).

    Args:
        values: (n,) float64 scores, high = keep; NaN for a sample without one.
        evidence: what is known of the samples.
        request: rate, balance, seed and memory, see ``quota.Request``.
        offset: the paper's beta in [0, 1): the share of all samples (or of each class that has a budget of its own)
            that is dropped; the paper uses 0.4 to keep a tenth of CIFAR-10, 0.3 for ImageNet.

    Returns:
        The picks, a ``Selection``.
    """
    lacking = []

    def draw(scores: np.ndarray, k: int, rng: np.random.RandomState) -> np.ndarray:
        wanted = budget(offset, len(scores))
        dropped = min(wanted, len(scores) - k)
        lacking.append(wanted - dropped)
        return top(scores, dropped + k)[dropped:]

    selection = draw_by_group(values, evidence, request, draw)
    if sum(lacking):
        warn(f"offset {offset}: {sum(lacking)} samples fewer are dropped, for {len(selection.indices)} of "
             f"{len(values)} are to be kept")
    return selection
