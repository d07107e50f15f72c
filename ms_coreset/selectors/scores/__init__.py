"""Scores: pure functions from evidence to one value per sample, high = keep."""

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
