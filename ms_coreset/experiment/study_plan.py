"""From the plan of a study to its runs, and from a run to the command that repeats it."""

import dataclasses
import itertools
import re
import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ms_coreset.datasets.family import canonical_name, find_dataset
from ms_coreset.errors import MsCoresetError
from ms_coreset.experiment.runs import PROTOCOLS, WHOLE, Cell, Run, order, require_few
from ms_coreset.jobs.default_recipe import recipe_of
from ms_coreset.jobs.options import runtime_of, sources_of
from ms_coreset.jobs.patch_evidence import require_evidence
from ms_coreset.jobs.sources import NETWORK, PATCHES, DataSource, EvidenceSource, Runtime, Sources
from ms_coreset.networks import canonical_network
from ms_coreset.randomness import check_seed
from ms_coreset.selectors.choice import FAMILIES, Choice
from ms_coreset.selectors.quota import Request
from ms_coreset.training.adaptive import Reselection
from ms_coreset.training.recipe import Recipe
from ms_coreset.training.sampling import Sampling
from ms_coreset.training.trackers import Hooks

OWN = "own"  # in --train-archs: the network that gave the evidence
# Fields of the recipe of the networks that give the evidence, each an option selection_..., with its type.
SELECTION = {"epochs": int, "batch_size": int, "lr": float, "momentum": float, "weight_decay": float}
_LISTS = ("datasets", "methods", "samplers", "rates", "seeds", "archs", "protocols", "evidence")
# What is compared by default; the sampler is the baseline that a coreset has to be better than.
METHODS, SAMPLERS, RATES = ("random", "moderate", WHOLE), ("rs2",), (0.2,)


@dataclass(frozen=True)
class StudyPlan:
    """What a study compares: every combination of data set, method, rate, seed and so on.

    Attributes:
        sources: of the data sets; name, kind of evidence and seed are replaced by those of each run
        methods: texts, see ``Choice.parse``
        samplers: texts, see ``Sampling.parse``
        families: the methods that DeepCore's family names stand for
        archs: networks that give the evidence, such as "resnet18-w16"; empty: the recipe's
        train_archs: networks that are trained on the coresets; ``OWN`` is the one that gave the evidence
        protocols: of ``runs.PROTOCOLS``; empty: what the recipe states
        selection: fields that replace those of the recipe of the networks that give the evidence
    """

    sources: Sources
    datasets: tuple
    methods: tuple = METHODS
    samplers: tuple = ()
    rates: tuple = RATES
    seeds: tuple = (0,)
    balances: tuple = (False,)
    archs: tuple = ()
    train_archs: tuple = (OWN,)
    protocols: tuple = ()
    evidence: tuple = (NETWORK,)
    pool_seed: int = 0
    selection: Mapping = field(default_factory=dict)
    families: Mapping = field(default_factory=dict)


@dataclass(frozen=True)
class Preparation:
    """A perturbed data set, and the function that makes it if it is missing."""

    data: DataSource
    make: Callable[[], Any]


@dataclass(frozen=True)
class StudyJob:
    """The job of a study.

    Attributes:
        folder: of its results
        labels: name of a data set -> what reports call it
        retry: whether failed runs are done again
        settings: its options as plain values by their names in a --config file, which study.yaml keeps
        words: of the command, after ``experiment``
        hooks: who is told of every epoch of training on a coreset or by a sampler, and of every run
    """

    plan: StudyPlan
    folder: Path
    runtime: Runtime = field(default_factory=Runtime)
    labels: Mapping = field(default_factory=dict)
    prepare: tuple = ()
    retry: bool = False
    settings: Mapping = field(default_factory=dict)
    words: tuple = ()
    hooks: Hooks = field(default_factory=Hooks)


def study_job(options: Mapping[str, Any], settings: Mapping[str, Any], words: tuple[str, ...]) -> StudyJob:
    """The ``StudyJob`` that options of ``experiment`` describe.

    Args:
        options: by their names; "label" is a mapping
        settings: see ``StudyJob``
        words: see ``StudyJob``

    Returns:
        The job.

    Raises:
        MsCoresetError: for invalid options.
    """
    if not options["datasets"]:
        raise MsCoresetError("--datasets is missing; --help shows what there is")
    name = options["name"]
    if name in (".", "..") or Path(name).name != name:
        raise MsCoresetError(f"--name {name}: a study's name is no path; --save names its folder")
    folder = Path(options.get("save") or f"results/{name}")
    return StudyJob(_plan(options, folder), folder, runtime_of(options), options.get("label") or {},
                    retry=options.get("retry", False), settings=settings, words=words)


def _plan(options: Mapping[str, Any], folder: Path) -> StudyPlan:
    own = {"dataset": options["datasets"][0], "evidence": None, "arch": None,
           "model_dir": options.get("model_dir") or str(folder / "ckpt"),
           "cache": options.get("cache") or str(folder / "evidence-cache")}
    lists = {name: tuple(options.get(name) or ()) for name in _LISTS}
    if options.get("samplers") is None and lists["methods"] == METHODS:
        lists["samplers"] = SAMPLERS
    return StudyPlan(sources_of({**options, **own}), **lists, balances=tuple(options["balance"] or [True]),
                     train_archs=tuple(options.get("train_archs") or [OWN]), pool_seed=options.get("pool_seed", 0),
                     selection={name: options.get(f"selection_{name}") for name in SELECTION},
                     families={name: options[name] for name in FAMILIES if name in options})


