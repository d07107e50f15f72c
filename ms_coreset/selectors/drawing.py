"""Rules, by name: they draw a budget from any score, each with options of its own; see ``catalogue.rule``."""

from collections.abc import Callable
from typing import Annotated, Any

import numpy as np

from ms_coreset.distributed import current
from ms_coreset.errors import MsCoresetError, warn
from ms_coreset.evidence import Evidence
from ms_coreset.selectors import on_ranks, rules
from ms_coreset.selectors.catalogue import SCORES, rule
from ms_coreset.selectors.label_quality import share_to_cut_off
from ms_coreset.selectors.option_values import AUTO, Count, Named, Number, OrAuto
from ms_coreset.selectors.quota import Request, pick_by_group
from ms_coreset.selectors.selection import Selection

Share = Annotated[float | str, OrAuto(Number(lambda value: 0 <= value < 1, f"at least 0 and below 1, or {AUTO!r}"))]
ScoreName = Annotated[str, Named(SCORES)]
Draw = Callable[[np.ndarray, int, np.random.RandomState], np.ndarray]  # (scores (m,), k, generator) -> places (k,)


def pick_on_first(values: np.ndarray, evidence: Evidence, request: Request,
                  pick: Callable[[np.ndarray, int], np.ndarray]) -> Selection:
    """The ``Selection`` of ``pick_by_group`` among the samples that have a value; NaN is never picked.

    Of several ranks the first one picks, because picking takes several times the scores' memory. A warning tells of
    samples without a value.

    Args:
        values: (n,) float64 scores, high = keep; NaN for a sample without one.
        evidence: what is known of the samples.
        request: rate, balance, seed and memory, see ``quota.Request``.
        pick: (places, k) -> the k places to keep.

    Returns:
        The picks, a ``Selection``.

    Raises:
        MsCoresetError: if fewer samples have a value than are to be kept.
    """
    found = current().from_first(lambda: {"indices": pick_scored(values, evidence, request, pick)})
    return Selection(found["indices"])


def pick_scored(values: np.ndarray, evidence: Evidence, request: Request,
                pick: Callable[[np.ndarray, int], np.ndarray]) -> np.ndarray:
    """The places (k,) that ``pick_on_first`` selects; every rank that calls it picks."""
    unseen = int(np.isnan(values).sum())
    if unseen:
        warn(f"{unseen:,} of {len(values):,} samples are never picked: they have no score, for training did not show "
             "them (such as those held out for validation)")
    return pick_by_group(evidence.groups, request, lambda rows, k: pick(with_score(rows, values, k), k))


def with_score(rows: np.ndarray, values: np.ndarray, k: int) -> np.ndarray:
    """The ``rows`` whose value is not NaN.

    Args:
        rows: places.
        values: (n,), of all samples.
        k: how many are to be kept.

    Returns:
        Places, in the order of ``rows``.

    Raises:
        MsCoresetError: if there are fewer than k of them.
    """
    known = rows[~np.isnan(values[rows])]
    if len(known) < k:
        raise MsCoresetError(f"{len(known)} of {len(rows)} samples have a score, fewer than the {k} to keep: at most "
                             f"rate {np.floor(1000 * len(known) / len(rows)) / 1000:g}")
    return known


def draw_by_group(values: np.ndarray, evidence: Evidence, request: Request, draw: Draw) -> Selection:
    """The ``Selection`` of what ``draw`` draws from the scores of each group that has a budget.

    One stream of random numbers serves all groups.

    Args:
        values: (n,) float64 scores, high = keep; NaN for a sample without one.
        evidence: what is known of the samples.
        request: rate, balance, seed and memory, see ``quota.Request``.
        draw: a function of ``rules``: (scores, k, rng) -> k places.

    Returns:
        The picks, a ``Selection``.
    """
    rng = np.random.RandomState(request.seed)
    return pick_on_first(values, evidence, request, lambda rows, k: rows[draw(values[rows], k, rng)])


@rule("top", labels=False, nested=True)
def top(values: np.ndarray, evidence: Evidence, request: Request) -> Selection:
    """The highest scores, highest first.

    Args:
        values: (n,) float64 scores, high = keep; NaN for a sample without one.
        evidence: what is known of the samples.
        request: rate, balance, seed and memory, see ``quota.Request``.

    Returns:
        The picks, a ``Selection``.
    """
    return draw_by_group(values, evidence, request, rules.top)


@rule("bottom", labels=False, nested=True)
def bottom(values: np.ndarray, evidence: Evidence, request: Request) -> Selection:
    """The lowest scores, lowest first.

    Args:
        values: (n,) float64 scores, high = keep; NaN for a sample without one.
        evidence: what is known of the samples.
        request: rate, balance, seed and memory, see ``quota.Request``.

    Returns:
        The picks, a ``Selection``.
    """
    return draw_by_group(values, evidence, request, rules.bottom)


def needs_of_cutoff(options: dict[str, Any]) -> tuple[str, ...]:
    """Fields of ``Evidence`` that a cut-off with these options needs: those of its score, if anything is cut off."""
    if not options.get("mis_ratio"):
        return ()
    return (*SCORES[options["cutoff_score"]].needs, *(("logits",) if options["mis_ratio"] == AUTO else ()))


