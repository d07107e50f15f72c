"""Studies from the plan to the results: every run once, by any number of processes."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from ms_coreset.datasets import default_overlay_path
from ms_coreset.datasets.family import canonical_name
from ms_coreset.device import require_mindspore
from ms_coreset.engines.frameworks import MINDSPORE
from ms_coreset.errors import MsCoresetError, require_kind
from ms_coreset.experiment.bench import Bench
from ms_coreset.experiment.one_run import Work
from ms_coreset.experiment.runs import Run
from ms_coreset.experiment.store import Claims, Record, Store
from ms_coreset.experiment.study_plan import (
    METHODS,
    OWN,
    RATES,
    SELECTION,
    StudyJob,
    command_of,
    labels_of,
    plan_runs,
    study_job,
)
from ms_coreset.experiment.sweep import sweep
from ms_coreset.experiment.tally import Tally, list_runs
from ms_coreset.files import atomic_write
from ms_coreset.identity import normalization
from ms_coreset.jobs.base_network import require_writable
from ms_coreset.jobs.computing import set_up
from ms_coreset.jobs.options import KNOWN, require_known, spell, words_of
from ms_coreset.jobs.sources import NETWORK
from ms_coreset.jobs.versions import version_notes
from ms_coreset.selectors.choice import FAMILIES
from ms_coreset.terminal import note
from ms_coreset.training.recipe import Recipe
from ms_coreset.training.trackers import Hook, Hooks

_NOT_OF_STUDIES = ("dataset", "seed", "among", "arch", "memory", "dynamics")
_OPTIONS = (*(name for name in KNOWN if name not in _NOT_OF_STUDIES), "pool_seed", "label",
            *(f"selection_{name}" for name in SELECTION), *FAMILIES)  # beside the parameters of ``run_study``
_PLACES = ("save", "data", "model_dir", "cache", "ckpt", "device")
_OF_DATA = {"data": "other images or labels", "normalization": "images of another mean or deviation"}


@dataclass(frozen=True)
class StudyResult:
    """The results of a study.

    Attributes:
        path: file of all records, runs.jsonl.
        records: the latest record of every run, in the order of the study, as plain values.
    """

    path: Path
    records: list

    @property
    def failed(self) -> list:
        """The records of runs that failed."""
        return [record for record in self.records if record["status"] == "failed"]


def list_study(job: StudyJob) -> None:
    """Print the runs, and how many of them are done."""
    _, runs, store = _begin(job)
    list_runs(runs, store, job.folder)


def do_study(job: StudyJob) -> StudyResult:
    """Do all runs of a study that are not done.

    Raises:
        MsCoresetError: for invalid options, for data that is missing, and for data that differs from that of existing
            results. Errors of single runs are in their records.
    """
    device, runs, store = _begin(job)
    folder, plan = job.folder, job.plan
    framework = plan.sources.network.framework
    if framework == MINDSPORE:
        require_mindspore()  # an error now, not in every run
    require_writable(folder)
    with atomic_write(folder / "study.yaml", "w", encoding="utf-8") as stream:
        yaml.safe_dump(dict(job.settings), stream, sort_keys=False, allow_unicode=True)
    bench = Bench(plan.sources, device, Claims(Path(plan.sources.network.folder) / ".locks"),
                  labels_of(plan.datasets, job.labels), {run.cell for run in runs})
    claims = Claims(folder / ".locks")
    work = Work(folder, claims, bench, runs, version_notes(device, framework),
                lambda run: command_of(plan, job.words, run), job.hooks)
    counted = Tally(runs, store, job.retry)
    with claims.claim("prepare", wait=True):
        _prepare(job)
        counted.begin(_check_data(counted.pending, bench, store))

    _clear(runs, store, claims, work)

    def finish(run: Run, record: Record) -> None:
        work.clear(run)
        counted.tell(run, record)

    sweep(runs, store, claims, work.perform, finish, job.retry)
    return StudyResult(store.path, [store.record_of(run) for run in runs])


def run_study(*, datasets: Sequence[str], methods: Sequence[str] = METHODS, samplers: Sequence[str] | None = None,
              rates: Sequence[float] = RATES, seeds: Sequence[int] = (0,), balance: Sequence[bool] = (False,),
              archs: Sequence[str] = (), train_archs: Sequence[str] = (OWN,), protocols: Sequence[str] = (),
              evidence: Sequence[str] = (NETWORK,), pool: int | None = None, recipe: str | Recipe | None = None,
              name: str = "study", save: str | None = None, data: str = "data", device: str = "auto",
              retry: bool = False, track: Sequence[str] = (), on_epoch: Hook | None = None,
              on_run: Hook | None = None, **options: Any) -> StudyResult:
    """Run a study: select with every method at every rate, train on every coreset, and keep the results.

    It does what the command ``experiment`` does, with the same defaults. A second call continues where the first
    stopped.

    Args:
        datasets: names of the data sets
        methods: texts such as "moderate", "ccs:mis_ratio=0.3" or "el2n-strata"; "full" keeps all samples.
        samplers: texts such as "rs2" or "infobatch:ratio=0.3"; each trains for as many updates as on a coreset of each
            rate. None: "rs2" beside the default methods, else none
        rates: shares to keep
        seeds: every method is run with each of them
        balance: whether the same share of every class is kept; a sequence of both values runs both
        archs: networks that give the evidence, with their width if it is not the default, "resnet18-w16"; empty: the
            recipe's
        train_archs: networks that are trained on the coresets; "own" is the one that gave the evidence
        protocols: what is equal to training on all data, "epochs" or "iterations"; empty: what the recipe states
        evidence: kinds of evidence: "network", "patches", or both
        pool: number of samples to select from, a class-balanced part of the data; None: all
        recipe: a recipe's name or YAML file, or a ``Recipe``; None: the data set's own
        name: of the study
        save: folder of the study; None: results/<name>
        data: the folder where the data sets lie
        device: "auto", "CPU", "GPU" or "Ascend", see ``set_device``
        retry: whether failed runs are done again
        track: of "tensorboard", "wandb" and "mindinsight", which get the numbers of every epoch and run in a folder of
            that name in the study's
        on_epoch: called after every epoch of training on a coreset or by a sampler with its entry, see
            ``TrainingResult.history``, and "run", what the run is called
        on_run: called with the record of every run that was done or failed, and "run"
        options: further options of the command by their names, such as epochs, pool_seed, label (a mapping), model_dir,
            cache

    Returns:
        The ``StudyResult``.

    Raises:
        MsCoresetError: for invalid options, and for data that is missing. Errors of single runs are in their records.
    """
    lists = {"datasets": datasets, "methods": methods, "samplers": samplers, "rates": rates, "seeds": seeds,
             "balance": balance, "archs": archs, "train_archs": train_archs, "protocols": protocols,
             "evidence": evidence}
    for option, values in lists.items():
        require_kind(option, values, list, tuple, *((type(None),) if option == "samplers" else ()))
    given = {**lists, "pool": pool, "recipe": recipe, "name": name, "save": save, "data": data, "device": device}
    require_known(options, (*given, *_OPTIONS))
    given |= options
    require_kind("label", given.get("label"), dict, type(None))
    for text in methods:
        require_kind("method", text, str)
    for text in samplers or ():
        require_kind("sampler", text, str)
    settings = spell({option: value for option, value in given.items() if option not in _PLACES})
    job = study_job({**given, "retry": retry}, settings, tuple(words_of(_in_words(given))))
    return do_study(replace(job, hooks=Hooks(on_epoch, on_run, tuple(track))))


def _in_words(given: dict[str, Any]) -> dict[str, Any]:
    """Options in the form in which they are typed."""
    words = {"label": [f"{name}={text}" for name, text in (given.get("label") or {}).items()],
             "balance": ["yes" if balanced else "no" for balanced in given["balance"]]}
    return spell(given | words)


def _begin(job: StudyJob) -> tuple[str, list[Run], Store]:
    """(device, runs, store of the existing results)."""
    device = set_up(job.runtime, job.plan.sources.network)
    return device, plan_runs(job.plan, device), Store(job.folder)


def _clear(runs: Sequence[Run], store: Store, claims: Claims, work: Work) -> None:
    """Remove the checkpoints of recorded runs that are still there, because a process ended in between."""
    for run in runs:
        if store.record_of(run):
            with claims.claim(run.work()) as mine:
                if mine:
                    work.clear(run)


def _prepare(job: StudyJob) -> None:
    """Make the perturbed data sets that are missing and can be made."""
    wanted = set(map(canonical_name, job.plan.datasets))
    for one in job.prepare:
        data = one.data
        if data.canonical_name in wanted and not default_overlay_path(data.root, data.name).exists():
            note(f"preparing {data.name}")
            one.make()


def _check_data(runs: Sequence[Run], bench: Bench, store: Store) -> dict[str, int]:
    """Load every data set, so that errors come now and not after hours; returns data set -> number of samples."""
    recorded = {(str(record.get("dataset")), str(record.get("pool"))): record for record in store.records.values()
                if record["status"] == "done"}
    sizes = {}
    for cell in {(run.cell.dataset, run.cell.pool): run.cell for run in runs}.values():
        data = bench.load(cell)
        record = recorded.get((cell.dataset, str(cell.pool)), {})
        now = {"data": data.digest, "normalization": normalization(data.split)}
        others = [what for name, what in _OF_DATA.items() if record.get(name, now[name]) != now[name]]
        if others:
            raise MsCoresetError(f"{store.path} holds results on {others[0]} of {cell.dataset}: give another --save, "
                                 "or a variant of another name")
        sizes[cell.dataset] = len(data.split)
    return sizes
