"""Graph cut: samples similar to all and unlike one another."""

from typing import Any

from ms_coreset.evidence import Evidence
from ms_coreset.selectors.catalogue import method
from ms_coreset.selectors.estimate import Size, Work
from ms_coreset.selectors.quota import Request
from ms_coreset.selectors.selection import Selection
from ms_coreset.selectors.submodular.greedy import optimizer
from ms_coreset.selectors.submodular.kernel_methods import (
    DEEPCORE,
    Beta,
    Epsilon,
    Greedy,
    Kernel,
    NotNegative,
    goes_by_gradients,
    is_nested,
    kernel_bytes,
    needs_of_kernel,
    select_by_kernel,
    sharing_of,
)
from ms_coreset.selectors.submodular.set_functions import (
    GraphCut,
)


def _graph_cut_work(size: Size, options: dict[str, Any]) -> Work:
    return Work(kernel_bytes(size, options), 8 * size.n * size.d * size.columns)


@method("graph_cut", needs=needs_of_kernel, cost="n C d, and C d per gain", work=_graph_cut_work,
        aliases=("GraphCut", "Submodular"), nested=is_nested, parallel=sharing_of, labels=goes_by_gradients,
        label_columns=goes_by_gradients,
        source=f"Iyer & Bilmes, Submodular optimization with submodular cover constraints, NeurIPS 2013; {DEEPCORE}")
def graph_cut(evidence: Evidence, request: Request, lam: NotNegative = 1.0, kernel: Kernel = "gradient",
              greedy: Greedy = "lazy", epsilon: Epsilon = 0.1, beta: Beta = 0.9) -> Selection:
    """Samples similar to all and unlike one another.

    Maximizes lam sum_{i in V, j in S} s_ij - sum_{i, j in S} s_ij greedily by the gain lam sum_{i in V} s_ij - 2 sum_{i
    in S} s_ij. The exact gain's further term - s_jj is left out, as in DeepCore: it is the same for all but zero
    vectors.

    Sums of cosines are products with the sum of the vectors, so that no row of the n x n similarities is needed: O(n)
    memory beside the normalized features. DeepCore's ``Submodular`` command selects by this.

    Args:
        evidence: what is known of the samples.
        request: rate, balance, seed and memory, see ``quota.Request``.
        lam: at least 0; with less than 2, gains turn negative when about lam n / 2 are picked, and the picks go on.
        kernel: see ``facility_location``.
        greedy: see ``facility_location``.
        epsilon: see ``facility_location``.
        beta: see ``facility_location``.

    Returns:
        The picks, a ``Selection``.

    Raises:
        MsCoresetError: as ``facility_location``.
    """
    return select_by_kernel(evidence, request, kernel, optimizer(greedy, epsilon, beta, request.seed),
                            lambda similarity, k, share: GraphCut(similarity, lam / share))
