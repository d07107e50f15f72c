"""Data sets, base networks, their evidence, and training, for the runs of a study."""

import contextlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from ms_coreset.datasets.split import Split
from ms_coreset.errors import MsCoresetError
from ms_coreset.evidence import Evidence
from ms_coreset.experiment.one_run import Costs, Data
from ms_coreset.experiment.runs import Cell, Run, checksum
from ms_coreset.experiment.store import Claims
from ms_coreset.experiment.sweep import Busy
from ms_coreset.identity import contents_digest
from ms_coreset.jobs.attacked import training_split
from ms_coreset.jobs.base_network import build_network, checkpoint_folder, trained_network
from ms_coreset.jobs.gather_evidence import draw_pool, gather
from ms_coreset.jobs.sources import NETWORK, Sources
from ms_coreset.jobs.steps import Steps
from ms_coreset.json_files import read_json, write_json
from ms_coreset.kinds import Network
from ms_coreset.training.loop import TrainingResult, data_digest, evaluate, is_finished, train
from ms_coreset.training.recipe import Recipe
from ms_coreset.training.trackers import Told

SAVE_INTERVAL = 60  # seconds of training that an interruption may cost
_COSTS = "costs.json"


class Bench:
    """Loads data, gathers evidence and trains for ``one_run.Work``.

    Args:
        sources: of the study
        labels: data set -> its name in reports
        cells: all cells of the study
    """

    def __init__(self, sources: Sources, device: str, claims: Claims, labels: Mapping[str, str],
                 cells: Iterable[Cell]) -> None:
        self._sources, self._device, self._claims, self._labels = sources, device, claims, labels
        self._bases = {(cell.dataset, cell.recipe) for cell in cells if cell.evidence == NETWORK}
        self._loaded: tuple[tuple[str, int | None, int], Data] | None = None

    def load(self, cell: Cell) -> Data:
        """The cell's ``Data``; the last one is kept in memory."""
        wanted = (cell.dataset, cell.pool, cell.pool_seed)
        if self._loaded is None or self._loaded[0] != wanted:
            self._loaded = None
            sources = self._sources_of(cell)
            whole, test = training_split(sources), sources.data.load(train=False)
            whole.require_images()
            if test is None:
                raise MsCoresetError(f"{cell.dataset} has no test split: there is nothing to compare coresets by")
            places, split = draw_pool(whole, cell.pool, cell.pool_seed)
            label = self._labels.get(cell.dataset, cell.dataset)
            self._loaded = (wanted, Data(whole, places, split, test, contents_digest(split), data_digest(split), label))
        return self._loaded[1]

    def gather(self, cell: Cell, data: Data, needs: Sequence[str]) -> tuple[Evidence, Costs]:
        """(evidence of the cell's base networks, costs); see ``Work``."""
        if not needs:
            evidence, _ = gather(self._sources_of(cell), data.split, self._device, Steps(), ())
            return evidence, {"seconds": {"base": 0.0, "extract": 0.0}, "peak_mb": {}, "base_accuracy": None}
        if cell.evidence != NETWORK:
            return self._patches(cell, data, needs)
        folders = [self._folder(cell, cell.recipe, cell.seed + run, data) for run in range(cell.runs)]
        with contextlib.ExitStack() as claims:
            for folder in folders:
                self._claim(folder, claims)
            return self._ask(cell, data, needs, folders)

    def _patches(self, cell: Cell, data: Data, needs: Sequence[str]) -> tuple[Evidence, Costs]:
        """(evidence of random patches, costs); cached evidence has the costs of its making."""
        folder = Path(self._sources.evidence.cache) / f"patches-{checksum([data.digest, cell.seed, cell.base()])}"
        with contextlib.ExitStack() as claims:
            self._claim(folder, claims)
            steps = Steps()
            evidence, _ = gather(self._sources_of(cell), data.split, self._device, steps, needs)
            made = self._note(folder, "patches", steps, "patches")
        return evidence, {"seconds": {"base": 0.0, "extract": made["seconds"]}, "peak_mb": {"extract": made["peak_mb"]},
                          "base_accuracy": getattr(evidence, "test_accuracy", None)}

    def _ask(self, cell: Cell, data: Data, needs: Sequence[str], folders: Sequence[Path]) -> tuple[Evidence, Costs]:
        asked, steps = [], Steps()

        def find(sources: Sources, split: Split, _: str, __: Steps, run: int) -> tuple[Network, Path]:
            own = Steps()
            found = trained_network(sources, split, cell.recipe, folders[run], cell.seed + run, own)
            self._note(folders[run], "train", own)
            asked.append(found[0])
            return found

        evidence, _ = gather(self._sources_of(cell), data.split, self._device, steps, needs, find)
        if not asked:
            return evidence, {"seconds": {"base": 0.0, "extract": 0.0}, "peak_mb": {}, "base_accuracy": None}
        extraction = self._note(folders[0], f"extract {' '.join(needs)}", steps, "extract")
        trainings = [self._note(folder, "train") for folder in folders]
        accuracy = _costs(folders[0]).get("accuracy")
        if accuracy is None:
            accuracy = evaluate(asked[0], data.test, cell.recipe)["accuracy"]
            write_json(folders[0] / _COSTS, {**_costs(folders[0]), "accuracy": accuracy})
        known = all(costs["seconds"] is not None for costs in trainings)
        seconds = {"base": sum(costs["seconds"] for costs in trainings) if known else None,
                   "extract": extraction["seconds"]}
        return evidence, {"seconds": seconds, "peak_mb": {"extract": extraction["peak_mb"]}, "base_accuracy": accuracy}

    def train(self, run: Run, part: Split, weights: np.ndarray | None, folder: Path, data: Data,
              hooks: Told) -> tuple[TrainingResult, Costs]:
        """(result, costs) of training on a part of the data, or on all by the run's sampler; see ``Work``.

        Training on all data by a base network's recipe is the training of that base network.
        """
        if not run.whole or (run.cell.dataset, run.recipe) not in self._bases:
            n = len(data.split)
            recipe = run.recipe_for(n, len(part)) if run.choice else run.recipe_for_sampler(n)
            return self._train(run, recipe, part, weights, folder, data, hooks, (), SAVE_INTERVAL)
        folder = self._folder(run.cell, run.recipe, run.cell.seed, data)
        with contextlib.ExitStack() as claims:
            self._claim(folder, claims)
            return self._train(run, run.recipe, part, weights, folder, data, hooks, None, 0)

    def _train(self, run: Run, recipe: Recipe, part: Split, weights: np.ndarray | None, folder: Path, data: Data,
               hooks: Told, record: Sequence[str] | None, save_interval: float) -> tuple[TrainingResult, Costs]:
        steps, begun = Steps(), is_finished(folder)
        with steps("train"):
            network = build_network(recipe, data.split, run.cell.seed, self._sources.network.framework)
            result = train(network, part, recipe, seed=run.cell.seed, weights=weights, record=record, folder=folder,
                           resume=True, test=data.test, save_interval=save_interval, sampling=run.sampling,
                           on_epoch=hooks.on_epoch)
        costs = self._note(folder, "train", None if begun else steps)
        return result, {**costs, "last": evaluate(result.network, data.test, recipe)}

    def _note(self, folder: Path, name: str, steps: Steps | None = None, step: str = "train") -> Costs:
        """The costs of a step when it was done, kept in ``folder``; None if the process ended before."""
        costs = _costs(folder)
        if name not in costs and steps is not None and step in steps.seconds:
            costs[name] = {"seconds": steps.seconds[step], "peak_mb": steps.peak_mb[step]}
            write_json(folder / _COSTS, costs)
        return costs.get(name, {"seconds": None, "peak_mb": None})

    def _folder(self, cell: Cell, recipe: Recipe, seed: int, data: Data) -> Path:
        """The folder of a network's training, different for different images, labels, normalisation and options."""
        sources = self._sources_of(cell)
        folder, former = (checkpoint_folder(sources, recipe,
                                            f"seed{seed}-{checksum([digest, recipe.as_dict(), seed])}")
                          for digest in (data.identity, data.digest))
        return former if former.is_dir() else folder  # of before 0.2, which does not tell the normalisation

    def _claim(self, folder: Path, claims: contextlib.ExitStack) -> None:
        if not claims.enter_context(self._claims.claim(folder.name)):
            raise Busy

    def _sources_of(self, cell: Cell) -> Sources:
        """The study's sources for one cell."""
        sources = self._sources
        evidence = replace(sources.evidence, kind=cell.evidence, runs=cell.runs, top_m=cell.top_m)
        return replace(sources, data=sources.data.with_name(cell.dataset), evidence=evidence, pool=cell.pool,
                       seed=cell.seed, network=replace(sources.network, checkpoint=None))


def _costs(folder: Path) -> Costs:
    path = Path(folder) / _COSTS
    return read_json(path) if path.is_file() else {}
