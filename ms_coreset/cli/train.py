"""``train``: a network on a data set, on a coreset of it, or on coresets that it chooses anew while it learns."""

import contextlib
import glob
import time
from pathlib import Path

import numpy as np

from ms_coreset import __version__
from ms_coreset.cli.common.adaptive import add_reselection_options, of_pool, reselected, reselection_of
from ms_coreset.cli.common.base_network import at_work_in, build_network, checkpoint_folder, require_writable
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
from ms_coreset.files import is_device, read_pickle, write_json
from ms_coreset.identity import is_relabeled, misfit
from ms_coreset.terminal import say
from ms_coreset.training.dynamics import FIELDS

_EXAMPLES = """examples:
  train --dataset digitsN
  train --dataset CIFAR100 --recipe moderate --arch resnet50
  train --dataset CIFAR100N --coreset index/CIFAR100N-moderate-0.2.npz
  train --dataset digitsN --reselect-every 5 --method gradmatch --rate 0.1
"""


def parser(typed):
    """The command's options."""
    options = new_parser(typed, "Train a network on a data set, on a coreset of it, or on coresets that it chooses "
                         "anew while it learns.", _EXAMPLES)
    group = options.add_argument_group("what to train on")
    part = group.add_mutually_exclusive_group()
    add(part, "--coreset", metavar="FILE", help="the samples of a coreset (.npz), with its weights if it has any")
    add(part, "--prune", metavar="FILE", help="all but the samples listed in a .bin file, as the Moderate repository")
    add(part, "--pool", type=int, metavar="N", help="a seeded, class-balanced part of the training split")
    add(group, "--no-weights", action="store_true", help="leave the coreset's weights aside: all its samples count "
        "the same")
    add_reselection_options(options)
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
    if arguments.no_weights and not arguments.coreset:
        raise MsCoresetError("--no-weights is about the weights of a coreset file: it goes with --coreset FILE")
    dataset, reselection = dataset_in_files(arguments), reselection_of(arguments)

    from ms_coreset.device import device_settings, set_device
    from ms_coreset.training.loop import CORESETS, LAST, evaluate, train

    device = set_device(arguments.device, arguments.precision)
    split = load_split(arguments, train=True)
    recipe = resolve_recipe(arguments, device, split.image_size)
    test = load_split(arguments, train=False)
    rows, weights, what = _part(arguments, split)
    part = split if rows is None else split.subset(rows)
    if reselection is not None:
        reselection, what = of_pool(reselection, rows, len(split)), _called(reselection)
    folder = checkpoint_folder(arguments, dataset, recipe, what)
    if not arguments.no_save:
        require_writable(folder)
    if (folder / LAST).is_file() and not arguments.resume and not arguments.no_save:
        note(f"training anew over {folder} (--resume goes on from its last epoch)")
    result_file = Path(arguments.result) if arguments.result else folder / "result.json"
    if not is_device(result_file):
        require_writable(result_file.parent)
    record = arguments.record if arguments.record is not None else (() if what else FIELDS)
    began = time.perf_counter()
    with contextlib.nullcontext() if arguments.no_save else at_work_in(folder):
        result = train(build_network(recipe, split, arguments.seed), part, recipe, seed=arguments.seed, weights=weights,
                       record=record, folder=None if arguments.no_save else folder, resume=arguments.resume, test=test,
                       reselection=reselection)
    seconds = time.perf_counter() - began
    outcome = {"dataset": dataset, "coreset": arguments.coreset or arguments.prune, "samples": len(part),
               "no_weights": arguments.no_weights, "recipe": recipe.as_dict(),
               "protocol": "epochs" if recipe.epochs else "iterations",
               "seed": arguments.seed, "device": device, **device_settings(), "version": __version__,
               "seconds": seconds, "last": test and evaluate(result.network, test, recipe),
               "best": _best(result, recipe), "history": result.history}
    if reselection is not None:
        coresets = result_file.with_name(f"{result_file.stem}-coresets") if arguments.no_save else folder / CORESETS
        outcome |= reselected(result, reselection, coresets, split, write=arguments.no_save)
    write_json(result_file, outcome)
    _print_outcome(dataset, recipe, outcome, result_file, None if arguments.no_save else folder)


def _part(arguments, split):
    """(places or None for all, weights or None, a word for the folder or None) of what is trained on."""
    if arguments.coreset:
        return _of_coreset(arguments, split)
    if arguments.prune:
        return _of_dropped(arguments.prune, split), None, f"{Path(arguments.prune).stem}-pruned"
    return draw_pool(split, arguments.pool, arguments.seed)[0], None, None


def _of_coreset(arguments, split):
    coreset = Coreset.load(arguments.coreset)
    _require_fitting(coreset, arguments.coreset, split)
    (places, weights), what = coreset.ascending(), Path(arguments.coreset).stem
    if arguments.no_weights and weights is not None:
        return places, None, f"{what}-unweighted"
    return places, weights, what


def _of_dropped(path, split):
    """The places that a file of dropped ones leaves. It tells of no data, but the coreset's file beside it does."""
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


def _require_fitting(coreset, path, split):
    """Raise ``MsCoresetError`` for a coreset of other data; of the same images, relabelled, it is told."""
    reason = misfit(coreset, split, split.name, may_differ=("labels",))
    if reason is not None:
        raise MsCoresetError(f"{path} {reason}: give the --dataset, --data and --image-size that it was chosen from")
    if is_relabeled(coreset, split):
        note(f"{path} was chosen by other labels of these images than {split.name} has, which are trained on")


def _called(reselection):
    """A word for the folder of an adaptive training."""
    request = reselection.request
    return f"{reselection.name}{'-balanced' if request.balance else ''}-{request.rate:g}-every{reselection.every}" + (
        f"-warm{reselection.warm}" if reselection.warm else "")


def _best(result, recipe):
    """The best tested epoch, and what chose it."""
    key = "validation_accuracy" if recipe.validation else "test_accuracy"
    chosen_by = "validation share" if recipe.validation else "test split: for comparison with papers that do so only"
    entry = result.best(key)
    return entry and {"chosen_by": chosen_by, "epoch": entry["epoch"], "accuracy": entry.get("test_accuracy")}


def _print_outcome(dataset, recipe, outcome, result_file, folder):
    say(f"{recipe.arch} on {outcome['samples']:,} samples of {dataset}: {outcome['seconds']:.1f} s")
    if "coresets" in outcome:
        _print_coresets(outcome["coresets"], outcome["reselection"])
    if outcome["last"] is None:
        say(f"  last epoch  {outcome['history'][-1]['accuracy']:.2%} of the training samples; nothing to test on")
    else:
        _print_tested(outcome["last"], outcome["best"])
    say(f"  wrote       {result_file}" + (f", checkpoints in {folder}" if folder else ""))


def _print_coresets(coresets, reselection):
    bad = [f"{coreset['bad']:.1%}" for coreset in coresets if coreset["bad"] is not None]
    say(f"  presented   {coresets[0]['samples']:,} of them, chosen anew by {reselection['method']} every "
          f"{reselection['every']} epochs" + (f"; bad: {', '.join(bad)}" if bad else ""))
    say(f"  coresets    {len(coresets)} in {Path(coresets[0]['file']).parent}")


def _print_tested(last, best):
    worst = min((value, name) for name, value in last["per_class"].items() if value is not None)
    say(f"  last epoch  {last['accuracy']:.2%} of {last['samples']:,} test samples; "
          f"worst class {worst[1]} {worst[0]:.2%}")
    say(f"  best epoch  {best['accuracy']:.2%}, epoch {best['epoch']} (chosen by {best['chosen_by']})")
