"""Quotas, by name: how many samples of each class to keep, for every method and score; see ``catalogue.quota``."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Annotated, Any, NamedTuple

import numpy as np

from ms_coreset.arrays import plain
from ms_coreset.errors import MsCoresetError, require_kind, warn
from ms_coreset.evidence import Evidence, require_field
from ms_coreset.rows import row_wise
from ms_coreset.selectors import on_ranks
from ms_coreset.selectors.catalogue import QUOTAS, SCORES, quota
from ms_coreset.selectors.drawing import ScoreName
from ms_coreset.selectors.option_values import Named, Whole
from ms_coreset.selectors.quota import Request, budget, classes, proportional
from ms_coreset.selectors.rules import within_reach

NONE, PROPORTIONAL = "none", "proportional"
TRIM = 0.05  # share of a class's samples at either end that its difficulty leaves out
_LEAST_WEIGHT = 1e-12  # of the largest
_DIGITS = 9  # of budgets before they are rounded: what is nearer differs by rounding
Least = Annotated[int, Whole(0)]
QuotaName = Annotated[str, Named(QUOTAS)]


class Shares(NamedTuple):
    """How many of each class.

    Attributes:
        counts: (C,), how many of each class, by ascending label.
        notes: plain values for the manifest that explain the counts, by name.
    """

    counts: Iterable[int]
    notes: dict[str, list[float]] | None = None


def require_agreement(balance: bool, quota: str | None) -> None:
    """Raise ``MsCoresetError`` if a quota contradicts ``balance``; the quota None never does."""
    if balance and quota is not None and QUOTAS.canonical(quota) != PROPORTIONAL:
        raise MsCoresetError(f"balance, the same share of every class, and quota {quota} contradict each other: leave "
                             "one of them out")


def apart(quota: str | None, options: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """(options that are not the quota's, the quota as "quota" with its options); the latter empty without a quota."""
    if quota is None:
        return options, {}
    require_kind("quota", quota, str)
    own = {name: value for name, value in options.items() if name in QUOTAS[quota].options}
    QUOTAS[quota].check_options(own)
    others = {name: value for name, value in options.items() if name not in own}
    return others, {"quota": QUOTAS.canonical(quota), **plain(own)}


def with_quota(request: Request, of_quota: Mapping[str, Any], evidence: Evidence) -> tuple[Request, dict[str, Any]]:
    """Add the budgets of a quota to the request, and return notes on them for the manifest.

    Args:
        request: its rate gives the total, ``round(rate n)``.
        of_quota: what ``apart`` gives; empty: ``request.balance`` decides.
        evidence: of the samples.

    Returns:
        (the request, the notes).

    Raises:
        MsCoresetError: for a quota that contradicts ``request.balance``, and evidence that it lacks.
    """
    options = dict(of_quota)
    name = options.pop("quota", None)
    require_agreement(request.balance, name)
    if name is None:
        return request, {}
    if QUOTAS[name].needs_labels(options):
        evidence.require(("labels",), f"quota {name}")
    QUOTAS[name].require(evidence, options)
    shares = QUOTAS[name].function(evidence, request, **options)
    if shares is None:
        return request, {}
    labels = [int(require_field(evidence.labels)[rows[0]]) for rows in classes(require_field(evidence.labels))]
    counts = [int(count) for count in shares.counts]
    return (replace(request, balance=True, counts=dict(zip(labels, counts, strict=True))),
            {"quota": {"labels": labels, "counts": counts, **(shares.notes or {})}})


@quota(NONE, labels=False)
def none(evidence: Evidence, request: Request) -> None:
    """Classes have no budgets of their own: all samples compete.

    Args:
        evidence: what is known of the samples.
        request: rate, balance, seed and memory, see ``quota.Request``.

    Returns:
        None.
    """


@quota(PROPORTIONAL, cost="n")
def proportional_to_size(evidence: Evidence, request: Request) -> Shares:
    """The same share of every class, ``round(rate n)`` samples in all.

    Each class gets k n_c / n, rounded down, with k = ``round(rate n)``. The classes with the largest remainders get one
    more; of equal remainders, the lowest labels. (``balance`` rounds each class by itself, so that its total may
    differ.)

    Args:
        evidence: what is known of the samples.
        request: rate, balance, seed and memory, see ``quota.Request``.

    Returns:
        ``Shares``.
    """
    sizes = [len(rows) for rows in classes(require_field(evidence.labels))]
    return Shares(proportional(budget(request.rate, len(evidence)), sizes))


@quota("drop", needs=("logits",), takes=("validation",), label_columns=True, cost="n C + C log C",
       source="Vysogorets et al., DRoP: Distributionally Robust Data Pruning, ICLR 2025, algorithm 1")
def drop(evidence: Evidence, request: Request, quota_least: Least = 0) -> Shares:
    """A larger share of the classes that the network recognizes less on held-out samples.

    With r_c the recall of class c, n_c its size and k = ``round(rate n)``, the class gets d_c n_c, where

        d_c = min(1, lambda (1 - r_c)),   sum_c n_c d_c = k,

    rounded to whole numbers with sum k by the largest remainders; of equal remainders, the lowest labels. The recall is
    measured on ``evidence.validation`` (``--held-out``), or else on the samples themselves, which says little about a
    network that was trained on them.

    The paper draws at random within classes: that is the method ``random``. If the classes with r_c < 1 have fewer than
    k samples, the others share the rest in proportion to their sizes. A class without validation samples counts as r_c
    = 0. A warning tells of both cases.

    Departures from the authors' code: theirs shares k in proportion to 1 - r_c, without n_c, which is the paper's rule
    only if all classes have one size. It rounds down and fills up at random, and takes all samples of a class whose
    budget is 0 (``order[-0:]``).

    Args:
        evidence: with labels and ``logits``.
        request: rate, balance, seed and memory, see ``quota.Request``.
        quota_least: least number to keep of every class (or all of it, if it is smaller), 0 or more.

    Returns:
        ``Shares``.
    """
    recall = class_recall(evidence if evidence.validation is None else evidence.validation,
                          np.unique(require_field(evidence.labels)))
    if np.isnan(recall).any():
        lacking = np.unique(require_field(evidence.labels))[np.isnan(recall)].tolist()
        warn(f"quota drop: the validation set has no sample of class {', '.join(map(str, lacking[:10]))}: "
             "taken as never recognised")
        recall = np.nan_to_num(recall)
    sizes = np.array([len(rows) for rows in classes(require_field(evidence.labels))])
    counts = _fill("drop", sizes * (1 - recall), sizes, budget(request.rate, len(evidence)), quota_least)
    return Shares(counts, {"recall": recall.tolist()})


def class_recall(evidence: Evidence, labels: np.ndarray) -> np.ndarray:
    """Share (C,) of the samples of each class whose largest logit is their label's.

    Args:
        evidence: with labels and ``logits``.
        labels: (C,), the classes.

    Returns:
        (C,) float64; NaN of classes without samples.
    """
    logits = require_field(evidence.logits)
    right = row_wise(lambda own, logits: np.argmax(logits, axis=1) == own, require_field(evidence.labels), logits)
    found = [right[require_field(evidence.labels) == label] for label in labels]
    return np.array([hits.mean() if len(hits) else np.nan for hits in found])


@quota("difficulty", needs=lambda options: SCORES[options["quota_score"]].needs_for({}),
       takes=lambda options: SCORES[options["quota_score"]].takes_for({}), cost="that of the score + n log n",
       source="Zhang et al., Non-Uniform Class-Wise Coreset Selection for Vision Model Fine-tuning (NUCS), 2025")
def difficulty(evidence: Evidence, request: Request, quota_score: ScoreName = "el2n", quota_least: Least = 0) -> Shares:
    """A larger share of the classes whose samples are more difficult.

    With S_c the mean score of class c without the 5 % of its samples at either end (``trimmed_mean``), n_c its size and
    k = ``round(rate n)``, the class gets min(n_c, lambda n_c S_c), with lambda such that the sum is k, rounded as in
    ``drop``.

    The paper leaves the share at the ends open; 5 % is ours. The other half of the paper's method, the choice of a
    window, is the rule ``best_window``.

    Args:
        evidence: what is known of the samples.
        request: rate, balance, seed and memory, see ``quota.Request``.
        quota_score: name of the score that measures difficulty; no class's mean may be below 0.
        quota_least: see ``drop``.

    Returns:
        ``Shares``.
    """
    entry = SCORES[quota_score]
    entry.require(evidence, {})
    values, groups = within_reach(on_ranks.values(entry, evidence, {})), classes(require_field(evidence.labels))
    means = np.array([trimmed_mean(values[rows]) for rows in groups])
    if (means < 0).any():
        label = require_field(evidence.labels)[groups[int(np.argmin(means))][0]]
        raise MsCoresetError(f"quota difficulty: the mean {quota_score} of class {label} is {means.min():.4g}: take a "
                             "quota_score that is never below 0, such as el2n or loss")
    sizes = np.array([len(rows) for rows in groups])
    counts = _fill("difficulty", sizes * means, sizes, budget(request.rate, len(evidence)), quota_least)
    return Shares(counts, {"difficulty": means.tolist()})


def trimmed_mean(values: np.ndarray) -> float:
    """The mean of (m,) values without the int(0.05 (m - 1)) lowest and highest: those beyond the 5 % quantiles."""
    cut = int(TRIM * (len(values) - 1))
    return float(np.sort(values)[cut:len(values) - cut].mean())


def _fill(name: str, weights: np.ndarray, sizes: np.ndarray, k: int, least: int) -> np.ndarray:
    """``water_filling`` in whole numbers; warns where the weights alone cannot decide."""
    lowest = np.minimum(least, sizes)
    if lowest.sum() > k:
        raise MsCoresetError(f"quota_least {least}: that many of each of {len(sizes)} classes are more than the {k} to "
                             "keep")
    if sizes[weights > 0].sum() + lowest[weights == 0].sum() < k:
        warn(f"quota {name}: {int((weights == 0).sum())} of {len(sizes)} classes have no claim (drop: all of their "
             "samples are recognised; hold some out that were not trained on), and the others have fewer than the "
             f"{k} samples to keep: they share the rest by their sizes")
    return whole_numbers(water_filling(weights, sizes, k, lowest), sizes)


def water_filling(weights: np.ndarray, sizes: np.ndarray, k: int, lowest: np.ndarray) -> np.ndarray:
    """Budgets (C,) float64, k in all: lambda w_c, but no less than the lowest and no more than the sizes.

    This is exact: the sum is piecewise linear in lambda, with corners where a class meets one of its bounds.

    Args:
        weights: (C,), at least 0; values below 1e-12 of the largest count as 0. Where all others are full, the sizes
            decide how the rest is shared.
        sizes: (C,), at least k in all.
        k: the sum.
        lowest: (C,), at most k in all.

    Returns:
        (C,) float64 budgets.
    """
    weights = weights / (weights.max(initial=0) or 1.0)
    weighed = weights >= _LEAST_WEIGHT
    if weighed.any() and sizes[weighed].sum() + lowest[~weighed].sum() <= k:
        budgets = sizes.astype(float)
        budgets[~weighed] = water_filling(sizes[~weighed], sizes[~weighed], k - int(sizes[weighed].sum()),
                                          lowest[~weighed])
        return budgets
    weights = np.where(weighed, weights, 0.0) if weighed.any() else sizes.astype(float)
    rising = weights > 0
    meets = np.unique(np.concatenate([[0.0], lowest[rising] / weights[rising], sizes[rising] / weights[rising]]))
    filled = [np.clip(level * weights, lowest, sizes) for level in meets]
    sums = np.array([budgets.sum() for budgets in filled])
    after = min(int(np.searchsorted(sums, k)), len(sums) - 1)
    if after == 0 or sums[after] == k:
        return filled[after]
    share = (k - sums[after - 1]) / (sums[after] - sums[after - 1])
    return (1 - share) * filled[after - 1] + share * filled[after]


def whole_numbers(budgets: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Whole numbers (C,) with the same sum as budgets (C,), by the largest remainders.

    Each is rounded down. The largest remainders get one more; of equal remainders, the first.

    Args:
        budgets: (C,), whose sum is a whole number.
        sizes: (C,), samples of each class.

    Returns:
        (C,) whole numbers.
    """
    budgets = np.round(budgets, _DIGITS)
    counts = np.minimum(np.floor(budgets).astype(int), sizes)
    remainders = np.where(counts < sizes, np.round(budgets - counts, _DIGITS), -1.0)
    counts[np.argsort(-remainders, kind="stable")[:round(budgets.sum()) - counts.sum()]] += 1
    return counts


def bounding_request(request: Request, quota: str, n: int, largest: int) -> Request:
    """A request whose estimate bounds that of one with a quota, before it is known how many of each class are kept.

    Args:
        request: of n samples.
        quota: a name of ``QUOTAS``.
        n: samples.
        largest: samples of the largest class, which may be given the whole budget.

    Returns:
        A ``Request``.
    """
    name = QUOTAS.canonical(quota)
    if name == NONE:
        return request
    most = request.rate if name == PROPORTIONAL else min(1.0, max(1, budget(request.rate, n)) / largest)
    return replace(request, balance=True, rate=most)