def cutoff_needs_labels(options: dict[str, Any]) -> bool:
    """Whether a cut-off with these options looks at labels."""
    share = options.get("mis_ratio")
    return bool(share) and (share == AUTO or SCORES[options["cutoff_score"]].needs_labels({}))


def hardness_for_cutoff(values: np.ndarray, evidence: Evidence, request: Request, mis_ratio: float | str,
                        cutoff_score: str) -> tuple[np.ndarray, float]:
    """The values (n,) of the cut-off's score, and the share that is cut off.

    The score is not computed if nothing is cut off.
    """
    if not mis_ratio:
        return values, 0.0
    cutoff = SCORES[cutoff_score]
    cutoff.require(evidence, {})
    share = share_to_cut_off(evidence, request) if isinstance(mis_ratio, str) else mis_ratio
    return on_ranks.values(cutoff, evidence, {}), share


def where_known(values: np.ndarray, other: np.ndarray) -> np.ndarray:
    """``values`` (n,), and NaN where ``other`` is NaN."""
    return np.where(np.isnan(other), np.nan, values)


@rule("window", needs=needs_of_cutoff, labels=cutoff_needs_labels, source="Xia et al., Moderate Coreset, ICLR 2023")
def window(values: np.ndarray, evidence: Evidence, request: Request, mis_ratio: Share = 0.0,
           cutoff_score: ScoreName = "loss") -> Selection:
    """The middle window of the ranking.

    Over all samples, if each has a score and nothing is cut off, this is Moderate's window, ranks ``round(n (0.5 -
    rate/2))`` to ``round(n (0.5 + rate/2))``, which can hold one sample more or less than the budget. Otherwise it
    holds exactly the budget k of n samples: ranks ``round((n - k) / 2)`` on.

    Args:
        values: (n,) float64 scores, high = keep; NaN for a sample without one.
        evidence: what is known of the samples.
        request: rate, balance, seed and memory, see ``quota.Request``.
        mis_ratio: share of the samples, those with the highest ``cutoff_score``, that is left out first, in [0, 1).
            "auto": as many as labels seem to be wrong (``label_quality.share_to_cut_off``).
        cutoff_score: name of the score of the cut-off.

    Returns:
        The picks, a ``Selection``.
    """
    hardness, share = hardness_for_cutoff(values, evidence, request, mis_ratio, cutoff_score)

    def pick(rows: np.ndarray, k: int) -> np.ndarray:
        if share:
            rows = rows[rules.after_cutoff(hardness[rows], k, share)]
        elif not request.balance and len(rows) == len(values):
            return rows[rules.moderate_window(values[rows], request.rate)]
        return rows[rules.window(values[rows], k)]

    return pick_on_first(where_known(values, hardness), evidence, request, pick)


@rule("random", labels=False, cost="n")
def uniform(values: np.ndarray, evidence: Evidence, request: Request) -> Selection:
    """A uniform random choice, independent of the scores.

    Args:
        values: (n,) float64 scores, high = keep; NaN for a sample without one.
        evidence: what is known of the samples.
        request: rate, balance, seed and memory, see ``quota.Request``.

    Returns:
        The picks, a ``Selection``.
    """
    return draw_by_group(values, evidence, request, rules.uniform)


@rule("weighted_random", labels=False)
def weighted_random(values: np.ndarray, evidence: Evidence, request: Request) -> Selection:
    """A random choice without replacement, with chances that grow linearly with the score.

    The chance of sample i is proportional to s_i - min_j s_j (plus 1e-12 of the range); all chances are equal if all
    scores are.

    Args:
        values: (n,) float64 scores, high = keep; NaN for a sample without one.
        evidence: what is known of the samples.
        request: rate, balance, seed and memory, see ``quota.Request``.

    Returns:
        The picks, a ``Selection``.
    """
    return draw_by_group(values, evidence, request, rules.weighted_random)


@rule("strata", needs=needs_of_cutoff, labels=cutoff_needs_labels,
      source="Zheng et al., Coverage-centric Coreset Selection, ICLR 2023")
def strata(values: np.ndarray, evidence: Evidence, request: Request, strata: Count = 50, mis_ratio: Share = 0.0,
           cutoff_score: ScoreName = "accumulated_margin") -> Selection:
    """Samples spread evenly over strata of the score, after a cut-off of the hardest; see the method ``ccs``.

    Args:
        values: (n,) float64 scores, high = keep; NaN for a sample without one.
        evidence: what is known of the samples.
        request: rate, balance, seed and memory, see ``quota.Request``.
        strata: number of intervals of equal width, 1 or more.
        mis_ratio: see the rule ``window``.
        cutoff_score: see the rule ``window``.

    Returns:
        The picks, a ``Selection``.
    """
    hardness, share = hardness_for_cutoff(values, evidence, request, mis_ratio, cutoff_score)
    rng = np.random.RandomState(request.seed)

    def pick(rows: np.ndarray, k: int) -> np.ndarray:
        rows = rows[rules.after_cutoff(hardness[rows], k, share)] if share else rows
        return rows[rules.spread_over_strata(values[rows], k, rng, strata)]

    return pick_on_first(where_known(values, hardness), evidence, request, pick)
