"""``train``: a network on a data set, or on a coreset of it."""

import time
from pathlib import Path

import numpy as np

from ms_coreset import __version__
from ms_coreset.cli.common.base_network import build_network, checkpoint_folder, require_writable
from ms_coreset.cli.common.options import (
    add,
    add_data_options,
    add_network_options,
    add_run_options,
    dataset_in_files,
    draw_pool,
    load_split,
    new_parser,
    note,
    resolve_recipe,
)
from ms_coreset.coreset import Coreset, read_dropped
from ms_coreset.errors import MsCoresetError
from ms_coreset.training.dynamics import FIELDS

_EXAMPLES = """examples:
  train --dataset digitsN
  train --dataset CIFAR100 --recipe moderate --arch resnet50
  train --dataset CIFAR100N --coreset index/CIFAR100N-moderate-0.2.npz
"""


def parser(typed):
    """The command's options."""
    options = new_parser(typed, "Train a network on a data set, or on a coreset of it.", _EXAMPLES)
    group = options.add_argument_group("what to train on")
    part = group.add_mutually_exclusive_group()
    add(part, "--coreset", metavar="FILE", help="the samples of a coreset (.npz), with its weights if it has any")
    add(part, "--prune", metavar="FILE", help="all but the samples listed in a .bin file, as the Moderate repository")
    add(part, "--pool", type=int, metavar="N", help="a seeded, class-balanced part of the training split")
    add_data_options(options)
    add_network_options(options)
    group = add_run_options(options)
    add(group, "--resume", action="store_true", help="go on from the last finished epoch")
    add(group, "--record", nargs="*", choices=FIELDS, default=None, metavar="FIELD", help="training dynamics to "
        f"record: {', '.join(FIELDS)} (default: all, none on a coreset)")
    add(group, "--no-save", action="store_true", help="write nothing but the result")
    add(group, "--result", metavar="FILE", help="where the results go (default: result.json beside the checkpoints)")
    return options


def run(arguments):
    """Run the command."""
    dataset = dataset_in_files(arguments)

    from ms_coreset.device import set_device
    from ms_coreset.files import write_json
    from ms_coreset.training.loop import LAST, evaluate, train

    device = set_device(arguments.device)
    split = load_split(arguments, train=True)
    recipe = resolve_recipe(arguments, device, split.image_size)
    test = load_split(arguments, train=False)
    rows, weights, what = _part(arguments, split)
    part = split if rows is None else split.subset(rows)
    folder = checkpoint_folder(arguments, dataset, recipe, what)
    if not arguments.no_save:
        require_writable(folder)
    if (folder / LAST).is_file() and not arguments.resume and not arguments.no_save:
        note(f"training anew over {folder} (--resume goes on from its last epoch)")
    result_file = Path(arguments.result) if arguments.result else folder / "result.json"
    require_writable(result_file.parent)
    record = arguments.record if arguments.record is not None else (() if what else FIELDS)
    began = time.perf_counter()
    result = train(build_network(recipe, split, arguments.seed), part, recipe, arguments.seed, weights, record,
                   None if arguments.no_save else folder, arguments.resume, test)
    seconds = time.perf_counter() - began
    outcome = {"dataset": dataset, "coreset": arguments.coreset or arguments.prune, "samples": len(part),
               "recipe": recipe.as_dict(), "protocol": "epochs" if recipe.epochs else "iterations",
               "seed": arguments.seed, "device": device, "version": __version__, "seconds": seconds,
               "last": test and evaluate(result.network, test, recipe), "best": _best(result, recipe),
               "history": result.history}
    write_json(result_file, outcome)
    _print_outcome(dataset, recipe, outcome, result_file, None if arguments.no_save else folder)


def _part(arguments, split):
    """(places or None for all, weights or None, a word for the folder or None) of what is trained on."""
    if arguments.coreset:
        coreset = Coreset.load(arguments.coreset)
        if coreset.n != len(split):
            raise MsCoresetError(f"{arguments.coreset} is of a data set of {coreset.n} samples, "
                                 f"{split.name} has {len(split)}")
        order = np.argsort(coreset.indices)
        weights = None if coreset.weights is None else coreset.weights[order]
        return coreset.indices[order], weights, Path(arguments.coreset).stem
    if arguments.prune:
        return read_dropped(arguments.prune, len(split)), None, f"{Path(arguments.prune).stem}-pruned"
    return draw_pool(split, arguments.pool, arguments.seed)[0], None, None


def _best(result, recipe):
    """The best tested epoch, and what chose it."""
    key = "validation_accuracy" if recipe.validation else "test_accuracy"
    chosen_by = "validation share" if recipe.validation else "test split: for comparison with papers that do so only"
    entry = result.best(key)
    return entry and {"chosen_by": chosen_by, "epoch": entry["epoch"], "accuracy": entry.get("test_accuracy")}


def _print_outcome(dataset, recipe, outcome, result_file, folder):
    print(f"{recipe.arch} on {outcome['samples']:,} samples of {dataset}: {outcome['seconds']:.1f} s")
    if outcome["last"] is None:
        print(f"  last epoch  {outcome['history'][-1]['accuracy']:.2%} of the training samples; nothing to test on")
    else:
        _print_tested(outcome["last"], outcome["best"])
    print(f"  wrote       {result_file}" + (f", checkpoints in {folder}" if folder else ""))


def _print_tested(last, best):
    worst = min((value, name) for name, value in last["per_class"].items() if value is not None)
    print(f"  last epoch  {last['accuracy']:.2%} of {last['samples']:,} test samples; "
          f"worst class {worst[1]} {worst[0]:.2%}")
    print(f"  best epoch  {best['accuracy']:.2%}, epoch {best['epoch']} (chosen by {best['chosen_by']})")
