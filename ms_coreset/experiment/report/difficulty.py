"""How hard the samples are that each method kept, by a score of the same study."""

from dataclasses import dataclass

import numpy as np

from ms_coreset.coreset import Coreset
from ms_coreset.errors import MsCoresetError
from ms_coreset.experiment.report.markup import MISSING, with_sign
from ms_coreset.experiment.report.study import Run, Section, Study

# Methods that keep the hardest samples first, so that their scores rise with difficulty; the first in a section judges.
JUDGES = ("el2n", "grand", "loss", "aum", "correctness", "accumulated_margin", "forgetting")
AGREEMENT = "tau-b with accuracy"  # what a table calls ``Difficulty.agreement``


@dataclass(frozen=True)
class Difficulty:
    """Mean places of the kept samples among all, from the easiest, 0, to the hardest, 1; the mean of all is 1/2.

    Attributes:
        judge: the method, as the section names it, whose scores tell
        places: {run's key: place}; runs whose coreset or judge can't be read are left out
    """

    judge: str
    places: dict

    def of(self, run: Run) -> float | None:
        """The place of a run's coreset, or None."""
        return self.places.get(run.key)

    def agreement(self, section: Section, rate: float) -> float | None:
        """Kendall's tau-b between the methods' mean places and their mean accuracies.

        It is 1 if harder is always better, -1 if easier is; None with fewer than three methods, or if all have one
        place or one accuracy.
        """
        from scipy.stats import kendalltau

        pairs = []
        for name in section.compared:
            places = section.values(name, rate, self.of)
            if places:
                pairs.append((np.mean(places), np.mean(list(section.accuracies(name, rate).values()))))
        tau = kendalltau(*zip(*pairs, strict=True)).statistic if len(pairs) > 2 else np.nan
        return float(tau) if np.isfinite(tau) else None

    def agreement_cell(self, section: Section, rate: float) -> str:
        """``agreement`` as a table shows it."""
        tau = self.agreement(section, rate)
        return MISSING if tau is None else with_sign(tau)


def difficulty(study: Study, section: Section) -> Difficulty | None:
    """The ``Difficulty`` of a section's coresets, or None where no method of it can judge.

    Of m samples with a score, the i-th from the easiest (from 1) is at (i - 1/2) / m; equal scores share their mean
    place.
    """
    judge = _judge(section)
    if judge is None:
        return None
    ladders = {seed: ladder for seed in section.seeds
               if (ladder := _ladder(study, section, judge, seed)) is not None}
    runs = [run for name in section.compared for rate in section.compared_rates
            for run in section.cell(name, rate).values() if run.seed in ladders]
    places = {run.key: place for run in runs if (place := _place(_read(study, run), ladders[run.seed])) is not None}
    return Difficulty(judge, places) if places else None


def _judge(section: Section) -> str | None:
    methods = {run.method: section.name_of(run) for run in reversed(section.done)}
    return next((methods[name] for name in JUDGES if name in methods), None)


def _ladder(study: Study, section: Section, judge: str, seed: int) -> np.ndarray | None:
    """(n,) places of all samples by the scores of the judge's run with this seed, NaN without a score.

    None where no such run's file has scores.
    """
    for rate in section.compared_rates:
        run = section.cell(judge, rate).get(seed)
        coreset = None if run is None else _read(study, run)
        if coreset is not None and coreset.scores is not None:
            return _places(coreset.scores)
    return None


def _places(scores: np.ndarray) -> np.ndarray:
    from scipy.stats import rankdata

    there = np.isfinite(scores)
    places = np.full(len(scores), np.nan)
    places[there] = (rankdata(scores[there]) - 0.5) / there.sum()
    return places


def _place(coreset: Coreset | None, ladder: np.ndarray) -> float | None:
    if coreset is None or coreset.n != len(ladder):
        return None
    kept = ladder[coreset.indices]
    return float(np.nanmean(kept)) if np.isfinite(kept).any() else None


def _read(study: Study, run: Run) -> Coreset | None:
    try:
        return study.coreset(run)
    except MsCoresetError:
        return None  # the overlap names the files that can't be read
