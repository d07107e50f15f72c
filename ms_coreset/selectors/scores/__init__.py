"""Scores: pure functions from evidence to one value per sample, high = keep."""

# The order of lists and messages:
# isort: off
from ms_coreset.selectors.scores import (
    cal,
    deepfool,
    center_distance,
    cld,
    grand,
    el2n,
    loss,
    forgetting,
    aum,
    dynamic_uncertainty,
    eva,
    imported,
    prototype,
    semdedup,
    ram_apl,
    tdds,
    uncertainty,
    zcore,
)

__all__ = ["aum", "cal", "center_distance", "cld", "deepfool", "dynamic_uncertainty", "el2n", "eva", "forgetting",
           "grand", "imported", "loss", "prototype", "ram_apl", "semdedup", "tdds",
           "uncertainty", "zcore"]
