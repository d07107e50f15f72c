"""Scores: pure functions from evidence to one value per sample, high = keep."""

from ms_coreset.selectors.scores import centre_distance

__all__ = ["centre_distance"]
