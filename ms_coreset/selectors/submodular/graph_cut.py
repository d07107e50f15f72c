"""Graph cut: samples similar to all others and unlike one another."""

from typing import Any

from ms_coreset.evidence import Evidence
from ms_coreset.selectors.already_selected import Places
from ms_coreset.selectors.catalogue import method
from ms_coreset.selectors.estimate import Size, Work
from ms_coreset.selectors.option_values import NotNegative, Positive
from ms_coreset.selectors.quota import Request
from ms_coreset.selectors.selection import Selection
from ms_coreset.selectors.submodular.greedy import optimizer
from ms_coreset.selectors.submodular.kernel_methods import (
    DEEPCORE,
    AnyGreedy,
    Beta,
    Epsilon,
    Kernel,
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


@method("graph_cut", needs=needs_of_kernel, takes=("cost",), cost="n C d, and C d per gain", work=_graph_cut_work,
        aliases=("GraphCut", "Submodular"), nested=is_nested, parallel=sharing_of, labels=goes_by_gradients,
        label_columns=goes_by_gradients,
        source=f"Iyer & Bilmes, Submodular optimization with submodular cover constraints, NeurIPS 2013; {DEEPCORE}")
def graph_cut(evidence: Evidence, request: Request, lam: NotNegative = 1.0, kernel: Kernel = "gradient",
              greedy: AnyGreedy = "lazy", epsilon: Epsilon = 0.1, beta: Beta = 0.9, gamma: Positive | None = None,
              already_selected: Places = ()) -> Selection:
    """Samples similar to all others and unlike one another.

    With V all samples, it maximizes f(S) = lam sum_{i in V, j in S} s_ij - sum_{i, j in S} s_ij greedily. The gain is
    lam sum_{i in V} s_ij - 2 sum_{i in S} s_ij - s_jj. DeepCore leaves s_jj out, which is the same for all samples but
    zero vectors.

    Sums of cosines are products with the sum of the vectors, so that with the kernels "gradient" and "features" no row
    of the n x n similarities is computed: O(n) memory beside the normalized features. With the others all rows are
    computed once, and one more at every pick. DeepCore's ``Submodular`` command uses this function by default.

    Args:
        evidence: with labels, ``features``, and for the kernel "gradient" ``logits``.
        request: rate, balance, seed and memory, see ``quota.Request``.
        lam: weight of the similarity to all samples, at least 0. Below 2, gains become negative after about lam n / 2
            picks, and picking goes on.
        kernel: see ``facility_location``.
        greedy: see ``facility_location``; also "bidirectional", for a lam at which f is not monotone: samples come in
            random order and are kept with a chance that grows with what they add to those kept, and falls with what
            those left gain without them, until there are enough; if there never are, the best of the rest follow.
        epsilon: see ``facility_location``.
        beta: see ``facility_location``.
        gamma: see ``facility_location``.
        already_selected: see ``facility_location``.

    Returns:
        The picks, a ``Selection``, with their gains.

    Raises:
        MsCoresetError: as ``facility_location``.
    """
    return select_by_kernel(evidence, request, kernel, optimizer(greedy, epsilon, beta, request.seed),
                            lambda similarity, k, share: GraphCut(similarity, lam / share), gamma=gamma,
                            already_selected=already_selected)
