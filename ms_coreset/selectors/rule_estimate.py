"""For estimates: what a rule takes beside its score, and what a quota changes."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ms_coreset.selectors.catalogue import QUOTAS, RULES
from ms_coreset.selectors.class_quotas import NONE, PROPORTIONAL
from ms_coreset.selectors.quota import Request, budget

if TYPE_CHECKING:
    from ms_coreset.selectors.estimate import Estimate

Work = Callable[[int, int, int, dict[str, Any]], tuple[float, float]]  # see _WORK


def with_rule(expected: Estimate, rule: str, shape: tuple[int, int, int], options: dict[str, Any]) -> Estimate:
    """The estimate of a score, plus what a rule takes beside it.

    Args:
        expected: of the score.
        rule: the rule's name.
        shape: n samples, d features of each, C classes.
        options: of the rule, over its defaults.

    Returns:
        An ``Estimate``.
    """
    if rule not in _WORK:
        return expected
    peak, operations = _WORK[rule](*shape, {**RULES[rule].options, **options})
    return replace(expected, peak=expected.peak + int(peak), operations=expected.operations + operations)


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


def _best_window(n: int, d: int, classes: int, options: dict[str, Any]) -> tuple[float, float]:
    """What the rule takes: A^T A, that with the penalty, and its factors; weights and sums of the labels."""
    windows = math.ceil(1 / options["step"]) + 1
    peak = 8 * (4 * (d + 1) ** 2 + 3 * (d + 1) * classes)
    return peak, 4 * n * d**2 + windows * (2 * d**3 / 3 + 2 * n * d * classes)


# Each: (n, d, classes, options) -> (bytes beside blocks and a few numbers a sample, operations).
_WORK: dict[str, Work] = {"best_window": _best_window}
