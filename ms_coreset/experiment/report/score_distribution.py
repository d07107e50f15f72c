"""How the scores are distributed, and which of them were kept."""

from __future__ import annotations

import numpy as np

from ms_coreset.coreset import Coreset
from ms_coreset.experiment.report import charts
from ms_coreset.experiment.report.markup import (
    MINUS,
    Markup,
    count,
    details,
    rate_name,
    table,
    tag,
)
from ms_coreset.experiment.report.palette import BASELINE_LOOK
from ms_coreset.experiment.report.section_report import SectionReport

_BINS, _SHOWN = 32, 6  # bars of a distribution, distributions that are shown at once


def score_distribution(report: SectionReport) -> Markup | None:
    """How the scores are distributed, and which of them were kept."""
    first = {name: found for name, found in report.first_coresets().items() if found[1].scores is not None}
    if not first:
        return None
    drawn = [_score_figure(report, name, *first[name])
             for name in sorted(first, key=lambda name: name not in report.leaders)]
    shown, more = drawn[:_SHOWN], drawn[_SHOWN:]
    rows = [_score_row(name, *first[name]) for name in first]
    listed = table("Scores (high = keep) of the first seed", ["method", "seed", "lowest", "median", "highest",
                                                              "kept from", "kept median", "kept to"], rows)
    said = tag("p", f"Scores of the first seed, {rate_name(report.shown_rate)} kept; high = keep, but for "
               "moderate's, which keeps the middle. Methods without scores are not shown.")
    others = details(f"Of {count(len(more), 'other method')}", tag("div", *more, class_="grid")) if more else None
    return tag("div", tag("h3", "Scores and what was kept of them"), said,
               tag("div", *shown, class_="grid"), others, details("The numbers", listed),
               class_="part")


def _score_figure(report: SectionReport, name: str, seed: int, coreset: Coreset) -> Markup:
    scores, kept = _finite_scores(coreset)
    edges, tails = _edges(scores)
    inside = np.clip(scores, edges[0], edges[-1])
    everything, stayed = (np.histogram(values, edges)[0].tolist() for values in (inside, inside[kept]))
    label = "score" + (" (outermost bars hold the tails)" if tails else "")
    look = report.all_looks.get(name, BASELINE_LOOK)
    return report.draw_figure(f"scores-{name}", name,
                              f"Scores from {scores.min():.4g} to {scores.max():.4g}, kept from "
                              f"{scores[kept].min():.4g} to {scores[kept].max():.4g}; seed {seed}.",
                              charts.histogram(edges.tolist(), everything, stayed, look, label, "samples"))


def _score_row(name: str, seed: int, coreset: Coreset) -> list[object]:
    scores, kept = _finite_scores(coreset)
    values = (scores.min(), np.median(scores), scores.max(), scores[kept].min(), np.median(scores[kept]),
              scores[kept].max())
    return [name, seed, *(f"{value:.4g}".replace("-", MINUS) for value in values)]


def _finite_scores(coreset: Coreset) -> tuple[np.ndarray, np.ndarray]:
    """(scores of the pool, which of them were kept), without what has no finite score."""
    assert coreset.scores is not None  # whoever calls has looked
    there = np.isfinite(coreset.scores)
    return coreset.scores[there], coreset.keep_mask[there]


def _edges(scores: np.ndarray) -> tuple[np.ndarray, bool]:
    """(borders of the bars, whether values lie outside): the middle 99 % where the tails are much longer, else all."""
    low, high = np.quantile(scores, [0.005, 0.995])
    tails = high > low and scores.max() - scores.min() > 3 * (high - low)
    if not tails:
        low, high = scores.min(), scores.max()
    if low == high:
        low, high = low - 0.5, high + 0.5
    return np.linspace(low, high, _BINS + 1), bool(tails)
