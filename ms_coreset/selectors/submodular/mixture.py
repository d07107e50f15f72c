"""Mixtures: weighted sums of set functions."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any

import numpy as np

from ms_coreset.errors import MsCoresetError, require_kind
from ms_coreset.evidence import Evidence, require_field
from ms_coreset.evidence_checks import require_not_negative
from ms_coreset.rows import take
from ms_coreset.selectors.already_selected import Places
from ms_coreset.selectors.catalogue import METHODS, PRECOMPUTED, method
from ms_coreset.selectors.estimate import Size, Work
from ms_coreset.selectors.option_values import Positive
from ms_coreset.selectors.quota import Request
from ms_coreset.selectors.selection import Selection
from ms_coreset.selectors.submodular.disparity import DisparitySum
from ms_coreset.selectors.submodular.feature_based import CONCAVE, Amounts, FeatureBased, SetCoverage
from ms_coreset.selectors.submodular.greedy import optimizer
from ms_coreset.selectors.submodular.kernel_methods import (
    AnySimilarity,
    Beta,
    Epsilon,
    Greedy,
    Kernel,
    as_matrix,
    is_nested,
    kernel_bytes,
    needs_of_kernel,
    sharing_by_class,
    similarities_work,
    similarity_of,
)
from ms_coreset.selectors.submodular.pools import maximize_pools
from ms_coreset.selectors.submodular.saturated_coverage import SaturatedCoverage
from ms_coreset.selectors.submodular.set_functions import (
    FacilityLocation,
    GraphCut,
    LogDeterminant,
    SetFunction,
    SumRedundancy,
)

Options = dict[str, Any]
# (similarity, most picks, options) -> a set function.
_OF_SIMILARITY: dict[str, Callable[[AnySimilarity, int, Options], SetFunction]] = {
    "facility_location": lambda similarity, k, options: FacilityLocation(similarity),
    "graph_cut": lambda similarity, k, options: GraphCut(similarity, options["lam"]),
    "log_determinant": lambda similarity, k, options: LogDeterminant(similarity, k, options["jitter"]),
    "saturated_coverage": lambda similarity, k, options: SaturatedCoverage(similarity, options["alpha"]),
    "sum_redundancy": lambda similarity, k, options: SumRedundancy(similarity),
    "disparity_sum": lambda similarity, k, options: DisparitySum(similarity)}
_OF_FEATURES: dict[str, Callable[[Amounts, int, Options], SetFunction]] = {
    "feature_based": lambda amounts, k, options: FeatureBased(amounts, CONCAVE[options["concave"]]),
    "max_coverage": lambda amounts, k, options: FeatureBased(amounts, partial(np.minimum, options["threshold"])),
    "set_coverage": lambda amounts, k, options: SetCoverage(amounts, np.ones(amounts.width))}
_OWN_OPTIONS = {"lam", "jitter", "alpha", "concave", "threshold"}  # that can be given beside a function's name
_TERM = re.compile(r"(?:(?P<weight>[-+.\deE]+)\*)?(?P<name>\w+)(?:\((?P<options>[^()]*)\))?")


@dataclass(frozen=True)
class Term:
    """A function of a mixture: its weight, the name of its method, and that method's options."""

    weight: float
    name: str
    options: Options


class Terms:
    """The check of the text of a mixture."""

    words = "weighted functions with their options, such as facility_location+0.5*graph_cut(lam=2)"

    def check(self, option: str, value: Any) -> None:
        require_kind(option, value, str)
        terms_of(value, option)


Functions = Annotated[str, Terms()]


def terms_of(functions: str, option: str = "functions") -> list[Term]:
    """The terms of a text such as "facility_location+0.5*graph_cut(lam=2)".

    Raises:
        MsCoresetError: for a text of another form, unknown functions or options, and weights that are not above 0.
    """
    return [_term(text.strip(), option) for text in functions.split("+")]


def _term(text: str, option: str) -> Term:
    match, names = _TERM.fullmatch(text), (*_OF_SIMILARITY, *_OF_FEATURES)
    if not match or match["name"] not in names:
        raise MsCoresetError(f"{option}: {text!r} must be one of {', '.join(names)}, such as 0.5*graph_cut(lam=2)")
    try:
        weight = float(match["weight"] or 1)
        pairs = dict(pair.split("=") for pair in (match["options"] or "").replace(" ", "").split(",") if pair)
        given: Options = {name: value if name == "concave" else float(value) for name, value in pairs.items()}
    except ValueError as error:
        raise MsCoresetError(f"{option}: {text!r} has a weight or an option that is no number") from error
    if not 0 < weight < np.inf:
        raise MsCoresetError(f"{option}: the weight of {text!r} must be above 0")
    if not given.keys() <= _OWN_OPTIONS:
        raise MsCoresetError(f"{option}: {text!r} may have the options {', '.join(sorted(_OWN_OPTIONS))}")
    entry = METHODS[match["name"]]
    entry.check_options(given)
    return Term(weight, entry.name, {**entry.options, **given})


