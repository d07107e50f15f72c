"""Set functions with diminishing returns: ``set_functions`` of a ``similarity`` are maximized by ``greedy``."""

# The order of lists and messages:
# isort: off
from ms_coreset.selectors.submodular import facility_location, graph_cut, log_determinant, craig, lcmat, subzero

__all__ = ["craig", "facility_location", "graph_cut", "lcmat", "log_determinant", "subzero"]
