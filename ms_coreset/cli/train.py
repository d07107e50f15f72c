"""``train``: trains a network on a data set, on a coreset, or on coresets that it chooses anew while it learns."""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ms_coreset.cli.common.common_options import (
    add,
    add_data_options,
    add_network_options,
    add_record_option,
    add_run_options,
    add_track_option,
    new_parser,
)
from ms_coreset.cli.common.reselection_options import add_reselection_options, reselection_of, sampling_of
from ms_coreset.errors import MsCoresetError
from ms_coreset.jobs.options import runtime_of, sources_of
from ms_coreset.jobs.training import TrainingJob, TrainingOutcome, train_network
from ms_coreset.samplers import list_samplers
from ms_coreset.terminal import say
from ms_coreset.training.trackers import Hooks

_EXAMPLES = """examples:
  train --dataset digitsN
  train --dataset CIFAR100 --recipe moderate --arch resnet50
  train --dataset CIFAR100N --coreset index/CIFAR100N-moderate-0.2.npz
  train --dataset digitsN --sampler rs2 --rate 0.3
  train --dataset digitsN --reselect-every 5 --method gradmatch --rate 0.1
--help-all shows all options.
"""
# What --help shows; --help-all shows the others, too.
_USUAL = ("--coreset", "--sampler", "--reselect-every", "--warm-epochs", "--method", "--rate", "--dataset", "--data",
          "--recipe", "--arch", "--framework", "--epochs", "--iterations", "--batch-size", "--lr", "--model-dir",
          "--validation", "--seed", "--device", "--resume", "--record", "--result")


def parser(typed: str) -> argparse.ArgumentParser:
    """The command's options."""
    options = new_parser(typed, "Train a network on a data set, on a coreset of it, or on coresets that it chooses "
                         "anew while it learns.", _EXAMPLES, _USUAL)
    group = options.add_argument_group("what to train on")
    part = group.add_mutually_exclusive_group()
    add(part, "--coreset", metavar="FILE", help="the samples of a coreset (.npz), with its weights if it has any")
    add(part, "--prune", metavar="FILE", help="all but the samples listed in a .bin file, as the Moderate repository")
    add(part, "--pool", type=int, metavar="N", help="a seeded, class-balanced part of the training split")
    add(group, "--no-weights", action="store_true", help="leave the coreset's weights aside: all its samples count "
        "the same")
    add(group, "--sampler", metavar="NAME", help=f"choose anew for every epoch: one of {', '.join(list_samplers())} "
        "but rho, with its options as in infobatch:ratio=0.3; --rate is the share that an epoch presents")
    add_reselection_options(options)
    add_data_options(options)
    add_network_options(options)
    group = add_run_options(options)
    add(group, "--resume", action="store_true", help="go on from the last finished epoch")
    add_record_option(group, "all, none on a coreset")
    add_track_option(group)
    add(group, "--no-save", action="store_true", help="write nothing but the result")
    add(group, "--result", metavar="FILE", help="where the results go (default: result.json beside the checkpoints)")
    return options


def run(arguments: argparse.Namespace) -> None:
    """Run the command."""
    if arguments.no_weights and not arguments.coreset:
        raise MsCoresetError("--no-weights is about the weights of a coreset file: it goes with --coreset FILE")
    sources, reselection, record = sources_of(vars(arguments)), reselection_of(arguments), arguments.record

    _print_outcome(train_network(TrainingJob(
        sources, runtime_of(vars(arguments)), arguments.coreset, arguments.prune, not arguments.no_weights, reselection,
        sampling_of(arguments), None if record is None else tuple(record), not arguments.no_save, arguments.resume,
        arguments.result, Hooks(track=tuple(arguments.track)))))


def _print_outcome(result: TrainingOutcome) -> None:
    outcome = result.told
    say(f"{result.recipe.arch} on {outcome['samples']:,} samples of {outcome['dataset']}: {outcome['seconds']:.1f} s")
    if "sampler" in outcome:
        say(f"  presented   {outcome['presented']:,} in {outcome['updates']:,} updates, by {outcome['sampler']}")
    if "coresets" in outcome:
        _print_coresets(outcome["coresets"], outcome["reselection"])
    if outcome["last"] is None:
        say(f"  last epoch  {outcome['history'][-1]['accuracy']:.2%} of the training samples; nothing to test on")
    else:
        _print_tests(outcome["last"], outcome["best"])
    say(f"  wrote       {result.file}" + (f", checkpoints in {result.folder}" if result.folder else ""))


def _print_coresets(coresets: Sequence[Mapping[str, Any]], reselection: Mapping[str, Any]) -> None:
    bad = [f"{coreset['bad']:.1%}" for coreset in coresets if coreset["bad"] is not None]
    say(f"  presented   {coresets[0]['samples']:,} of them, chosen anew by {reselection['method']} every "
          f"{reselection['every']} epochs" + (f"; bad: {', '.join(bad)}" if bad else ""))
    say(f"  coresets    {len(coresets)} in {Path(coresets[0]['file']).parent}")


def _print_tests(last: Mapping[str, Any], best: Mapping[str, Any]) -> None:
    worst = min((value, name) for name, value in last["per_class"].items() if value is not None)
    say(f"  last epoch  {last['accuracy']:.2%} of {last['samples']:,} test samples; "
          f"worst class {worst[1]} {worst[0]:.2%}")
    say(f"  best epoch  {best['accuracy']:.2%}, epoch {best['epoch']} (chosen by {best['chosen_by']})")
