"""The job of ``select``: train or load a network, compute its answers for every sample, choose which to keep."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from ms_coreset.coreset import Coreset
from ms_coreset.datasets import Split
from ms_coreset.distributed import current
from ms_coreset.errors import require_kind
from ms_coreset.evidence import WITHOUT_LABELS, Evidence
from ms_coreset.identity import data_identity
from ms_coreset.jobs.base_network import require_writable
from ms_coreset.jobs.default_selection import by_patches, goes_by_patches, is_nothing_said, with_defaults
from ms_coreset.jobs.gather_evidence import gather, load_pool, require_askable, sizes_to_gather
from ms_coreset.jobs.neighbor_searches import keep_neighbors
from ms_coreset.jobs.options import KNOWN, command_line, require_known, runtime_of, sources_of, spell
from ms_coreset.jobs.out_of_fold import require_foldable, scores_in
from ms_coreset.jobs.patch_evidence import require_evidence
from ms_coreset.jobs.provenance import base_of, changed_arrays, tell_changes
from ms_coreset.jobs.side_files import COST, require_use, with_sides
from ms_coreset.jobs.similarity_files import by_similarity
from ms_coreset.jobs.sources import Runtime, Sources
from ms_coreset.jobs.steps import Steps
from ms_coreset.jobs.trust import Trust, WrongLabels, tell_if_poor, trust_in, wrong_labels
from ms_coreset.jobs.versions import version_notes
from ms_coreset.selectors import METHODS, RULES, SCORES
from ms_coreset.selectors.choice import Choice, split_text
from ms_coreset.selectors.estimate import Estimate
from ms_coreset.selectors.quota import Request
from ms_coreset.selectors.scores.imported import extrapolation_quality
from ms_coreset.terminal import note
from ms_coreset.training.recipe import Recipe


@dataclass(frozen=True)
class SelectionJob:
    """The job of a selection.

    Attributes:
        choice: how to choose; None: the default, see ``default_selection``
        save: folder of the result, or None
        command: the command, which the coreset's file records
        options: options of ``select`` by name, which the coreset's file records, except for those that are None
        former: the coreset that this job repeats, or None; its command and options are kept
    """

    sources: Sources
    choice: Choice | None
    request: Request
    save: str | None = None
    runtime: Runtime = field(default_factory=Runtime)
    command: str | None = None
    options: Mapping = field(default_factory=dict)
    former: Coreset | None = None


@dataclass(frozen=True, kw_only=True)
class SelectionResult:
    """The result of ``run_selection``: a coreset, and what it was chosen from.

    Attributes:
        coreset: the ``Coreset``
        split: the whole training split; ``coreset.indices`` are places in it
        estimate: estimated memory and operations of the selection
        steps: seconds and peak memory of each step
        trust: accuracy of the evidence, or None if no network or patches were used
        wrong: estimated shares of wrong labels, or None if the evidence is a network's
        came_with_data: fields of the evidence that came with the data
        files: {"npz": file of the coreset, "bin": file of the dropped samples}; empty if nothing was written
        changes: lines about differences from the coreset that was repeated
    """

    coreset: Coreset
    split: Split
    estimate: Estimate
    steps: Steps
    trust: Trust | None = None
    wrong: WrongLabels | None = None
    came_with_data: tuple = ()
    files: Mapping = field(default_factory=dict)
    changes: tuple = ()

    @property
    def summary(self) -> dict:
        """Count samples, samples of each class, and bad samples.

        Returns:
            The dict of ``Coreset.summary``.
        """
        return self.coreset.summary(self.split)


def select(job: SelectionJob) -> SelectionResult:
    """Carry out a selection.

    Args:
        job: what is wanted

    Returns:
        The ``SelectionResult``.

    Raises:
        MsCoresetError: for what can't be meant, is missing, or does not fit in the memory.
    """
    unsaid, wanted, steps = job.former is None and is_nothing_said(job), with_defaults(job), Steps()
    wanted = replace(wanted, choice=by_similarity(_choice_of(wanted), job.sources.evidence.similarity))
    require_use(_choice_of(wanted), job.sources.evidence)
    _choice_of(wanted).require_agreement(wanted.request)
    require_evidence(wanted.sources, {_choice_of(wanted).name: _choice_of(wanted).needs})
    require_foldable(wanted.sources, scores_in(_choice_of(wanted)))
    if job.save is not None:
        require_writable(job.save)
    device, whole, pool, split = load_pool(job.sources, job.runtime, steps)
    if unsaid and goes_by_patches(device, split, _choice_of(wanted).needs):
        wanted = by_patches(wanted, split)
    sources, choice, request = wanted.sources, _choice_of(wanted), wanted.request
    _require_labels(whole, choice, request)
    given = [name for name in (*choice.needs, COST) if name in split.known]
    notes = {**_request_notes(wanted, whole, given), **version_notes(device, sources.network.framework),
             "data": data_identity(whole, given)}
    tell_changes(job.former, notes)
    require_askable(split, {choice.name: choice.needs})
    expected = choice.estimate(*sizes_to_gather(sources, split, device, choice.needs), request)
    note(expected)
    expected.require_fit()
    evidence, checkpoint = gather(sources, split, device, steps, choice.needs)
    evidence = with_sides(evidence, split, sources.evidence)
    notes |= tell_extrapolation(choice, evidence)
    based = base_of(checkpoint, evidence)
    tell_changes(job.former, based)
    trusted = trust_in(sources, split, evidence, checkpoint, device)
    tell_if_poor(trusted)
    with steps("select"), keep_neighbors(sources.evidence.cache):
        coreset = choice.choose(evidence, request)
    wrong = wrong_labels(evidence, coreset)
    if pool is not None:
        coreset = coreset.within(pool, len(whole))
    coreset.manifest.update({**notes, **based})
    changes = tuple(changed_arrays(job.former, coreset)) if job.former else ()
    files = _save(wanted, coreset, changes, steps)
    return SelectionResult(coreset=coreset, split=whole, estimate=expected, steps=steps, trust=trusted, wrong=wrong,
                           came_with_data=tuple(given), files=files, changes=changes)


def _require_labels(whole: Split, choice: Choice, request: Request) -> None:
    """Raise ``MsCoresetError`` where the method, the balance or a quota looks at labels, and none are known."""
    if request.balance:
        whole.require_labels("balance", "leave balance out")
    needing = choice.needing_labels
    if needing is not None:
        whole.require_labels(needing, f"choose by one of those without, such as {WITHOUT_LABELS}"
                             if needing in (*METHODS.names(), *SCORES.names(), *RULES.names()) else
                             f"leave {needing} out")


def tell_extrapolation(choice: Choice, evidence: Evidence) -> dict[str, Any]:
    """Notes on how well extrapolated scores agree with known ones, which are also printed; empty for other choices."""
    options, scores = choice.extrapolation, evidence.imported
    if options is None or scores is None or not np.isnan(scores).any():
        return {}
    if np.count_nonzero(~np.isnan(scores)) <= options["neighbors"]:
        return {}
    quality = extrapolation_quality(evidence, **options)
    note(f"extrapolated from {quality.scored:,} of {len(evidence):,} samples; where the score is known, the neighbors' "
         f"has a correlation of {quality.pearson:.2f} with it (of ranks {quality.spearman:.2f})")
    told = quality._asdict()
    return {"extrapolation": {name: None if np.isnan(value) else value for name, value in told.items()}}


def _choice_of(job: SelectionJob) -> Choice:
    """How a job chooses, of which ``unsaid`` has said all that was not said."""
    assert job.choice is not None
    return job.choice


def run_selection(*, dataset: str, rate: float = 1.0, method: str | None = None, balance: bool = False,
                  evidence: str | None = None, recipe: str | Recipe | None = None, ckpt: str | None = None,
                  pool: int | None = None, seed: int = 0, memory: int | str | None = None, save: str | None = None,
                  data: str = "data", device: str = "auto", **options: Any) -> SelectionResult:
    """Select a coreset of a data set by name: like the command ``select``, with its defaults.

    Args:
        dataset: name of the data set
        rate: share of the samples to keep, in (0, 1]
        balance: whether the same share of every class is kept
        method: a text such as "moderate", "ccs:mis_ratio=0.3" or "el2n-strata". None: Moderate as published; but on a
            CPU, if no method, evidence or network is given, CCS by the loss from random patches
        evidence: "network", or "patches", which need no training
        recipe: recipe of the network that gives the evidence; None: the data set's own
        ckpt: file of a network that gives the evidence, instead of one that is trained
        pool: number of samples to select from, a class-balanced part of the data; None: all
        seed: of all random numbers, 0 to 2**32 - 1
        memory: memory that the selection may use, bytes or a text such as "2G"
        save: folder to write the coreset to; None: it is not written. A network that was trained, and extracted
            evidence, are kept in ``model_dir`` and ``cache`` in any case
        data: the folder where the data set lies
        device: "auto", "CPU", "GPU" or "Ascend", see ``set_device``
        options: others of the command by their names: of the data such as image_size, of the network such as arch,
            epochs and framework (of ``networks``), of the evidence such as runs and filters, and model_dir, cache,
            precision, compile

    Returns:
        The ``SelectionResult``.

    Raises:
        MsCoresetError: for what can't be meant, is missing, or does not fit in the memory.
    """
    given = {"dataset": dataset, "data": data, "method": method, "rate": rate, "balance": balance, "evidence": evidence,
             "recipe": recipe, "ckpt": ckpt, "pool": pool, "seed": seed, "memory": memory, "device": device}
    require_known(options, (*given, *KNOWN))
    given |= options
    require_kind("method", method, str, type(None))
    sources = sources_of(given)
    choice = None if method is None else Choice(*split_text(method), seed)
    recorded = spell(given)
    return select(SelectionJob(sources, choice, Request(rate, balance, seed, memory), save, runtime_of(given),
                               command_line("select", recorded), recorded))


def _request_notes(job: SelectionJob, whole: Split, given: Sequence[str]) -> dict[str, Any]:
    """Notes on what was asked for. What is repeated goes by the command that made it first."""
    options = {name: value for name, value in job.options.items() if value is not None}
    command = job.command
    if job.former is not None:
        former = job.former.manifest
        command, options = former.get("command"), former["arguments"]
    return {"dataset": job.sources.data.name_in_files, "perturbation": whole.manifest, "came_with_data": given,
            "command": command if isinstance(command, str) else None, "arguments": options}


def _save(job: SelectionJob, coreset: Coreset, changes: Sequence[str], steps: Steps) -> dict[str, Path]:
    """The files that the coreset is written to; none for one that differs from what lies there to be repeated."""
    if job.save is None:
        return {}
    folder, dataset = Path(job.save), job.sources.data.name_in_files
    quota = f"-{_choice_of(job).canonical_options['quota']}" if _choice_of(job).quota else ""
    balanced = ("-balanced" if job.request.balance else "") + quota
    files = {"bin": folder / f"{dataset}.bin",
             "npz": folder / f"{dataset}-{coreset.method}{balanced}-{job.request.rate:g}.npz"}
    if changes and files["npz"].exists():
        note(f"{files['npz']} is left as it is: another --save keeps the other coreset beside it")
        return {}
    with steps("save"):
        if current().first:
            coreset.save(files["npz"], dropped=files["bin"])
    return files
