"""Sum redundancy: samples that are least similar to one another."""

from ms_coreset.evidence import Evidence
from ms_coreset.selectors.already_selected import Places
from ms_coreset.selectors.catalogue import method
from ms_coreset.selectors.option_values import Positive
from ms_coreset.selectors.quota import Request
from ms_coreset.selectors.selection import Selection
from ms_coreset.selectors.submodular.greedy import optimizer
from ms_coreset.selectors.submodular.kernel_methods import (
    AnyGreedy,
    Beta,
    Epsilon,
    Kernel,
    goes_by_gradients,
    is_nested,
    needs_of_kernel,
    select_by_kernel,
    sharing_of,
    work_by_picks,
)
from ms_coreset.selectors.submodular.set_functions import SumRedundancy


@method("sum_redundancy", needs=needs_of_kernel, takes=("cost",), cost="n (d + C) k", work=work_by_picks,
        aliases=("SumRedundancy",), nested=is_nested, parallel=sharing_of, labels=goes_by_gradients,
        label_columns=goes_by_gradients,
        source="Schreiber, Bilmes & Noble, apricot: Submodular selection for data summarization in Python, JMLR 2020; "
               "the redundancy of Lin & Bilmes, ACL 2011")
def sum_redundancy(evidence: Evidence, request: Request, kernel: Kernel = "gradient", greedy: AnyGreedy = "lazy",
                   epsilon: Epsilon = 0.1, beta: Beta = 0.9, gamma: Positive | None = None,
                   already_selected: Places = ()) -> Selection:
    """Samples that are least similar to one another, in sum.

    It maximizes f(S) = -sum_{i, j in S} s_ij greedily, by the gain -s_jj - 2 sum_{i in S} s_ij: ``graph_cut`` with a
    lam of 0. f is submodular, but falls with every pick, so that no greedy picks come with a promise. With equal s_jj
    all samples tie for the first pick, which is the lowest place. Where all s_jj are 1, f(S) = 2 ``disparity_sum``(S) -
    k^2, with the same picks.

    Every pick lowers all gains, by its row of the similarities: n (C + d) operations, and no n x n matrix.

    Args:
        evidence: with labels, ``features``, and for the kernel "gradient" ``logits``.
        request: rate, balance, seed and memory, see ``quota.Request``.
        kernel: see ``facility_location``.
        greedy: see ``graph_cut``.
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
                            lambda similarity, k, share: SumRedundancy(similarity), gamma=gamma,
                            already_selected=already_selected)
