"""Scores of single samples, by name."""

import inspect
import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import torch

from torch_ref.extraction import Evidence
from torch_ref.geometry import divergences, geometric_median
from torch_ref.imported import extrapolated, imported
from torch_ref.over_classes import ranks_and_misses
from torch_ref.over_time import divergence, loss_correlation, temporal_dual_depth
from torch_ref.pools import pools
from torch_ref.quantities import (
    batch_sizes,
    check_choice,
    distances,
    errors,
    features_in,
    gradients,
    log_probabilities,
    needed,
    one_hot,
)

VARIANTS = ("paper", "deepcore")
Epochs = int | str | Sequence[int] | None  # the first so many, "A-B" or (A, B); all


def center_distance(evidence: Evidence, center: str = "median", metric: str = "euclidean") -> np.ndarray:
    """Distance of each sample's features to the centre of its class: d_i = ||f_i - P_{y_i}||_2.

    evidence: ``labels`` (n,), any integers, and ``features`` (n, d)
    center: "median" (per dimension; of an even number the mean of the two middle values), "mean" or
        "geometric_median", in float64
    metric: "euclidean", or "cosine": features at length 1

    Returns (n,) float64, at least 0; a class of one sample has distance 0. Raises ``ValueError`` without features,
    for features that are not finite, and for another centre. Source: Xia et al., Moderate Coreset, ICLR 2023,
    section 3: the text has the class mean, the authors' code the median.
    """
    if evidence.features is None:
        raise ValueError("center_distance needs evidence.features: extract them with need=('features',)")
    if center not in _CENTERS:
        raise ValueError(f"center is {center!r}, must be one of {', '.join(_CENTERS)}")
    if len(evidence.features) != len(evidence.labels):
        raise ValueError(f"{len(evidence.features)} rows of features for {len(evidence.labels)} labels")
    features = features_in(evidence, metric)
    labels = torch.from_numpy(np.array(evidence.labels, np.int64))
    squares = torch.zeros(len(labels), dtype=torch.float64)
    for label in labels.unique():
        members = features[labels == label]
        difference = members - _CENTERS[center](members)
        squares[labels == label] = difference.square().sum(dim=1)
    # torch's own square root (2.13, CPU, float64) is one unit in the last place off for about 1 value in 70.
    return np.sqrt(squares.numpy())


