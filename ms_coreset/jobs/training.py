"""The job of ``train``: train a network on a data set, a coreset, or coresets that it chooses anew."""

import contextlib
import glob
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ms_coreset import __version__
from ms_coreset.coreset import Coreset, read_dropped
from ms_coreset.datasets.split import Split
from ms_coreset.device import device_settings
from ms_coreset.errors import MsCoresetError
from ms_coreset.files import is_device
from ms_coreset.identity import is_relabeled, misfit
from ms_coreset.jobs.attacked import training_split
from ms_coreset.jobs.base_network import at_work_in, build_network, checkpoint_folder, require_writable
from ms_coreset.jobs.computing import set_up
from ms_coreset.jobs.default_recipe import recipe_of
from ms_coreset.jobs.gather_evidence import draw_pool
from ms_coreset.jobs.reselection import folder_word, of_pool, reselection_notes, reselection_of
from ms_coreset.jobs.sources import ReselectionSource, Runtime, Sources
from ms_coreset.json_files import write_json
from ms_coreset.kinds import FilePath
from ms_coreset.pickle_files import read_pickle
from ms_coreset.terminal import note
from ms_coreset.training.loop import CORESETS, LAST, TrainingResult, checkpoint_file, evaluate, train
from ms_coreset.training.recipe import Recipe
from ms_coreset.training.sampling import Sampling
from ms_coreset.training.trackers import Hooks


@dataclass(frozen=True)
class TrainingJob:
    """The job of a training.

    Attributes:
        coreset: a file of the samples to train on
        dropped: a file of the samples to leave out; without both files: all samples, or the pool
        weighted: whether the coreset's weights are used, if it has any
        reselection: coresets that the network itself chooses anew, or None
        sampling: a sampler that chooses what each epoch presents, or None
        record: fields of ``TrainingDynamics`` to keep; None: all, none on a coreset
        keep: whether checkpoints are written
        resume: whether to continue from them
        result: file of the results; None: result.json beside the checkpoints
        hooks: who is told of every epoch and of the end; trackers write beside the result
    """

    sources: Sources
    runtime: Runtime = field(default_factory=Runtime)
    coreset: str | None = None
    dropped: str | None = None
    weighted: bool = True
    reselection: ReselectionSource | None = None
    sampling: Sampling | None = None
    record: tuple | None = None
    keep: bool = True
    resume: bool = False
    result: str | None = None
    hooks: Hooks = field(default_factory=Hooks)


@dataclass(frozen=True)
class TrainingOutcome:
    """told: what the result file holds, as plain values; file: that.

    Folder: of the checkpoints, None where none are kept.
    """

    recipe: Recipe
    told: dict
    file: Path
    folder: Path | None


def train_network(job: TrainingJob) -> TrainingOutcome:
    """Do a training job.

    Raises:
        MsCoresetError: for what can't be meant, is missing, or is of other data.
    """
    sources, reselection = job.sources, reselection_of(job.reselection)
    device = set_up(job.runtime, sources.network)
    split = training_split(sources)
    recipe = recipe_of(sources.network, sources.data.name, device, split.image_size)
    test = sources.data.load(train=False)
    rows, weights, what = _part(job, split)
    part = split if rows is None else split.subset(rows)
    if reselection is not None:
        reselection, what = of_pool(reselection, rows, len(split)), folder_word(reselection)
    if job.sampling is not None:
        what = job.sampling.folder_word
    folder = checkpoint_folder(sources, recipe, what)
    result_file = _result_file(job, folder)
    record = () if job.record is None and what else job.record
    name = " ".join(filter(None, (sources.data.name_in_files, recipe.arch, what, f"seed {sources.seed}")))
    with job.hooks.of_run(name, folder if job.keep else result_file.parent) as hooks:
        began = time.perf_counter()
        with at_work_in(folder) if job.keep else contextlib.nullcontext():
            network = build_network(recipe, split, sources.seed, sources.network.framework)
            result = train(network, part, recipe, seed=sources.seed, weights=weights, record=record,
                           folder=folder if job.keep else None, resume=job.resume, test=test, reselection=reselection,
                           sampling=job.sampling, on_epoch=hooks.on_epoch)
        seconds = time.perf_counter() - began
        told = {"dataset": sources.data.name_in_files, "coreset": job.coreset or job.dropped, "samples": len(part),
                "no_weights": not job.weighted, "recipe": recipe.as_dict(),
                "protocol": "epochs" if recipe.epochs else "iterations",
                "seed": sources.seed, "device": device, **device_settings(), "version": __version__,
                "seconds": seconds, "last": test and evaluate(result.network, test, recipe),
                "best": _best(result, recipe), "history": result.history}
        if job.sampling is not None:
            told |= {"sampler": str(job.sampling), "presented": result.total("presented"),
                     "updates": result.total("updates")}
        if reselection is not None:
            coresets = folder / CORESETS if job.keep else result_file.with_name(f"{result_file.stem}-coresets")
            told |= reselection_notes(result, reselection, coresets, split, write=not job.keep)
        write_json(result_file, told)
        hooks.on_run(told)
    return TrainingOutcome(recipe, told, result_file, folder if job.keep else None)


