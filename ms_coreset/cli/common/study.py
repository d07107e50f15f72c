"""From the options of ``experiment`` to its runs, and back to the command of one."""

import argparse
import dataclasses
import re
import shlex

from ms_coreset.cli.common.options import PATCHES, resolve_recipe
from ms_coreset.cli.common.patches import require_evidence
from ms_coreset.datasets.family import canonical_name, find_dataset
from ms_coreset.errors import MsCoresetError
from ms_coreset.experiment.plan import Cell, order, require_few
from ms_coreset.randomness import check_seed
from ms_coreset.selectors.choice import FAMILIES, Choice
from ms_coreset.selectors.quota import Request

OWN = "own"  # in --train-archs: the network that was asked
# Options of the base networks' training, each --selection-..., with its type and DeepCore's short name.
SELECTION = {"epochs": (int, "-se"), "batch_size": (int,), "lr": (float, "-slr"), "momentum": (float, "-sm"),
             "weight_decay": (float, "-swd")}


def planned(arguments):
    """The runs that the options describe, in their order; raises ``MsCoresetError`` for what can't be meant."""
    require_few(arguments.datasets, arguments.methods, arguments.rates, arguments.seeds, arguments.balance,
                arguments.archs or (), arguments.train_archs or (), arguments.protocols or ())
    datasets = [canonical_name(name) for name in arguments.datasets]
    families = {name: getattr(arguments, name) for name in FAMILIES}
    methods = [Choice.parse(text, families) for text in arguments.methods]
    require_evidence(arguments, {method.text: method.needs for method in methods})
    balances = arguments.balance or [True]
    for rate in arguments.rates:
        Request(rate)
    seeds = [check_seed(seed) for seed in arguments.seeds]
    recipes = {(dataset, arch): _recipe(arguments, dataset, arch)
               for dataset in datasets for arch in {None, *(arguments.archs or ()), *_other_archs(arguments)}}
    protocols = arguments.protocols or [_stated_protocol(recipes[datasets[0], None])]
    cells = [_cell(arguments, dataset, seed, recipes[dataset, arch], evidence) for seed in seeds for dataset in datasets
             for arch in arguments.archs or [None] for evidence in arguments.evidence]

    def train_archs(cell):
        others = {OWN: cell.arch}
        return list(dict.fromkeys(others.get(name) or _spelled(recipes[cell.dataset, name])
                                  for name in arguments.train_archs or [OWN]))

    by_name = {(dataset, _spelled(recipe)): recipe for (dataset, _), recipe in recipes.items()}
    return _distinct(order(cells, methods, arguments.rates, balances, train_archs, protocols,
                           lambda dataset, arch: by_name[dataset, arch]))


def _distinct(runs):
    return list({run.key(): run for run in runs}.values())


def _other_archs(arguments):
    return [name for name in arguments.train_archs or () if name != OWN]


def _stated_protocol(recipe):
    return "epochs" if recipe.epochs else "iterations"


def _cell(arguments, dataset, seed, recipe, evidence):
    overrides = {name: getattr(arguments, f"selection_{name}") for name in SELECTION}
    return Cell(dataset, arguments.pool, arguments.pool_seed, seed, _spelled(recipe), recipe.override(**overrides),
                arguments.runs, arguments.top_m, *((evidence, arguments.filters) if evidence == PATCHES else ()))


def _recipe(arguments, dataset, arch):
    """The recipe of training ``arch``, such as "resnet18-w16", on a data set; None is the recipe's own network."""
    from ms_coreset.networks import canonical_network

    name, width = re.fullmatch(r"(.*?)(?:-w(\d+))?", arch or "", re.DOTALL).groups()
    given = argparse.Namespace(**{**vars(arguments), "dataset": dataset, "arch": None})
    recipe = resolve_recipe(given, arguments.device, arguments.image_size or 32, name)
    if arch is None:
        return dataclasses.replace(recipe, arch=canonical_network(recipe.arch))
    name = canonical_network(name)
    kept = recipe.width if name == canonical_network(recipe.arch) else None
    return dataclasses.replace(recipe, arch=name, width=int(width) if width else arguments.width or kept)


def _spelled(recipe):
    """A network's name with its width, as in the names of its files."""
    return recipe.arch + (f"-w{recipe.width}" if recipe.width else "")


def labels_of(arguments):
    """Data set -> what reports call it: of its own label, or of its family's with what was done to it."""
    given = {}
    for entry in arguments.label:
        name, equals, text = entry.partition("=")
        if not equals:
            raise MsCoresetError(f"--label {entry}: write NAME=TEXT")
        given[canonical_name(name)] = text
    labels = {}
    for name in map(canonical_name, arguments.datasets):
        family, letter, variant = find_dataset(name)
        if family.name in given:
            labels[name] = given[family.name] + (f", {letter}{f'@{variant}' if variant else ''}" if letter else "")
    return labels | given


def command_of(arguments, run):
    """The command that does this run alone, in the same folder."""
    cell = run.cell
    narrowed = {"datasets": cell.dataset, "methods": run.method.text, "rates": f"{run.rate:g}", "seeds": cell.seed,
                "archs": cell.arch, "train-archs": run.train_arch, "protocols": run.protocol,
                "balance": "yes" if run.balance else "no"}
    if PATCHES in arguments.evidence:
        narrowed["evidence"] = cell.evidence
    return shlex.join(["experiment", *arguments.typed, *(str(word) for name, value in narrowed.items()
                                                         for word in (f"--{name}", value))])
