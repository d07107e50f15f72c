"""``experiment``: data sets x methods x rates x seeds x networks, each run once, even after interruptions."""

import argparse
import functools
import importlib
import shlex
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from ms_coreset.cli.common.common_options import (
    Group,
    add,
    add_data_options,
    add_evidence_options,
    add_network_options,
    add_run_options,
    add_track_option,
)
from ms_coreset.cli.common.configuration import ConfiguredParser, is_shipped_recipe, places_of, settings_of
from ms_coreset.cli.common.plugins import add_plugin_option
from ms_coreset.datasets.family import find_dataset
from ms_coreset.errors import MsCoresetError
from ms_coreset.experiment.run_study import do_study, list_study
from ms_coreset.experiment.runs import MOST_RUNS, PROTOCOLS
from ms_coreset.experiment.study_plan import METHODS, OWN, RATES, SELECTION, Preparation, StudyJob, study_job
from ms_coreset.jobs.options import data_of
from ms_coreset.jobs.sources import NETWORK, PATCHES
from ms_coreset.samplers import SAMPLERS, list_samplers
from ms_coreset.selectors import list_methods
from ms_coreset.selectors.choice import FAMILIES
from ms_coreset.terminal import say
from ms_coreset.training.trackers import Hooks

_EXAMPLES = """examples:
  experiment --config digits
  experiment --dataset digitsN --methods random moderate "ccs:mis_ratio=0.3" full --rates 0.1 0.2 --seeds 0 1 2
  experiment --dataset digitsN --methods random full --samplers rs2 infobatch rcap --rates 0.1 0.3
  experiment --config table1-cifar10 --seeds 0 --rates 0.1 --dry-run
  experiment --fraction 0.1 --dataset CIFAR10 --selection Glister --model ResNet18 --cross LeNet -se 10 --num_exp 5
A method's options follow its name: "el2n:last=5", "glister:rounds=10,eta=0.5"; any score by any rule is "el2n-strata".
The same command typed again goes on where it was; typed twice at the same time, the two share the work."""
_NOT_PLANNED = ("config", "dry_run", "retry", "allow_plugins", "track")  # about this call, not about the study
_OVERLAY_COMMANDS = {"label-noise": "N", "corrupt": "C", "attack": "A"}
# DeepCore's short names of some of --selection-...
_SHORT = {"epochs": ["-se"], "lr": ["-slr"], "momentum": ["-sm"], "weight_decay": ["-swd"]}
# What the study says for the commands of --prepare, too: in their words' place, or where these say nothing.
_SHARED = ("data", "no_download", "image_size", "bits", "image_column", "label_column", "skip_broken")
_SHARED_BY_NETWORKS = ("model_dir", "device", "precision", "compile", "framework")


def parser(typed: str) -> argparse.ArgumentParser:
    """The command's options."""
    # Here there are several of what other commands have one of: options are defined anew.
    options = ConfiguredParser(
        "experiments", prog=typed, epilog=_EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter,
        conflict_handler="resolve", description="Select with every method at every rate, train on every coreset, and "
        "keep the results in a study's folder.")
    add_plugin_option(options)
    data, network, run = add_data_options(options), add_network_options(options), add_run_options(options)
    _add_study_options(options.add_argument_group("study"))
    _add_lists(data, network, run)
    group = options.add_argument_group("selection")
    add_evidence_options(group)
    _add_selection_options(group)
    return options


def _add_study_options(group: Group) -> None:
    add(group, "--config", metavar="FILE", help="YAML file, or a name in configs/experiments; keys are these options, "
        "which are over it when they are typed, too. Where things are, and the device, are typed only")
    add(group, "--allow-plugins", action="store_true", help="run the plugins that the --config names")
    add(group, "--name", metavar="NAME", help="of the study (default: the configuration's, or 'study')")
    add(group, "--save", "-sp", "--save-path", "--save_path", dest="save", metavar="DIR", help="folder of the study "
        "(default: results/<name>)")
    add(group, "--label", nargs="+", default=[], metavar="NAME=TEXT", help="what reports call a data set")
    add(group, "--prepare", nargs="+", default=[], metavar="COMMAND", help="label_noise, corrupt and attack commands "
        "for data that is missing")
    add(group, "--dry-run", action="store_true", help="list the runs and how many of them are done, and leave")
    add(group, "--retry", action="store_true", help="do failed runs again")
    add_track_option(group)


