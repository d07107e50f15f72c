"""Scores scaled to one range in every class, so that classes compete on equal terms."""

from typing import Annotated

import numpy as np

from ms_coreset.selectors.catalogue import Entry
from ms_coreset.selectors.option_values import OneOf
from ms_coreset.selectors.quota import classes
from ms_coreset.selectors.rules import within_reach

NORMALIZE = "normalize"  # the option of every score and rule
Range = Annotated[str, OneOf(("none", "class"))]


def normalize_scores(values: np.ndarray, labels: np.ndarray, normalize: Range = "none") -> np.ndarray:
    """Scale scores to [0, 1] within each class: (s - min) / (max - min), or 0 if all scores of a class are equal.

    Source: the "Normalize" quota of the code of Vysogorets et al., DRoP, ICLR 2025.

    Args:
        values: (n,) float64.
        labels: (n,), the classes.
        normalize: "class", or "none": the values as they are.

    Returns:
        (n,) float64, NaN where the score is.
    """
    if normalize == "none":
        return values
    values = within_reach(values)
    normal = np.where(np.isnan(values), np.nan, 0.0)
    for rows in classes(labels):
        low, high = np.fmin.reduce(values[rows]), np.fmax.reduce(values[rows])
        if low < high:
            normal[rows] = (values[rows] - low) / (high - low)
    return normal


NORMALIZATION = Entry(NORMALIZE, normalize_scores, (), "n", "", labels=lambda options: options[NORMALIZE] == "class")
