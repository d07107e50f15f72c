"""What a selection does where nothing is said of method, evidence or network."""

from dataclasses import replace

from ms_coreset.jobs.sources import NETWORK, PATCHES
from ms_coreset.selectors.choice import Choice
from ms_coreset.terminal import note

PUBLISHED = "moderate"  # as its authors published it
_BY_PATCHES = "ccs", {"score": "loss", "cutoff_score": "loss", "mis_ratio": "auto"}
_RECORDED = {"evidence": PATCHES, "method": "ccs", "score": "loss", "cutoff-score": "loss", "mis-ratio": "auto",
             "balance": True}  # as options
TYPED = f"--evidence {PATCHES} --method ccs --score loss --cutoff-score loss --mis-ratio auto --balance"


def nothing_said(job):
    """Whether a ``SelectionJob`` tells nothing of how to choose: only of the data, of places, how much to keep, and on
    what to run."""
    return job.choice is None and not job.sources.network.said and not job.sources.evidence.said


def with_defaults(job):
    """The job with the method and the evidence that hold everywhere: Moderate as published, of a network."""
    choice = job.choice or Choice(PUBLISHED, seed=job.sources.seed)
    recorded = {"method": job.options.get("method") or PUBLISHED, "evidence": job.options.get("evidence") or NETWORK}
    return _with(job, job.sources.evidence.kind or NETWORK, choice=choice, options={**job.options, **recorded})


def goes_by_patches(device, split, needs):
    """Whether a network would be asked for ``needs`` that takes long to train: on a CPU."""
    return device == "CPU" and split.images is not None and not set(needs) <= split.known.keys()


def by_patches(job):
    """The job with what is done on a CPU instead, which is said.

    Of all that minutes of a CPU can do, a network did best on what this keeps, see docs/results.md.
    """
    note("nothing says how to choose: the same share of every class, spread over easy and hard, but not what random "
         f"patches take for wrong labels ({TYPED}); Moderate as published, by a network: --method moderate")
    name, options = _BY_PATCHES
    return _with(job, PATCHES, choice=Choice(name, options, job.sources.seed), options={**job.options, **_RECORDED},
                 request=replace(job.request, balance=True))


def _with(job, kind, **values):
    evidence = replace(job.sources.evidence, kind=kind)
    return replace(job, sources=replace(job.sources, evidence=evidence), **values)
