"""RAM-APL: rank of the distance to the class's mean, and whether another mean is nearer, by several networks."""

from typing import Annotated, Any

import numpy as np

from ms_coreset.distributed import current
from ms_coreset.evidence import Evidence, require_field
from ms_coreset.rows import take
from ms_coreset.selectors import centers, row_blocks
from ms_coreset.selectors.catalogue import score
from ms_coreset.selectors.estimate import Size, Work
from ms_coreset.selectors.option_values import Number, Positive
from ms_coreset.selectors.quota import classes
from ms_coreset.selectors.rules import TIE, ascending
from ms_coreset.selectors.scores.grand import runs_of

_SOURCE = ("Wan et al., Foundation Model Insights and a Multi-Model Approach for Superior Fine-Grained One-shot Subset "
           "Selection, ICML 2025")
Part = Annotated[float, Number(lambda value: 0 <= value <= 1, "from 0 to 1")]


def _work(size: Size, options: dict[str, Any]) -> Work:
    means = 16 * size.classes * size.d
    return Work(size.features_of(size.largest) + 16 * size.largest * size.d + means, 2 * size.n * size.classes * size.d)


FACTS: dict[str, Any] = {"needs": ("features",), "takes": ("runs",), "cost": "R n C d", "work": _work,
                         "source": _SOURCE}


@score("ram_apl", **FACTS)
def ram_apl(evidence: Evidence, kept: Part = 0.5, a: Part = 0.2, kappa: Positive = 1.0) -> np.ndarray:
    """Minus a weighted sum of a sample's rank by distance to its class's mean, and how often another mean is nearer.

    s_i = -(W RAM_i + (1 - W) APL_i), W = a + (1 - a) / (1 + exp(kappa (f - 1/2))).

    RAM_i is the mean over networks of rank / n_c, with the rank of ||x_i - mean_c|| within the class c of sample i,
    from 0 for the nearest, and n_c the size of the class. APL_i is the share of the networks in whose features the mean
    of another class is nearer than the mean of its own.

    The paper keeps the highest of each class: ``balance=True``. Of equal distances the lowest index ranks first (in the
    authors' code an unstable sort decides). Means that are nearer by rounding errors only do not count as nearer.

    Args:
        evidence: with labels and ``features``, or with those of several networks in ``runs``: of foundation models, in
            the paper CLIP and DINOv2.
        kept: f, the share of the samples to keep; the method ``ram_apl`` sets it to its rate.
        a: lower bound of W, in [0, 1].
        kappa: how fast W decreases with f, above 0.

    Returns:
        (n,) float64 in [-1, 0]; high = near its class's mean = keep.
    """
    ranks, groups = current(), classes(require_field(evidence.labels))
    part = ranks.part(len(groups))
    own = groups[part]
    ram, apl = np.zeros((2, len(evidence)))
    for run in runs_of(evidence):
        features = require_field(run.features)
        means = ranks.join(np.reshape([centers.class_mean(take(features, rows)) for rows in own],
                                      (-1, features.shape[1])))
        for rows, mean in zip(own, means[part], strict=True):
            centered = np.subtract(take(features, rows), mean, dtype=np.float64)
            nearest_first = ascending(np.square(centered).sum(axis=1))
            ram[rows[nearest_first]] += np.arange(len(rows)) / len(rows)
            apl[rows] += _is_nearer(centered, means - mean)
    weight = a + (1 - a) / (1 + np.exp(kappa * (kept - 0.5)))
    values = -(weight * ram + (1 - weight) * apl) / len(runs_of(evidence))
    whole = np.empty(len(evidence))
    whole[np.concatenate(groups)] = ranks.join(values[np.concatenate([np.empty(0, np.int64), *own])])
    return whole


def _is_nearer(centered: np.ndarray, apart: np.ndarray) -> np.ndarray:
    """(m,) bool: whether another class's mean is nearer to samples of a class than its own.

    Args:
        centered: (m, d), their features less their class's mean.
        apart: (C, d), all means less that one.

    Returns:
        Whether ||x - a||^2 < ||x||^2, that is 2 <x, a> > ||a||^2, for one of the means by more than rounding.
    """
    squares = np.square(apart).sum(axis=1)

    def of(part: slice) -> np.ndarray:
        products = 2 * centered[part] @ apart.T
        return (products > squares + TIE * (squares + np.abs(products))).any(axis=1)

    return np.concatenate([of(part) for part in row_blocks.blocks(len(centered), 32 * len(apart))])
