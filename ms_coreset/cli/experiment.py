"""``experiment``: data sets x methods x rates x seeds x networks, each run once, whatever happens in between."""

import argparse
import importlib
import shlex
from pathlib import Path

from ms_coreset.cli.common.configuration import ConfiguredParser, places_of, shipped_recipe, write_configuration
from ms_coreset.cli.common.options import (
    NETWORK,
    PATCHES,
    add,
    add_data_options,
    add_evidence_options,
    add_network_options,
    add_run_options,
    image_options,
    note,
)
from ms_coreset.cli.common.plugins import add_plugin_option
from ms_coreset.cli.common.study import OWN, SELECTION, command_of, labels_of, planned
from ms_coreset.cli.common.tally import Tally, list_runs
from ms_coreset.cli.common.versions import made_with
from ms_coreset.datasets import default_overlay_path
from ms_coreset.datasets.family import canonical_name, find_dataset
from ms_coreset.errors import MsCoresetError
from ms_coreset.experiment.plan import MOST_RUNS, PROTOCOLS, WHOLE
from ms_coreset.identity import normalization
from ms_coreset.selectors import list_methods
from ms_coreset.selectors.choice import FAMILIES
from ms_coreset.terminal import say

_EXAMPLES = """examples:
  experiment --config digits
  experiment --dataset digitsN --methods random moderate "ccs:mis_ratio=0.3" full --rates 0.1 0.2 --seeds 0 1 2
  experiment --config table1-cifar10 --seeds 0 --rates 0.1 --dry-run
  experiment --fraction 0.1 --dataset CIFAR10 --selection Glister --model ResNet18 --cross LeNet -se 10 --num_exp 5
A method's options follow its name: "el2n:last=5", "glister:rounds=10,eta=0.5"; any score by any rule is "el2n-strata".
The same command typed again goes on where it was; typed twice at the same time, the two share the work."""
_NOT_PLANNED = ("config", "dry_run", "retry", "allow_plugins")  # about this call, not about the study
_OF_DATA = {"data": "other images or labels", "normalization": "images of another mean or deviation"}
_OVERLAY_COMMANDS = {"label-noise": "N", "corrupt": "C", "attack": "A"}


def parser(typed):
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


def _add_study_options(group):
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


def _add_lists(data, network, run):
    add(data, "--datasets", "--dataset", dest="datasets", nargs="+", metavar="NAME", help="as for select, perturbed "
        "ones included")
    add(data, "--data", "--data-path", "--data_path", dest="data", default="data", metavar="DIR",
        help="folder that holds the data sets (default: data)")
    add(data, "--pool", type=int, metavar="N", help="work on a class-balanced part of each training split")
    add(data, "--pool-seed", type=int, default=0, metavar="N", help="of the pool, the same for all seeds (default: 0)")
    add(network, "--archs", "--arch", "--model", dest="archs", nargs="+", metavar="NAME", help="networks that are "
        "asked, each with its width if wanted: resnet18-w16 (default: the recipe's)")
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


def _add_selection_options(group):
    add(group, "--methods", "--method", "--selection", dest="methods", nargs="+", default=["random", "moderate", WHOLE],
        metavar="NAME", help=f"of {', '.join(list_methods())} (default: random moderate full)")
    add(group, "--submodular", default=FAMILIES["submodular"], metavar="NAME", help="DeepCore: the function that "
        "the method Submodular means (default: GraphCut)")
    add(group, "--uncertainty", default=FAMILIES["uncertainty"], metavar="NAME", help="DeepCore: the score that "
        "the method Uncertainty means (default: Entropy)")
    add(group, "--rates", "--rate", "--fraction", dest="rates", nargs="+", type=float, default=[0.2], metavar="X",
        help="shares to keep (default: 0.2)")
    add(group, "--balance", nargs="*", type=_yes_or_no, default=[False], metavar="yes|no", help="the same share of "
        "every class (default: no; without a value: yes)")
    add(group, "--cache", metavar="DIR", help="folder of extracted evidence (default: the study's evidence-cache)")
    add(group, "--evidence", nargs="+", choices=(NETWORK, PATCHES), default=[NETWORK], help="features and logits of a "
        "network, or, without training, of random patches and ridge regression, or of each (default: network)")
    for name, (kind, *short) in SELECTION.items():
        add(group, f"--selection-{name.replace('_', '-')}", *short, type=kind, metavar="N" if kind is int else "X",
            help=f"{name.replace('_', ' ')} of the base networks' training (default: as on coresets)")


class _Cross(argparse.Action):
    def __call__(self, parser, namespace, values, option_string=None):
        namespace.train_archs = [OWN, *values]


def _first_seeds(text):
    if not 0 < int(text) <= MOST_RUNS:
        raise argparse.ArgumentTypeError(f"{text} seeds: 1 to {MOST_RUNS:,}")
    return list(range(int(text)))


