"""What a method gives back to ``select``."""

from typing import NamedTuple

import numpy as np


class Selection(NamedTuple):
    """indices (k,) in pick order; weights (k,) of the picks and scores (n,) of all samples, where there are any."""

    indices: np.ndarray
    weights: np.ndarray | None = None
    scores: np.ndarray | None = None
