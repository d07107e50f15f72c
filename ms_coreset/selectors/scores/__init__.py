"""Scores: pure functions from evidence to one value per sample, high = keep."""

from ms_coreset.selectors.scores import (
    boundary,
    centre_distance,
    dynamic_uncertainty,
    dynamics,
    error,
    eva,
    imported,
    uncertainty,
)

__all__ = ["boundary", "centre_distance", "dynamic_uncertainty", "dynamics", "error", "eva", "imported", "uncertainty"]