def _median(rows: torch.Tensor) -> torch.Tensor:
    # torch.median would return the lower of two middle values.
    ordered = rows.sort(dim=0).values
    return (ordered[(len(rows) - 1) // 2] + ordered[len(rows) // 2]) / 2


def _mean(rows: torch.Tensor) -> torch.Tensor:
    return rows[0] + (rows - rows[0]).mean(dim=0)


_CENTERS = {"median": _median, "mean": _mean, "geometric_median": geometric_median}


def least_confidence(evidence: Evidence, variant: str = "paper") -> torch.Tensor:
    """1 - max_c p_c; variant "deepcore": -max_c z_c, of the raw logits. Source: DeepCore, eq. 2."""
    check_choice("variant", variant, VARIANTS)
    logits, log_p = needed(evidence, "logits"), log_probabilities(evidence)
    return -logits.amax(dim=1) if variant == "deepcore" else 1 - log_p.exp().amax(dim=1)


def entropy(evidence: Evidence, variant: str = "paper") -> torch.Tensor:
    """-sum_c p_c log p_c; variant "deepcore": -sum_c p_c log(p_c + 1e-6). Source: DeepCore, eq. 2."""
    check_choice("variant", variant, VARIANTS)
    log_p = log_probabilities(evidence)
    p = log_p.exp()
    return -(p * ((p + 1e-6).log() if variant == "deepcore" else log_p)).sum(dim=1)


def margin(evidence: Evidence, variant: str = "paper") -> torch.Tensor:
    """1 - (p_(1) - p_(2)), of the two highest probabilities, in both variants. Source: DeepCore, eq. 2."""
    check_choice("variant", variant, VARIANTS)
    p = torch.nn.functional.pad(log_probabilities(evidence).exp(), (0, 1))  # of one class alone the lead is the whole
    first, second = p.topk(2, dim=1).values.T
    return 1 - (first - second)


def grand(evidence: Evidence, variant: str = "paper", batch_size: int = 128) -> torch.Tensor:
    """Mean over runs of ||G_i||, the norm of the last layer's gradient, ||p - onehot(y)|| sqrt(1 + ||e||^2).

    The runs are ``evidence.runs``, or the evidence itself. variant: "deepcore" divides by the size of the batch.
    Source: Paul et al., Deep Learning on a Data Diet, NeurIPS 2021, definition 2.1, of the last layer alone.
    """
    check_choice("variant", variant, VARIANTS)
    norms = torch.stack([gradients(run).norm(dim=1) for run in _runs(evidence)])
    if variant == "deepcore":
        norms = norms / batch_sizes(norms.shape[1], batch_size)[:, 0]
    return norms.mean(dim=0)


def el2n(evidence: Evidence, first: int | None = None, last: int | None = None) -> torch.Tensor:
    """Mean over runs of ||p_i - onehot(y_i)||_2.

    With ``first`` or ``last``: mean over the epochs first to last - 1 of ``evidence.dynamics.error_norm``.
    Source: Paul et al., Deep Learning on a Data Diet, NeurIPS 2021, definition 2.2.
    """
    if first is None and last is None:
        return torch.stack([errors(run).norm(dim=1) for run in _runs(evidence)]).mean(dim=0)
    recorded = _recorded(evidence, "error_norm")
    first, last = first or 0, len(recorded) if last is None else last
    if not 0 <= first < last <= len(recorded):
        raise ValueError(f"epochs {first} to {last} are not within the {len(recorded)} that were recorded")
    return recorded[first:last].nanmean(dim=0)


def loss(evidence: Evidence) -> torch.Tensor:
    """Cross entropy -log p_y."""
    log_p = log_probabilities(evidence)
    return -(log_p * one_hot(evidence.labels, log_p.shape[1])).sum(dim=1)


def forgetting(evidence: Evidence, never_learned: str = "epochs", epochs: Epochs = None) -> torch.Tensor:
    """How many epochs find a sample wrong that was correct in the one before.

    never_learned: score of a sample that was never correct: "epochs", their number, or "zero" (as DeepCore)
    epochs: the first so many, or those from A to B - 1, as "A-B" or (A, B)

    Source: Toneva et al., ICLR 2019, definition 2.1; their code ranks what was never learned highest.
    """
    check_choice("never_learned", never_learned, ("epochs", "zero"))
    recorded = _recorded(evidence, "correct", epochs)
    forgotten = []
    for column in recorded.T.tolist():
        shown = [bool(value) for value in column if not math.isnan(value)]  # a presentation each
        count = float(sum(before and not after for before, after in pairwise(shown)))
        never = len(recorded) if never_learned == "epochs" and not any(shown) else count
        forgotten.append(never if shown else math.nan)
    return torch.tensor(forgotten, dtype=torch.float64)


def correctness(evidence: Evidence, epochs: Epochs = None) -> torch.Tensor:
    """Minus the number of epochs in which the sample was correct. Source: Swayamdipta et al., EMNLP 2020."""
    return -_sum_of_seen(_recorded(evidence, "correct", epochs))


def aum(evidence: Evidence, epochs: Epochs = None) -> torch.Tensor:
    """Minus the mean over epochs of z_y - max_{j != y} z_j.

    Source: Pleiss et al., Identifying Mislabeled Data using the Area Under the Margin Ranking, NeurIPS 2020, eq. 2.
    """
    return -_recorded(evidence, "logit_margin", epochs).nanmean(dim=0)


def accumulated_margin(evidence: Evidence, epochs: Epochs = None) -> torch.Tensor:
    """Minus the sum over epochs of p_y - max_{j != y} p_j. Source: the code of CCS (Zheng et al., ICLR 2023)."""
    return -_sum_of_seen(_recorded(evidence, "margin", epochs))


def _sum_of_seen(recorded: torch.Tensor) -> torch.Tensor:
    """Sums (n,) of the columns of (T, n); of one with gaps as if these were its mean."""
    return recorded.nansum(dim=0) * (len(recorded) / recorded.isfinite().sum(dim=0).double())


def dyn_unc(evidence: Evidence, window: int | None = None, epochs: Epochs = None) -> torch.Tensor:
    """Mean over the windows of J epochs of the standard deviation of p_y in the window.

    window: J, 10 or all where there are fewer. Source: He et al., CVPR Workshops 2024, with the last window.
    """
    return _mean_of_whole([_deviation(part) for part in _windows(evidence, window, epochs)])


def dual(evidence: Evidence, window: int | None = None, epochs: Epochs = None) -> torch.Tensor:
    """Mean over the windows of J epochs of the standard deviation of p_y times 1 minus its mean.

    Source: Cho et al., ICML 2025.
    """
    parts = _windows(evidence, window, epochs)
    return _mean_of_whole([_deviation(part) * (1 - _mean_of(part)) for part in parts])


def tdds(evidence: Evidence, window: int | None = None, epochs: Epochs = None) -> torch.Tensor:
    """How much the divergence of successive answers varies in windows of J epochs, each weighing a tenth of the next.

    Of ``evidence.dynamics.divergence``, or of ``probabilities``. Source: Zhang et al., CVPR 2024.
    """
    if getattr(evidence.dynamics, "divergence", None) is not None:
        divergences = _recorded(evidence, "divergence", epochs)[1:]
    else:
        answers = _recorded(evidence, "probabilities", epochs).numpy()
        pairs = [divergence(before, after) for before, after in pairwise(answers)]
        divergences = torch.stack(pairs) if pairs else torch.empty(0, answers.shape[1])
    epochs_there = len(divergences) + 1
    window = window or min(10, epochs_there)
    if window < 3 or window > epochs_there:
        raise ValueError(f"a window of {window} of {epochs_there} epochs")
    return temporal_dual_depth(divergences, window)


def cld(evidence: Evidence, epochs: Epochs = None) -> torch.Tensor:
    """Correlation of a sample's loss differences with those of held-out samples of its class; see ``over_time``."""
    losses, held_out = (_recorded(evidence, field, epochs).numpy() for field in ("loss", "validation_loss"))
    if len(losses) < 4 or not np.isfinite(held_out).any():
        raise ValueError(f"{len(losses)} epochs, {np.isfinite(held_out).any(axis=0).sum()} held-out samples")
    return loss_correlation(losses, held_out, np.asarray(evidence.labels))


def _windows(evidence: Evidence, window: int | None, epochs: Epochs) -> list[torch.Tensor]:
    p = _recorded(evidence, "probability", epochs)
    window = window or min(10, len(p))
    if window < 2 or window > len(p):
        raise ValueError(f"a window of {window} of {len(p)} epochs")
    return [p[start:start + window] for start in range(len(p) - window + 1)]


def _mean_of(rows: Sequence[torch.Tensor]) -> torch.Tensor:
    """The mean of tensors (n,), added up one after the other: torch's own differs between equal columns in a bit."""
    return sum(rows) / len(rows)


def _mean_of_whole(windows: Sequence[torch.Tensor]) -> torch.Tensor:
    """The mean of values (n,) of windows; those without a value, in which a sample was not seen, are left out."""
    total = sum(window.nan_to_num(0.0) for window in windows)
    return total / sum(window.isfinite().double() for window in windows)


def _deviation(rows: Sequence[torch.Tensor]) -> torch.Tensor:
    """Standard deviation (n,) of the columns of (J, n), dividing by J - 1."""
    mean = _mean_of(rows)
    return (sum((row - mean).square() for row in rows) / (len(rows) - 1)).sqrt()


def eva(evidence: Evidence, early: Epochs = None, late: Epochs = None, weight: float = 0.5) -> torch.Tensor:
    """Weighted sum of each sample's share of the variances of the error norm, of an early and of a late part.

    early, late: the first so many epochs, or those from A to B - 1, as "A-B" or (A, B); by default ten from the start
    and ten from the middle on, or as many as half of all, but two at least. Source: Hong et al., ACM MM 2024.
    """
    errors = _recorded(evidence, "error_norm")
    first, second = _halves(len(errors), early, late)
    score = torch.zeros(errors.shape[1], dtype=torch.float64)
    seen = torch.cat([errors[slice(*first)], errors[slice(*second)]]).isfinite().all(dim=0)
    for share, (start, last) in ((weight, first), (1 - weight, second)):
        variances = _deviation(errors[start:last]).square()
        variances[~seen] = torch.nan
        even = torch.where(seen, 1 / seen.sum().double(), torch.nan)
        score += share * (variances / variances.nansum() if variances.nansum() > 0 else even)
    return score


def _halves(total: int, early: Epochs, late: Epochs) -> tuple[tuple[int, int], tuple[int, int]]:
    """(first epoch, one after the last) of the early and of the late part of ``total`` epochs."""
    length = max(2, min(10, total // 2))
    middle = min(total // 2, total - length)
    first = (0, length) if early is None else _ends(early)
    second = (middle, middle + length) if late is None else _ends(late)
    chosen = early is not None or late is not None
    if (chosen and first[1] > second[0]) or second[0] < 0 or max(first[1], second[1]) > total or min(
            last - start for start, last in (first, second)) < 2:
        raise ValueError(f"parts {first} and {second} of {total} epochs")
    return first, second


def _ends(epochs: int | str | Sequence[int]) -> tuple[int, int]:
    """(first epoch, one after the last)."""
    if isinstance(epochs, int):
        return 0, epochs
    first, last = epochs.split("-") if isinstance(epochs, str) else epochs
    return int(first), int(last)


def ram_apl(evidence: Evidence, kept: float = 0.5, a: float = 0.2, kappa: float = 1.0) -> torch.Tensor:
    """-(W RAM + (1 - W) APL), means over runs, W = a + (1 - a) / (1 + exp(kappa (kept - 0.5))); see ``over_classes``.

    Source: Wan et al., ICML 2025.
    """
    found = [ranks_and_misses(needed(run, "features").numpy(), evidence.labels) for run in _runs(evidence)]
    ranks, misses = (torch.stack(values).mean(dim=0) for values in zip(*found, strict=True))
    weight = a + (1 - a) / (1 + math.exp(kappa * (kept - 0.5)))
    return -(weight * ranks + (1 - weight) * misses)


def cal(evidence: Evidence, neighbors: int = 10, within_class: bool = True, direction: str = "highest",
        variant: str = "paper", metric: str = "euclidean") -> torch.Tensor:
    """Mean divergence of a sample's class probabilities from those of its nearest neighbours' in feature space.

    D(p, q) = 0.5 sum_c (p_c - q_c) (log p_c - log q_c). A sample without neighbours has score 0.
    neighbors: how many, or all others of a smaller group; within_class: of the same class, or of all
    direction: "highest" keeps the largest divergence (the paper), "lowest" the smallest (DeepCore): minus the mean
    variant: "deepcore" leaves out the nearest of all samples, taken to be the sample itself
    metric: "euclidean", or "cosine": features at length 1

    Source: Margatina et al., EMNLP 2021, with DeepCore's symmetric divergence.
    """
    check_choice("direction", direction, ("highest", "lowest"))
    check_choice("variant", variant, VARIANTS)
    features, log_p = features_in(evidence, metric), log_probabilities(evidence)
    means = torch.zeros(len(log_p), dtype=torch.float64)
    for rows in pools(evidence.labels, within_class):
        apart = distances(features[rows], smallest=0)
        if variant == "paper":
            apart.fill_diagonal_(torch.inf)
        first = 1 if variant == "deepcore" else 0
        nearest = np.argsort(apart.numpy(), axis=1, kind="stable")[:, first:first + min(neighbors, len(rows) - 1)]
        if nearest.size:
            means[rows] = divergences(log_p[rows][:, None], log_p[rows[nearest]]).mean(dim=1)
    return -means if direction == "lowest" else means


def deepfool(evidence: Evidence) -> torch.Tensor:
    """Minus the squared distance to the decision boundary, ``evidence.boundary``: near is kept.

    Source: Ducoffe and Precioso, Adversarial Active Learning for Deep Networks, 2018.
    """
    return -needed(evidence, "boundary")


def _runs(evidence: Evidence) -> Sequence[Evidence]:
    runs = getattr(evidence, "runs", None)
    return (evidence,) if runs is None else runs


def _recorded(evidence: Evidence, field: str, epochs: Epochs = None) -> torch.Tensor:
    """(T, n) float64 of the dynamics, of ``epochs`` or of all; NaN where a sample was not seen."""
    if getattr(evidence, "dynamics", None) is None or getattr(evidence.dynamics, field) is None:
        raise ValueError(f"evidence lacks dynamics with {field}")
    recorded = torch.tensor(np.array(getattr(evidence.dynamics, field), np.float64))
    if recorded.shape[1] != len(evidence.labels):
        raise ValueError(f"dynamics of {recorded.shape[1]} samples for {len(evidence.labels)} labels")
    loss = getattr(evidence.dynamics, "loss", None)
    if field == "correct" and loss is not None:  # booleans have no NaN
        recorded[torch.tensor(np.isnan(np.array(loss, np.float64)))] = torch.nan
    if epochs is None:
        return recorded
    first, last = _ends(epochs)
    if not 0 <= first < last <= len(recorded):
        raise ValueError(f"epochs {epochs} are not within the {len(recorded)} that were recorded")
    return recorded[first:last]


SCORES = {function.__name__: function for function in (
    center_distance, least_confidence, entropy, margin, grand, el2n, loss, forgetting, correctness, aum,
    accumulated_margin, dyn_unc, dual, tdds, cld, eva, ram_apl, cal, deepfool, imported, extrapolated)}

def score(name: str, evidence: Evidence, **options: Any) -> np.ndarray:
    """The score ``name`` of all samples, (n,) float64.

    NaN of samples that training did not show, for scores over time. Raises ``ValueError`` for an unknown name or
    option, what the score raises, and when it is infinite, or NaN for another reason.
    """
    if str(name).lower() not in SCORES:
        raise ValueError(f"unknown score {name!r}: there are {', '.join(SCORES)}")
    function = SCORES[str(name).lower()]
    unknown = options.keys() - inspect.signature(function).parameters.keys()
    if unknown:
        raise ValueError(f"score {name} has no option {', '.join(sorted(unknown))}")
    values = np.asarray(function(evidence, **options), np.float64)
    over_time = "epochs" in inspect.signature(function).parameters or name in ("eva", "el2n")
    if np.isinf(values).any() or (np.isnan(values).any() and not over_time):
        raise ValueError(f"{name} is not finite for every sample")
    return values
