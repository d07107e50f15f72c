"""The default selection, if no method, evidence or network is given."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ms_coreset.errors import MsCoresetError
from ms_coreset.jobs.options import spell, words_of
from ms_coreset.jobs.sources import NETWORK, PATCHES
from ms_coreset.selectors.choice import Choice
from ms_coreset.terminal import note

if TYPE_CHECKING:
    from ms_coreset.datasets.split import Split
    from ms_coreset.jobs.selection import SelectionJob

PUBLISHED = "moderate"  # as its authors published it
IMPORTED = "imported"  # the method that keeps the top of scores that were made elsewhere
_BY_PATCHES, _ITS_OPTIONS = "ccs", {"score": "loss", "cutoff_score": "loss", "mis_ratio": "auto"}
_RECORDED = spell({"evidence": PATCHES, "method": _BY_PATCHES, **_ITS_OPTIONS, "balance": True})
TYPED = " ".join(words_of(_RECORDED))


def is_nothing_said(job: SelectionJob) -> bool:
    """Whether a ``SelectionJob`` gives no option that says how to select.

    It then has only options of the data, of places, of how much to keep, and of the device.
    """
    return job.choice is None and not job.sources.network.said and not job.sources.evidence.said


def with_defaults(job: SelectionJob) -> SelectionJob:
    """The job with the usual default: Moderate as published, with the evidence of a network."""
    method = PUBLISHED if job.sources.evidence.scores is None else IMPORTED
    choice = job.choice or Choice(method, seed=job.sources.seed)
    recorded = {"method": job.options.get("method") or method, "evidence": job.options.get("evidence") or NETWORK}
    return _with(job, job.sources.evidence.kind or NETWORK, choice=choice, options={**job.options, **recorded})


def goes_by_patches(device: str, split: Split, needs: Iterable[str]) -> bool:
    """Whether a network would have to be trained that takes long, for ``needs``: on a CPU."""
    return device == "CPU" and split.images is not None and not set(needs) <= split.known.keys()


def by_patches(job: SelectionJob, split: Split) -> SelectionJob:
    """The job with the default on a CPU, which the user is told of.

    Of what a CPU can do within minutes, networks trained on this coreset were best, see docs/results.md.

    Args:
        job: of which nothing is said.
        split: that is selected from.

    Returns:
        The job.

    Raises:
        MsCoresetError: for samples of one class.
    """
    if split.num_classes == 1:
        raise MsCoresetError(f"{split.name} has one class, and the default compares classes: choose by the pictures "
                             f"alone, --evidence {PATCHES} --method k_center (or herding, zcore, moderate); or is "
                             "--data not the folder that holds a folder for each class?")
    note("nothing says how to choose: the same share of every class, spread over easy and hard, but not what random "
         f"patches take for wrong labels ({TYPED}); Moderate as published, by a network: --method moderate")
    choice = Choice(_BY_PATCHES, _ITS_OPTIONS, job.sources.seed)
    return _with(job, PATCHES, choice=choice, options={**job.options, **_RECORDED},
                 request=replace(job.request, balance=True))


def _with(job: SelectionJob, kind: str, **values: Any) -> SelectionJob:
    evidence = replace(job.sources.evidence, kind=kind)
    return replace(job, sources=replace(job.sources, evidence=evidence), **values)
