"""Coresets of lower rates that are the first picks of one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ms_coreset.arrays import as_array
from ms_coreset.coreset import Coreset
from ms_coreset.errors import MsCoresetError
from ms_coreset.selectors import quota
from ms_coreset.selectors.choice import Choice


def truncate(coreset: Coreset, rate: float, labels: np.ndarray | None = None) -> Coreset:
    """The coreset that the same method would choose at a lower rate: the first picks, with their gains.

    Many budgets come of one ranking so. This holds for methods whose picks at a rate are the first ones at any higher
    rate, such as set functions that are maximized lazily.

    Args:
        coreset: of the higher rate.
        rate: the lower one, above 0.
        labels: (n,) integers, the class of each sample, for a balanced coreset.

    Returns:
        A ``Coreset``.

    Raises:
        MsCoresetError: for a higher rate, one that keeps nothing, methods whose picks depend on the budget or are
            weighed together, and a balanced coreset without labels.
    """
    options = {name: value for name, value in coreset.options.items() if name not in ("balance", "kernel")}
    if not Choice(coreset.method, options).nested:
        raise MsCoresetError(f"{coreset.method} chooses by the budget: select anew at rate {rate}")
    if not 0 < rate <= coreset.rate:
        raise MsCoresetError(f"rate {rate}: must be above 0 and at most {coreset.rate:g}, that of the coreset")
    if labels is None and coreset.options.get("balance"):
        raise MsCoresetError("a balanced coreset is cut class by class: give the labels")
    groups = np.zeros(coreset.n, np.int64) if labels is None else np.asarray(as_array("labels", labels))
    if len(groups) != coreset.n:
        raise MsCoresetError(f"the coreset is of a data set of {coreset.n} samples, the labels are {len(groups)}")
    if coreset.pool is None:
        return quota.truncate(coreset, groups, rate)
    pool = coreset.pool
    part = replace(coreset, indices=np.searchsorted(pool, coreset.indices), n=len(pool), pool=None,
                   scores=None if coreset.scores is None else coreset.scores[pool])
    return quota.truncate(part, groups[pool], rate).within(pool, coreset.n)
