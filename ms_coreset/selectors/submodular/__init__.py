"""Set functions with diminishing returns: what is maximised (``functions``, of ``similarity``) and how (``greedy``)."""

from ms_coreset.selectors.submodular import methods

__all__ = ["methods"]