def _add_lists(data: Group, network: Group, run: Group) -> None:
    add(data, "--datasets", "--dataset", dest="datasets", nargs="+", metavar="NAME", help="as for select, perturbed "
        "ones included")
    add(data, "--data", "--data-path", "--data_path", dest="data", default="data", metavar="DIR",
        help="folder that holds the data sets (default: data)")
    add(data, "--pool", type=int, metavar="N", help="work on a class-balanced part of each training split")
    add(data, "--pool-seed", type=int, default=0, metavar="N", help="of the pool, the same for all seeds (default: 0)")
    add(network, "--archs", "--arch", "--model", dest="archs", nargs="+", metavar="NAME", help="networks that are "
        "asked, each with its width if wanted: resnet18-w16, or of a library: timm:NAME (default: the recipe's)")
    add(network, "--train-archs", nargs="+", metavar="NAME", help=f"networks that are trained on the coresets; "
        f"'{OWN}' is the one that was asked (default: {OWN})")
    add(network, "--cross", nargs="+", action=_Cross, metavar="NAME", help=f"DeepCore: --train-archs {OWN} NAME ...")
    add(network, "--protocols", "--protocol", dest="protocols", nargs="+", choices=PROTOCOLS, help="train on a coreset "
        "for as many epochs, or for as many updates, as on all the data (default: what the recipe states)")
    add(network, "--batch-size", "-b", "--batch", "-tb", "--train-batch", "--train_batch", dest="batch_size", type=int,
        metavar="N")
    add(network, "--weight-decay", "-wd", type=float, metavar="X")
    add(network, "--eval-every", "-ti", "--test-interval", "--test_interval", dest="eval_every", type=int, metavar="N",
        help="epochs between two tests")
    add(network, "--model-dir", metavar="DIR", help="folder of the base networks (default: the study's ckpt)")
    add(run, "--seeds", "--seed", dest="seeds", nargs="+", type=int, default=[0], metavar="N", help="of everything "
        "random (default: 0)")
    add(run, "--num-exp", dest="seeds", type=_first_seeds, metavar="N", help="DeepCore: seeds "
        "0 to N - 1")


def _add_selection_options(group: Group) -> None:
    add(group, "--methods", "--method", "--selection", dest="methods", nargs="*", default=list(METHODS),
        metavar="NAME", help=f"of {', '.join(list_methods())} (default: random moderate full)")
    add(group, "--samplers", "--sampler", dest="samplers", nargs="*", metavar="NAME", help="train by "
        f"{', '.join(name for name in list_samplers() if not SAMPLERS[name].screens)}, too, for as many updates as on "
        "a coreset of each rate; options as in infobatch:ratio=0.3 (default: rs2 beside the default methods)")
    add(group, "--submodular", default=FAMILIES["submodular"], metavar="NAME", help="DeepCore: the function that "
        "the method Submodular means (default: GraphCut)")
    add(group, "--uncertainty", default=FAMILIES["uncertainty"], metavar="NAME", help="DeepCore: the score that "
        "the method Uncertainty means (default: Entropy)")
    add(group, "--rates", "--rate", "--fraction", dest="rates", nargs="+", type=float, default=list(RATES), metavar="X",
        help="shares to keep (default: 0.2)")
    add(group, "--balance", nargs="*", type=_yes_or_no, default=[False], metavar="yes|no", help="the same share of "
        "every class (default: no; without a value: yes)")
    add(group, "--cache", metavar="DIR", help="folder of extracted evidence (default: the study's evidence-cache)")
    add(group, "--evidence", nargs="+", choices=(NETWORK, PATCHES), default=[NETWORK], help="features and logits of a "
        "network, or, without training, of random patches and ridge regression, or of each (default: network)")
    for name, kind in SELECTION.items():
        add(group, f"--selection-{name.replace('_', '-')}", *_SHORT.get(name, ()), type=kind,
            metavar="N" if kind is int else "X", help=f"{name.replace('_', ' ')} of the base networks' training "
            "(default: as on coresets)")


class _Cross(argparse.Action):
    def __call__(self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: Any,
                 option_string: str | None = None) -> None:
        namespace.train_archs = [OWN, *values]


