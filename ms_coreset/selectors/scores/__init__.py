"""Scores: pure functions from evidence to one value per sample, high = keep."""

<<<<<<< HEAD
from ms_coreset.selectors.scores import (
    center_distance,
    cld,
    dynamic_uncertainty,
    dynamics,
    eva,
    imported,
    ram_apl,
    tdds,
    uncertainty,
)

__all__ = ["boundary", "centre_distance", "cld", "dynamic_uncertainty", "dynamics", "error", "eva", "imported",
           "ram_apl", "tdds", "uncertainty"]
=======
# The order of lists and messages:
# isort: off
from ms_coreset.selectors.scores import (
    cal,
    deepfool,
    center_distance,
    grand,
    el2n,
    loss,
    forgetting,
    aum,
    dynamic_uncertainty,
    eva,
    uncertainty,
)

__all__ = ["aum", "cal", "center_distance", "deepfool", "dynamic_uncertainty", "el2n", "eva", "forgetting", "grand",
           "loss", "uncertainty"]
>>>>>>> 5f9057a (Each method's cost stands right above it, in its file; the order of registering is said; long lines)