def _yes_or_no(text):
    words = {"yes": True, "true": True, "1": True, "no": False, "false": False, "0": False}
    if text.lower() not in words:
        raise argparse.ArgumentTypeError(f"{text!r} is neither yes nor no")
    return words[text.lower()]


def run(arguments):
    """Run the command."""
    if not arguments.datasets:
        raise MsCoresetError("--datasets is missing; --help shows what there is")
    arguments.name = arguments.name or (Path(arguments.config).stem if arguments.config else "study")
    if arguments.name in (".", "..") or Path(arguments.name).name != arguments.name:
        raise MsCoresetError(f"--name {arguments.name}: a study's name is no path; --save names its folder")
    folder = Path(arguments.save or f"results/{arguments.name}")
    arguments.save = str(folder)
    arguments.model_dir = arguments.model_dir or str(folder / "ckpt")
    arguments.cache = arguments.cache or str(folder / "evidence-cache")

    from ms_coreset.device import set_device
    from ms_coreset.experiment.store import Store

    arguments.device = set_device(arguments.device, arguments.precision)
    runs = planned(arguments)
    store = Store(folder)
    if arguments.dry_run:
        return list_runs(runs, store, folder)
    return _sweep(arguments, runs, store, folder)


def _sweep(arguments, runs, store, folder):
    from ms_coreset.cli.common.base_network import require_writable
    from ms_coreset.cli.common.bench import Bench
    from ms_coreset.cli.common.steps import Steps
    from ms_coreset.device import require_mindspore
    from ms_coreset.experiment.store import Claims
    from ms_coreset.experiment.sweep import sweep
    from ms_coreset.experiment.work import Work

    require_mindspore()  # better now than in every run
    require_writable(folder)
    places = [action.dest for action in places_of(parser("experiment"))]
    write_configuration(folder / "study.yaml", arguments, leave_out=(*_NOT_PLANNED, *places))
    labels = labels_of(arguments)
    bench = Bench(arguments, arguments.device, Claims(Path(arguments.model_dir) / ".locks"), labels,
                  {run.cell for run in runs})
    claims = Claims(folder / ".locks")
    work = Work(folder, claims, bench, runs, Steps, made_with(arguments.device), lambda run: command_of(arguments, run))
    counted = Tally(runs, store, arguments.retry)
    with claims.claim("prepare", wait=True):
        _prepare(arguments)
        counted.begin(_check_data(counted.pending, bench, store))

    _clear(runs, store, claims, work)

    def finish(run, record):
        work.clear(run)
        counted.tell(run, record)

    sweep(runs, store, claims, work.perform, finish, arguments.retry)
    failed = [run for run in runs if store.record_of(run)["status"] == "failed"]
    say(f"{len(runs) - len(failed)} of {len(runs)} runs done"
          + (f", {len(failed)} failed (--retry does them again)" if failed else "") + f": {store.path}")
    return 1 if failed else 0


def _clear(runs, store, claims, work):
    """Remove the checkpoints of recorded runs that are still there, because a process ended in between."""
    for run in runs:
        if store.record_of(run):
            with claims.claim(run.work()) as mine:
                if mine:
                    work.clear(run)


def _prepare(arguments):
    """Run the commands of --prepare whose data is wanted and not there."""
    wanted = set(map(canonical_name, arguments.datasets))
    for line in arguments.prepare:
        name, command, given = _overlay_command(line, arguments)
        shared = ("data", "no_download") + (("model_dir", "device", "precision") if name == "attack" else ())
        vars(given).update({option: getattr(arguments, option) for option in shared})
        family, letter, _ = find_dataset(given.dataset)
        named = given.dataset if letter else f"{family.name}{_OVERLAY_COMMANDS[name]}"
        if canonical_name(named) in wanted and not default_overlay_path(given.data, named).exists():
            note(f"preparing {named}")
            command.run(given)


def _overlay_command(line, arguments):
    """(name, module, options) of a command of --prepare, which a file may spell: it runs no code, and names no place.

    Raises ``MsCoresetError`` for one that would.
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
    shared = argparse.Namespace(**image_options(arguments), skip_broken=arguments.skip_broken)
    given = options.parse_args(words, shared)
    named = [action.option_strings[0] for action in places_of(options) if getattr(given, action.dest) != action.default]
    named += ["--plugin"] * bool(given.plugin) + ["--recipe"] * (not shipped_recipe(getattr(given, "recipe", None)))
    if named:
        raise MsCoresetError(f"--prepare {line!r}: leave out {', '.join(named)}, which the study itself says")
    return name, command, given


def _check_data(runs, bench, store):
    """Load every data set that is needed: better now than after hours. Returns the number of samples by data set."""
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