def _first_seeds(text: str) -> list[int]:
    if not 0 < int(text) <= MOST_RUNS:
        raise argparse.ArgumentTypeError(f"{text} seeds: 1 to {MOST_RUNS:,}")
    return list(range(int(text)))


def _yes_or_no(text: str) -> bool:
    words = {"yes": True, "true": True, "1": True, "no": False, "false": False, "0": False}
    if text.lower() not in words:
        raise argparse.ArgumentTypeError(f"{text!r} is neither yes nor no")
    return words[text.lower()]


def run(arguments: argparse.Namespace) -> int:
    """Run the command."""
    job = job_of(arguments)

    if arguments.dry_run:
        list_study(job)
        return 0
    result = do_study(job)
    runs, failed = len(result.records), len(result.failed)
    say(f"{runs - failed} of {runs} runs done" + (f", {failed} failed (--retry does them again)" if failed else "")
        + f": {result.path}")
    return 1 if failed else 0


def job_of(arguments: argparse.Namespace) -> StudyJob:
    """The ``StudyJob`` that the options describe; raises ``MsCoresetError`` for values that can't be used."""
    name = arguments.name or (Path(arguments.config).stem if arguments.config else "study")
    places = [action.dest for action in places_of(parser("experiment"))]
    options = vars(arguments) | {"name": name, "label": _labels(arguments.label)}
    job = study_job(options, settings_of(vars(arguments) | {"name": name}, leave_out=(*_NOT_PLANNED, *places)),
                    tuple(arguments.typed))
    given = {name: vars(arguments)[name] for name in ("methods", "samplers")}
    none = {name: values for name, values in given.items() if values == []}  # which is not what there is by default
    job = replace(job, settings={**job.settings, **none})
    return replace(job, prepare=tuple(_preparation(line, arguments, job) for line in arguments.prepare),
                   hooks=Hooks(track=tuple(arguments.track)))


def _labels(entries: Iterable[str]) -> dict[str, str]:
    """Name -> text of the entries of --label."""
    labels = {}
    for entry in entries:
        name, equals, text = entry.partition("=")
        if not equals:
            raise MsCoresetError(f"--label {entry}: write NAME=TEXT")
        labels[name] = text
    return labels


def _preparation(line: str, arguments: argparse.Namespace, job: StudyJob) -> Preparation:
    """The ``Preparation`` of a command of --prepare; a file may hold the command: no code, no places.

    Raises:
        MsCoresetError: for one that would.
    """
    try:
        name, *words = shlex.split(line)  # nothing at all is a ``ValueError``, too
    except ValueError as error:
        raise MsCoresetError(f"--prepare {line!r} is no command: {error}") from error
    name = Path(name).stem.replace("_", "-")
    if name not in _OVERLAY_COMMANDS:
        raise MsCoresetError(f"--prepare {line!r}: begin with one of {', '.join(_OVERLAY_COMMANDS)}")
    command = importlib.import_module(f"ms_coreset.cli.{name.replace('-', '_')}")
    options = command.parser(name)
    _require_no_places(options, options.parse_args(words), line)
    study = vars(arguments) | {"model_dir": job.plan.sources.network.folder}
    shared = _SHARED + (_SHARED_BY_NETWORKS if name == "attack" else ())
    options.set_defaults(**{option: study[option] for option in shared})
    given = options.parse_args(words)
    family, letter, _ = find_dataset(given.dataset)
    made = given.dataset if letter else f"{family.name}{_OVERLAY_COMMANDS[name]}"
    return Preparation(data_of(vars(given) | {"dataset": made}), functools.partial(command.run, given))


def _require_no_places(options: argparse.ArgumentParser, given: argparse.Namespace, line: str) -> None:
    """Raise ``MsCoresetError`` for a command of --prepare, parsed as ``given``, that names a place or code."""
    named = [action.option_strings[0] for action in places_of(options) if getattr(given, action.dest) != action.default]
    named += ["--plugin"] * bool(given.plugin) + ["--recipe"] * (not is_shipped_recipe(getattr(given, "recipe", None)))
    if named:
        raise MsCoresetError(f"--prepare {line!r}: leave out {', '.join(named)}, which the study itself says")
