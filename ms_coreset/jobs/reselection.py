"""Training on coresets that are chosen anew: from options to a ``Reselection``, and notes on its coresets."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from ms_coreset.coreset import Coreset
from ms_coreset.datasets.split import Split
from ms_coreset.evidence import Evidence
from ms_coreset.jobs.gather_evidence import sizes_of
from ms_coreset.jobs.sources import ReselectionSource
from ms_coreset.selectors.choice import Choice
from ms_coreset.selectors.quota import Request
from ms_coreset.terminal import note
from ms_coreset.training.adaptive import Reselection, coreset_file
from ms_coreset.training.loop import TrainingResult


def reselection_of(source: ReselectionSource | None) -> Reselection | None:
    """The ``Reselection`` that a ``ReselectionSource`` describes, with the request's memory; None for None.

    Raises:
        MsCoresetError: as ``Reselection`` does.
    """
    if source is None:
        return None
    choice = source.choice
    return Reselection(choice.name, choice.needs, _within_memory(choice), request=source.request, every=source.every,
                       warm=source.warm, options=choice.options, top_m=source.top_m, log=note)


def _within_memory(choice: Choice) -> Callable[[Evidence, Request], Coreset]:
    def choose(evidence: Evidence, request: Request) -> Coreset:
        choice.estimate(*sizes_of(evidence), request).require_fit()
        return choice.choose(evidence, request)

    return choose


def of_pool(reselection: Reselection, pool: np.ndarray | None, n: int) -> Reselection:
    """``reselection`` restricted to the places ``pool`` of a data set of n samples; None: all."""
    return dataclasses.replace(reselection, pool=pool, n=n)


def folder_word(reselection: Reselection) -> str:
    """The part of a folder's name that identifies an adaptive training."""
    request = reselection.request
    return f"{reselection.name}{'-balanced' if request.balance else ''}-{request.rate:g}-every{reselection.every}" + (
        f"-warm{reselection.warm}" if reselection.warm else "")


def reselection_notes(result: TrainingResult, reselection: Reselection, folder: Path, split: Split,
                      write: bool) -> dict[str, Any]:
    """Notes on the coresets for the result file; the coresets are in ``folder``, or are written there if ``write``."""
    told = []
    for epoch, chosen in sorted(result.coresets.items()):
        coreset, path = reselection.of_all(chosen), coreset_file(folder, epoch)
        if write:
            coreset.save(path)
        told.append({"from_epoch": epoch + 1, "samples": len(coreset), "weighted": coreset.weights is not None,
                     "bad": coreset.summary(split)["bad_kept"], "file": str(path)})
    request = reselection.request
    return {"reselection": {"method": reselection.name, "options": reselection.options, "rate": request.rate,
                            "balance": request.balance, "every": reselection.every,
                            "warm": reselection.warm}, "coresets": told}