def _uses(functions: str, kind: dict[str, Any]) -> bool:
    """Whether a function of the mixture is of similarities, or of features."""
    return any(term.name in kind for term in terms_of(functions))


class Mixture:
    """f(S) = sum_t weight_t f_t(S).

    Args:
        parts: pairs of weight and set function, all of the same elements.
    """

    def __init__(self, parts: Sequence[tuple[float, SetFunction]]) -> None:
        self._parts = parts
        self._rises = any(isinstance(function, DisparitySum) for _, function in parts)

    def __len__(self) -> int:
        return len(self._parts[0][1])

    @property
    def batch(self) -> int | None:
        """The largest of the functions'; None where all gains are known, or where gains may rise."""
        batches = [function.batch for _, function in self._parts if function.batch is not None]
        return None if self._rises else max(batches, default=None)

    def gains(self, places: np.ndarray) -> np.ndarray:
        return np.sum([weight * function.gains(places) for weight, function in self._parts], axis=0)

    def add(self, place: int) -> None:
        for _, function in self._parts:
            function.add(place)


def _needs(options: Options) -> tuple[str, ...]:
    of_kernel = needs_of_kernel(options) if _uses(options["functions"], _OF_SIMILARITY) else ()
    of_features = ("features",) if _uses(options["functions"], _OF_FEATURES) else ()
    return tuple(dict.fromkeys((*of_kernel, *of_features)))


def _goes_by_gradients(options: Options) -> bool:
    return options["kernel"] == "gradient" and _uses(options["functions"], _OF_SIMILARITY)


def _work(size: Size, options: Options) -> Work:
    names = {term.name for term in terms_of(options["functions"])}
    base = 8 * size.pool * size.k * ("log_determinant" in names) + size.features_of(size.pool)
    return similarities_work(size, options, kernel_bytes(size, options) + base, size.pools)


@method("mixture", needs=_needs, takes=("cost",), cost="of its functions", work=_work, nested=is_nested,
        aliases=("MixtureSelection",), parallel=sharing_by_class, labels=_goes_by_gradients,
        label_columns=_goes_by_gradients,
        source="Lin & Bilmes, Learning Mixtures of Submodular Shells with Application to Document Summarization, UAI "
               "2012")
def mixture(evidence: Evidence, request: Request, functions: Functions = "facility_location+disparity_sum",
            kernel: Kernel = "features", greedy: Greedy = "lazy", epsilon: Epsilon = 0.1, beta: Beta = 0.9,
            gamma: Positive | None = None, already_selected: Places = ()) -> Selection:
    """Samples that are best by several set functions at once, in a weighted sum.

    It maximizes f(S) = sum_t w_t f_t(S) greedily. A sum of monotone submodular functions with weights above 0 is such
    again, so that "naive" and "lazy" reach at least 1 - 1/e of the maximum; ``disparity_sum`` is not, nor are
    ``graph_cut`` with lam below 2, ``sum_redundancy`` and ``log_determinant``, which fall. The functions are not
    scaled: facility location is at most n, and ``disparity_sum`` of k samples at most k^2 / 2.

    Args:
        evidence: with what the functions need: ``features``; with the kernel "gradient" also labels and ``logits``.
        request: rate, balance, seed and memory, see ``quota.Request``.
        functions: such as "facility_location+0.5*graph_cut(lam=2)": the functions are ``facility_location``,
            ``graph_cut`` (lam), ``log_determinant`` (jitter), ``saturated_coverage`` (alpha), ``sum_redundancy``,
            ``disparity_sum``, ``feature_based`` (concave), ``max_coverage`` (threshold) and ``set_coverage``, each with
            a weight above 0 before it, or 1, and in brackets its own options.
        kernel: of all functions of similarities, see ``facility_location``.
        greedy: see ``facility_location``.
        epsilon: see ``facility_location``.
        beta: see ``facility_location``.
        gamma: see ``facility_location``.
        already_selected: see ``facility_location``.

    Returns:
        The picks, a ``Selection``, with their gains.

    Raises:
        MsCoresetError: as ``facility_location``, and for functions of another form.
    """
    terms = terms_of(functions)
    if kernel == PRECOMPUTED:
        require_not_negative(evidence.similarity, "mixture")

    def pool(rows: np.ndarray, share: float) -> Callable[[int], SetFunction]:
        similarity = amounts = None
        if _uses(functions, _OF_SIMILARITY):
            similarity = as_matrix(similarity_of(evidence, rows, kernel, gamma), request)
        if _uses(functions, _OF_FEATURES):
            amounts = Amounts(take(require_field(evidence.features), rows))

        def part(term: Term, k: int) -> tuple[float, SetFunction]:
            if similarity is not None and term.name in _OF_SIMILARITY:
                return term.weight, _OF_SIMILARITY[term.name](similarity, k, term.options)
            assert amounts is not None
            return term.weight, _OF_FEATURES[term.name](amounts, k, term.options)

        return lambda k: Mixture([part(term, k) for term in terms])

    return maximize_pools(evidence, request, optimizer(greedy, epsilon, beta, request.seed), pool, already_selected)
