"""Set functions with diminishing returns: ``set_functions`` of a ``similarity`` are maximized by ``greedy``."""

# The order of lists and messages:
# isort: off
from ms_coreset.selectors.submodular import facility_location, graph_cut, log_determinant, craig, lcmat, subzero
from ms_coreset.selectors.submodular import saturated_coverage, sum_redundancy, disparity, feature_based
from ms_coreset.selectors.submodular import targeted_methods, mixture

__all__ = ["craig", "disparity", "facility_location", "feature_based", "graph_cut", "lcmat", "log_determinant",
           "mixture",           "saturated_coverage", "subzero", "sum_redundancy", "targeted_methods"]
