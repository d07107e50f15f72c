"""Label noise: a share of the labels replaced by wrong ones."""

import numpy as np

from ms_coreset.errors import MsCoresetError
from ms_coreset.files import array_digest
from ms_coreset.randomness import stream


def symmetric_noise(labels, num_classes, ratio=0.2, seed=0, exact=True):
    """Replace a share of the labels, each by one of the other classes, all of them equally likely.

    labels: (n,) integers in ``0 .. num_classes - 1``; left as they are
    ratio: share of the labels to replace, 0 to 1
    seed: of the random stream of the purpose "label noise" (``randomness.stream``), 0 to 2**32 - 1
    exact: ``True`` replaces exactly ``round(ratio * n)`` labels (half to even), drawn without replacement; ``False``
        replaces each on its own with chance ``ratio``, so that the realised share varies around it

    Returns the noisy labels, (n,) int64, and a manifest of plain values. Raises ``MsCoresetError`` for a ratio,
    a number of classes, a seed or labels outside these ranges.

    Source: ``exact=False`` is the distribution of the Moderate coreset repository (tmllab/2023_ICLR_Moderate-DS).
    Departures: that code sets no seed, so its very draws can't be repeated; an exact count is our default.
    """
    labels = _checked(labels, num_classes, ratio)
    rng = stream(seed, "label noise")
    n = len(labels)
    flipped = rng.permutation(n)[: round(ratio * n)] if exact else np.flatnonzero(rng.random_sample(n) < ratio)
    # A step of 1 to num_classes - 1 round the circle of classes reaches each other class, and never its own.
    steps = rng.randint(1, num_classes, size=len(flipped))
    noisy = labels.copy()
    noisy[flipped] = (labels[flipped] + steps) % num_classes
    return noisy, {
        "kind": "symmetric_label_noise",
        "ratio": float(ratio),
        "ratio_realised": len(flipped) / n if n else 0.0,
        "seed": int(seed),
        "exact": bool(exact),
        "n": n,
        "num_classes": int(num_classes),
        "flipped": len(flipped),
        "clean_labels": array_digest(labels),
        "noisy_labels": array_digest(noisy),
    }


def _checked(labels, num_classes, ratio):
    labels = np.asarray(labels)
    if num_classes < 2:
        raise MsCoresetError(f"label noise among {num_classes} classes: at least 2 are needed")
    if not 0 <= ratio <= 1:
        raise MsCoresetError(f"noise ratio {ratio} is out of range: give a share from 0 to 1")
    if labels.ndim != 1 or labels.dtype.kind not in "iu":
        raise MsCoresetError(f"labels are {labels.dtype} of shape {labels.shape}: give integers of shape (n,)")
    if len(labels) and not 0 <= labels.min() <= labels.max() < num_classes:
        raise MsCoresetError(f"labels are {labels.min()} to {labels.max()}: give 0 to {num_classes - 1}")
    return labels.astype(np.int64)
