"""Extraction: what a trained network, in evaluation mode, says of every sample, and its cache on disk."""

from ms_coreset.extraction.extract import extract

__all__ = ["extract"]
