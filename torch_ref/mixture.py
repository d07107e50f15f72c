"""Mixtures: weighted sums of set functions."""

import re
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch

from torch_ref.disparity import sum_gains
from torch_ref.evidence import Evidence, require
from torch_ref.feature_based import CONCAVE, amounts, concave_gains, coverage_gains
from torch_ref.quota import Picks
from torch_ref.submodular import (
    Gains,
    Ranking,
    extend,
    facility_location_gains,
    graph_cut_gains,
    log_determinant_gains,
    maximize,
    redundancy_gains,
    saturated_gains,
    select_beyond,
    similarities,
)

Part = Callable[..., torch.Tensor]
OF_SIMILARITY: dict[str, tuple[Part, dict[str, Any]]] = {
    "facility_location": (facility_location_gains, {}), "graph_cut": (graph_cut_gains, {"lam": 1.0}),
    "log_determinant": (log_determinant_gains, {"jitter": 1e-6}),
    "saturated_coverage": (saturated_gains, {"alpha": 0.1}), "sum_redundancy": (redundancy_gains, {}),
    "disparity_sum": (sum_gains, {})}
OF_FEATURES: dict[str, tuple[Part, dict[str, Any]]] = {
    "feature_based": (lambda x, picked, concave: concave_gains(x, picked, CONCAVE[concave]), {"concave": "sqrt"}),
    "max_coverage": (lambda x, picked, threshold: concave_gains(x, picked, lambda y: y.clamp(max=threshold)),
                     {"threshold": 1.0}),
    "set_coverage": (lambda x, picked: coverage_gains(x.clamp(max=1), picked, torch.ones(x.shape[1])), {})}


def mixture(evidence: Evidence, rate: float, balance: bool, seed: int,
            functions: str = "facility_location+disparity_sum", kernel: str = "features", greedy: str = "lazy",
            epsilon: float = 0.1, beta: float = 0.9, gamma: float | None = None,
            already_selected: Sequence[int] = ()) -> Picks:
    """Maximize sum_t w_t f_t(S).

    Args:
        evidence: arrays about the n samples.
        rate: share of the samples to keep, in (0, 1].
        balance: whether the rate applies to each class by itself.
        seed: of the random generator.
        functions: such as "facility_location+0.5*graph_cut(lam=2)".
        kernel: see ``submodular.similarities``.
        greedy: see ``submodular.maximize``.
        epsilon: see ``submodular.maximize``.
        beta: see ``submodular.maximize``.
        gamma: of the kernel "rbf".
        already_selected: places to which the budget is added; they come first.

    Returns:
        (indices, weights, scores, gains): places of the picks in pick order; None; None; what each pick added.
    """
    rng, terms = np.random.RandomState(seed), [_term(text) for text in functions.split("+")]

    def pick(rows: np.ndarray, k: int, already: list[int]) -> Ranking:
        s = similarities(evidence, rows, kernel, gamma) if any(name in OF_SIMILARITY for _, name, _ in terms) else None
        x = amounts(require(evidence, "features")[rows]) if any(name in OF_FEATURES for _, name, _ in terms) else None

        def gains(picked: list[int]) -> torch.Tensor:
            parts = [weight * OF_SIMILARITY[name][0](s, picked, **options) if name in OF_SIMILARITY
                     else weight * OF_FEATURES[name][0](x, picked, **options) for weight, name, options in terms]
            return torch.stack(parts).sum(dim=0)

        of: Gains = gains
        return extend(of, len(rows), k, already, partial(maximize, rng=rng, greedy=greedy, epsilon=epsilon, beta=beta))

    indices, gains = select_beyond(evidence.labels, rate, balance, already_selected, pick)
    return indices, None, None, gains


def _term(text: str) -> tuple[float, str, dict[str, Any]]:
    """(weight, name, options) of a term such as "0.5*graph_cut(lam=2)"."""
    match = re.fullmatch(r"(?:([-+.\deE]+)\*)?(\w+)(?:\(([^()]*)\))?", text.strip())
    known = OF_SIMILARITY | OF_FEATURES
    if not match or match[2] not in known:
        raise ValueError(f"functions: {text!r} must be one of {', '.join(known)}")
    given = dict(pair.split("=") for pair in (match[3] or "").replace(" ", "").split(",") if pair)
    options = {name: value if name == "concave" else float(value) for name, value in given.items()}
    defaults = known[match[2]][1]
    weight = float(match[1] or 1)
    if not options.keys() <= defaults.keys() or not weight > 0:
        raise ValueError(f"functions: {text!r} has a weight or an option that it may not have")
    return weight, match[2], defaults | options
