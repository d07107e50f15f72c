"""Which samples stay: the methods, by name."""

import inspect
from dataclasses import dataclass

import numpy as np

from torch_ref.scores import center_distance

_NOTHING = np.empty(0, np.int64)


@dataclass(frozen=True)
class Coreset:
    """indices: (k,) int64 of the kept samples, in pick order; scores: (n,) float64, or None."""

    indices: np.ndarray
    scores: np.ndarray | None = None


def select(method, evidence, rate, balance=False, seed=0, **options):
    """Choose about ``rate * n`` of the n samples.

    method: one of ``METHODS``, in any case
    evidence: any object with ``labels`` (n,) and what the method needs of ``features`` (n, d) and ``logits`` (n, C)
    rate: share that is kept, in (0, 1]
    balance: apply the rate in each class by itself, classes ascending; else to all samples together
    seed: of the ``RandomState`` that a method draws from
    options: of the method

    Returns a ``Coreset``. Raises ``ValueError`` for an unknown method or option, a rate out of range, evidence that
    is missing or not finite, and when nothing would be selected.
    """
    if str(method).lower() not in METHODS:
        raise ValueError(f"unknown method {method!r}: there are {', '.join(METHODS)}")
    choose = METHODS[str(method).lower()]
    unknown = options.keys() - inspect.signature(choose).parameters.keys()
    if unknown:
        raise ValueError(f"method {method} has no option {', '.join(sorted(unknown))}")
    if not 0 < rate <= 1:
        raise ValueError(f"rate is {rate}, must be above 0 and at most 1")
    indices, scores = choose(evidence, rate, balance, seed, **options)
    if len(indices) == 0:
        raise ValueError(f"rate {rate} of {len(evidence.labels)} samples selects nothing: give a larger rate")
    return Coreset(np.asarray(indices, np.int64), scores)


def full(evidence, rate, balance, seed):
    """Every sample, in data set order, whatever the rate."""
    return np.arange(len(evidence.labels)), None


def random(evidence, rate, balance, seed):
    """A uniform sample without replacement: ``choice(members, round(rate * m))`` of each pool of m members.

    DeepCore's ``Uniform``: one ``RandomState(seed)`` serves all classes, in ascending order. A class whose budget
    is 0 draws nothing.
    """
    rng = np.random.RandomState(seed)
    budgets = [(pool, round(rate * len(pool))) for pool in _pools(evidence.labels, balance)]
    drawn = [rng.choice(pool, budget, replace=False) for pool, budget in budgets if budget]
    return np.concatenate([*drawn, _NOTHING]), None


def moderate(evidence, rate, balance, seed, center="median"):
    """The samples whose distance to their class's centre is in the middle of the ranking (Xia et al., ICLR 2023).

    Of n samples, ranked by ``center_distance`` (ties to the lower index), ranks round(n (1/2 - rate/2)) to
    round(n (1/2 + rate/2)) are kept, as the authors' code does. Balanced, which that code does not offer, a class of
    m keeps k = round(rate m) ranks from round((m - k) / 2) on. Departures: nothing is kept where round(rate n) is 0,
    and the middle one where it is not but both ends of the window meet.
    """
    distances = center_distance(evidence, center)
    kept = [_middle(distances, pool, rate, balance) for pool in _pools(evidence.labels, balance)]
    return np.concatenate([*kept, _NOTHING]), distances


def _middle(distances, pool, rate, balance):
    m = len(pool)
    size = round(rate * m)
    if not size:
        return _NOTHING
    if balance:
        low = round((m - size) / 2)
        high = low + size
    else:
        low = min(round(m * (0.5 - rate / 2)), m - 1)
        high = max(round(m * (0.5 + rate / 2)), low + 1)
    return pool[np.argsort(distances[pool], kind="stable")[low:high]]


def _pools(labels, balance):
    """The positions that share a budget: those of each class, ascending, or all."""
    labels = np.asarray(labels)
    if not balance:
        return [np.arange(len(labels))]
    return [np.flatnonzero(labels == label) for label in np.unique(labels)]


METHODS = {"random": random, "full": full, "moderate": moderate}