def plan_runs(study: StudyPlan, device: str) -> list[Run]:
    """The runs of a ``StudyPlan`` in their order; raises ``MsCoresetError`` for invalid values."""
    require_few(study.datasets, (*study.methods, *study.samplers), study.rates, study.seeds, study.balances,
                study.archs, study.train_archs, study.protocols)
    datasets = [canonical_name(name) for name in study.datasets]
    methods = [Choice.parse(text, study.families) for text in study.methods]
    samplers = [Sampling.parse(text) for text in study.samplers]
    for sampler in filter(None, (sampling.reselect(0) for sampling in samplers)):
        Reselection.of_sampler(sampler)  # refuses methods that no network tells enough of while it learns
    if not methods and not samplers:
        raise MsCoresetError("neither a method nor a sampler: there is nothing to compare")
    require_evidence(_without_framework(study.sources), {method.text: method.needs for method in methods},
                     study.evidence)
    for rate in study.rates:
        Request(rate)
    for method, balance in itertools.product(methods, study.balances):
        method.require_agreement(Request(1.0, balance))
    for kind in study.evidence:
        EvidenceSource(kind)
    for protocol in study.protocols:
        if protocol not in PROTOCOLS:
            raise MsCoresetError(f"protocol {protocol!r}: must be one of {', '.join(PROTOCOLS)}")
    seeds = [check_seed(seed) for seed in study.seeds]
    others = [name for name in study.train_archs if name != OWN]
    recipes = {(dataset, arch): _recipe(study.sources, device, dataset, arch)
               for dataset in datasets for arch in {None, *study.archs, *others}}
    protocols = study.protocols or [_protocol_of(recipes[datasets[0], None])]
    cells = [_cell(study, dataset, seed, recipes[dataset, arch], evidence) for seed in seeds for dataset in datasets
             for arch in study.archs or [None] for evidence in study.evidence]

    def train_archs(cell: Cell) -> list[str]:
        return list(dict.fromkeys(cell.arch if name == OWN else _spell(recipes[cell.dataset, name])
                                  for name in study.train_archs))

    by_name = {(dataset, _spell(recipe)): recipe for (dataset, _), recipe in recipes.items()}
    return _distinct(order(cells, [*methods, *samplers], study.rates, study.balances, train_archs, protocols,
                           lambda dataset, arch: by_name[dataset, arch]))


def _without_framework(sources: Sources) -> Sources:
    """Sources that say no framework: a study has a use for it whatever the evidence is, to train on what was kept."""
    return dataclasses.replace(sources, network=dataclasses.replace(sources.network, given_framework=None))


def _distinct(runs: Sequence[Run]) -> list[Run]:
    return list({run.key(): run for run in runs}.values())


def _protocol_of(recipe: Recipe) -> str:
    return "epochs" if recipe.epochs else "iterations"


def _cell(study: StudyPlan, dataset: str, seed: int, recipe: Recipe, evidence: str) -> Cell:
    sources = study.sources
    filters = sources.evidence.filters if evidence == PATCHES else None
    return Cell(dataset, sources.pool, study.pool_seed, seed, _spell(recipe), recipe.override(**study.selection),
                sources.evidence.runs, sources.evidence.top_m, evidence, filters, sources.network.framework)


def _recipe(sources: Sources, device: str, dataset: str, arch: str | None) -> Recipe:
    """The recipe of training ``arch``, such as "resnet18-w16", on a data set; None is the recipe's own network."""
    parts = re.fullmatch(r"(.*?)(?:-w(\d+))?", arch or "", re.DOTALL)
    assert parts is not None  # any text has them
    name, width = parts.groups()
    network = sources.network
    recipe = recipe_of(network, dataset, device, sources.data.image_size or 32, name)
    if arch is None:
        return dataclasses.replace(recipe, arch=canonical_network(recipe.arch))
    name = canonical_network(name, network.framework)
    kept = recipe.width if name == canonical_network(recipe.arch) else None
    return dataclasses.replace(recipe, arch=name, width=int(width) if width else network.overrides.get("width") or kept)


def _spell(recipe: Recipe) -> str:
    """A network's name with its width, as in the names of its files."""
    return recipe.arch + (f"-w{recipe.width}" if recipe.width else "")


def labels_of(datasets: Iterable[str], given: Mapping[str, str]) -> dict[str, str]:
    """The label of each data set in reports: its own, or its family's with the perturbation.

    Args:
        datasets: their names
        given: name -> label

    Returns:
        {name: label}.
    """
    given, labels = {canonical_name(name): text for name, text in given.items()}, {}
    for name in map(canonical_name, datasets):
        family, letter, variant = find_dataset(name)
        if family.name in given:
            labels[name] = given[family.name] + (f", {letter}{f'@{variant}' if variant else ''}" if letter else "")
    return labels | given


def command_of(study: StudyPlan, words: Iterable[str], run: Run) -> str:
    """The command that does one run of a study, in the same folder; ``words`` are those of the study's command."""
    cell = run.cell
    narrowed = {"datasets": cell.dataset, **_row(study, run), "rates": f"{run.rate:g}", "seeds": cell.seed,
                "archs": cell.arch, "train-archs": run.train_arch, "protocols": run.protocol,
                "balance": "yes" if run.balance else "no"}
    if PATCHES in study.evidence:
        narrowed["evidence"] = cell.evidence
    return shlex.join(["experiment", *words, *(str(word) for name, value in narrowed.items()
                                               for word in (f"--{name}", value) if word is not None)])


def _row(study: StudyPlan, run: Run) -> dict[str, str | None]:
    """The options that name a run's method or sampler, and none of the others of the study."""
    if run.choice is None:
        return {"methods": None, "samplers": run.method.text}
    return {"methods": run.method.text, **({"samplers": None} if study.samplers else {})}