def _result_file(job: TrainingJob, folder: Path) -> Path:
    """The result file; raises ``MsCoresetError`` unless all files can be written."""
    if job.keep:
        require_writable(folder)
    if checkpoint_file(folder, LAST).is_file() and job.keep and not job.resume:
        note(f"training anew over {folder} (--resume goes on from its last epoch)")
    path = Path(job.result) if job.result else folder / "result.json"
    if not is_device(path):
        require_writable(path.parent)
    return path


def _part(job: TrainingJob, split: Split) -> tuple[np.ndarray | None, np.ndarray | None, str | None]:
    """(places or None for all, weights or None, a word for the folder or None) of what is trained on."""
    if job.coreset:
        return _of_coreset(job.coreset, job.weighted, split)
    if job.dropped:
        return _places_left(job.dropped, split), None, f"{Path(job.dropped).stem}-pruned"
    return draw_pool(split, job.sources.pool, job.sources.seed)[0], None, None


def _of_coreset(path: FilePath, weighted: bool, split: Split) -> tuple[np.ndarray, np.ndarray | None, str]:
    coreset = Coreset.load(path)
    _require_fitting(coreset, path, split)
    (places, weights), what = coreset.sort_by_index(), Path(path).stem
    if weights is not None and not weighted:
        return places, None, f"{what}-unweighted"
    return places, weights, what


def _places_left(path: FilePath, split: Split) -> np.ndarray:
    """The places that a file of dropped ones leaves; the coreset's file beside it identifies the data."""
    kept, dropped = read_dropped(path, len(split)), read_pickle(path)
    for beside in sorted(Path(path).parent.glob(f"{glob.escape(Path(path).stem)}-*.npz")):
        with contextlib.suppress(MsCoresetError):
            coreset = Coreset.load(beside)
            if np.array_equal(coreset.dropped, dropped):
                break
    else:
        return kept
    _require_fitting(coreset, f"{path}, as {beside.name} tells,", split)
    return kept


def _require_fitting(coreset: Coreset, path: FilePath, split: Split) -> None:
    """Raise ``MsCoresetError`` for a coreset of other data; other labels of the same images are only reported."""
    reason = misfit(coreset, split, split.name, may_differ=("labels",))
    if reason is not None:
        raise MsCoresetError(f"{path} {reason}: give the --dataset, --data and --image-size that it was chosen from")
    if is_relabeled(coreset, split):
        note(f"{path} was chosen by other labels of these images than {split.name} has, which are trained on")


def _best(result: TrainingResult, recipe: Recipe) -> dict[str, Any] | None:
    """The best tested epoch, and what chose it."""
    key = "validation_accuracy" if recipe.validation else "test_accuracy"
    chosen_by = "validation share" if recipe.validation else "test split: for comparison with papers that do so only"
    entry = result.best(key)
    return entry and {"chosen_by": chosen_by, "epoch": entry["epoch"], "accuracy": entry.get("test_accuracy")}
