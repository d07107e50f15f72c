"""Log determinant: samples whose similarities span the largest volume."""

from typing import Any

from ms_coreset.errors import MsCoresetError
from ms_coreset.evidence import Evidence
from ms_coreset.selectors.already_selected import Places
from ms_coreset.selectors.catalogue import method
from ms_coreset.selectors.estimate import Size, Work
from ms_coreset.selectors.option_values import Positive, Variant
from ms_coreset.selectors.quota import Request
from ms_coreset.selectors.selection import Selection
from ms_coreset.selectors.submodular.greedy import optimizer
from ms_coreset.selectors.submodular.kernel_methods import (
    DEEPCORE,
    AnySimilarity,
    Beta,
    Epsilon,
    Greedy,
    Kernel,
    goes_by_gradients,
    is_nested,
    kernel_bytes,
    needs_of_kernel,
    select_by_kernel,
    sharing_of,
)
from ms_coreset.selectors.submodular.set_functions import (
    ExplainedVariance,
    LogDeterminant,
)


def _log_determinant_work(size: Size, options: dict[str, Any]) -> Work:
    return Work(kernel_bytes(size, options) + 8 * size.pool * size.k, size.factorization)


@method("log_determinant", needs=needs_of_kernel, takes=("cost",), cost="n (d + C) k + n k^2",
        work=_log_determinant_work, aliases=("LogDeterminant",), nested=is_nested, parallel=sharing_of,
        labels=goes_by_gradients, label_columns=goes_by_gradients,
        source=f"Chen, Zhang & Zhou, Fast Greedy MAP Inference for DPP, NeurIPS 2018, Algorithm 1; {DEEPCORE}")
def log_determinant(evidence: Evidence, request: Request, jitter: Positive = 1e-6, kernel: Kernel = "gradient",
                    greedy: Greedy = "lazy", epsilon: Epsilon = 0.1, beta: Beta = 0.9,
                    variant: Variant = "paper", gamma: Positive | None = None,
                    already_selected: Places = ()) -> Selection:
    """Diverse samples: their similarity matrix has the largest determinant.

    It maximizes f(S) = log det(s_SS + jitter I) greedily by the gain log(s_jj + jitter - s_jS (s_SS + jitter I)^-1
    s_Sj). All samples except zero vectors tie for the first pick, which is the lowest place. Memory for k rows of n
    numbers, never n x n.

    Args:
        evidence: with labels, ``features``, and for the kernel "gradient" ``logits``.
        request: rate, balance, seed and memory, see ``quota.Request``.
        jitter: added to the diagonal, above 0; without it the determinant is 0 for duplicates.
        kernel: see ``facility_location``, but for "euclidean". Similarities may be below 0, and must be such as inner
            products can be (positive semidefinite); where given ones are not, gains of log 1e-12 tell of it.
        greedy: see ``facility_location``.
        epsilon: see ``facility_location``.
        beta: see ``facility_location``.
        variant: "paper", or "deepcore", the gain s_jS pinv(s_SS) s_Sj of DeepCore's code, which has the opposite sign:
            it prefers redundant samples, and with "lazy" picks the first places of each class. It does not use jitter.
        gamma: see ``facility_location``.
        already_selected: see ``facility_location``.

    Returns:
        The picks, a ``Selection``, with their gains.

    Raises:
        MsCoresetError: as ``facility_location``.
    """
    if kernel == "euclidean":
        raise MsCoresetError("log_determinant: kernel euclidean: differences of squared distances are no inner "
                             "products, of which the determinant is; rbf is also of distances")

    def function(similarity: AnySimilarity, k: int, share: float) -> LogDeterminant | ExplainedVariance:
        return LogDeterminant(similarity, k, jitter) if variant == "paper" else ExplainedVariance(similarity, k)

    return select_by_kernel(evidence, request, kernel, optimizer(greedy, epsilon, beta, request.seed),
                            function, gamma=gamma, already_selected=already_selected, signed=True)
