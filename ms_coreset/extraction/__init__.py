"""A trained network's evidence about every sample, in evaluation mode, and its cache on disk."""

from ms_coreset.extraction.extract import extract

__all__ = ["extract"]
