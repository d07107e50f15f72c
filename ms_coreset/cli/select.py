"""``select``: trains or loads a network, computes its answers for every sample, and chooses which to keep."""

import argparse
import shlex
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ms_coreset.cli.common.common_options import (
    add,
    add_data_options,
    add_dynamics_option,
    add_evidence_options,
    add_network_options,
    add_record_option,
    add_run_options,
    image_words,
    new_parser,
)
from ms_coreset.cli.common.method_options import add_method_options, choice_of
from ms_coreset.cli.common.repeat import former_options, options_of
from ms_coreset.cli.methods import print_list
from ms_coreset.coreset import Coreset
from ms_coreset.jobs.default_selection import IMPORTED, TYPED
from ms_coreset.jobs.options import runtime_of, sources_of
from ms_coreset.jobs.selection import SelectionJob, SelectionResult, select
from ms_coreset.jobs.sources import Sources
from ms_coreset.selectors import METHODS, list_methods, list_rules
from ms_coreset.selectors.quota import Request
from ms_coreset.terminal import say

_EXAMPLES = """examples:
  select --dataset digitsN --rate 0.2
  select --dataset CIFAR100N --rate 0.2 --arch lenet
  select --dataset CIFAR10 --rate 0.1 --ckpt my_resnet18.pth
  select --dataset CIFAR10N --rate 0.2 --balance --evidence patches
  select --dataset digitsN --rate 0.3 --score el2n --rule strata --mis-ratio 0.3
  select --from-manifest index/digitsN-ccs-balanced-0.2.npz
--help-all shows all options, those of every method with what they mean and allow; ms-coreset methods NAME, all of one.

A coreset's file tells how it was made. --from-manifest repeats that, with the options and the recipe of then; only
where things are, and on what they run, can be typed beside it. What differs meanwhile is said: versions, commit, data,
network. The exit code is 0 when the coreset is the same, byte for byte, and 1 when it is another: that one never
replaces a file. A network or data that is missing and can't be made again is an error (2).
"""

# What --help shows; --help-all shows the others, too.
_USUAL = ("--dataset", "--data", "--rate", "--method", "--balance", "--score", "--rule", "--mis-ratio", "--evidence",
          "--scores-from", "--arch", "--framework", "--epochs", "--ckpt", "--save", "--from-manifest", "--memory",
          "--seed", "--device")
ANOTHER = 1  # exit code of a repetition that gave another coreset


def parser(typed: str) -> argparse.ArgumentParser:
    """The command's options."""
    options = new_parser(typed, "Choose the part of a data set that is worth keeping.", _EXAMPLES, _USUAL)
    group = options.add_argument_group("selection")
    add(group, "--method", metavar="NAME", help=f"one of {', '.join(list_methods())} (default: moderate, as published; "
        "on a CPU, where no option says anything of method, evidence or network, what "
        f"{TYPED} does)")
    add(group, "--rate", type=float, default=1.0, metavar="X", help="share to keep, above 0 and at most 1 (default: 1)")
    add(group, "--balance", action="store_true", help="the same share of every class")
    add(group, "--memory", metavar="SIZE", help="what the selection may use beside the data, such as 2G or 500M "
        "(default: half of what is free)")
    add(group, "--rule", choices=list_rules(), help="with --score: any score by any rule, instead of a method")
    add(group, "--pool", type=int, metavar="N", help="work on a seeded, class-balanced part of the training split")
    add(group, "--among", metavar="FILE", help="work on what the coreset FILE (.npz) kept, as of duplicates")
    add(group, "--save", default="index", metavar="DIR", help="folder of the result (default: index)")
    add(group, "--from-manifest", metavar="FILE", help="repeat the selection that made the coreset FILE (.npz), and "
        "compare")
    add(group, "--list", action="store_true", help="show the methods, rules and quotas, and leave")
    add_evidence_options(group, default=None, words="as --method says")
    add_dynamics_option(group)
    add(group, "--scores-from", metavar="FILE", help="scores made elsewhere: .csv, .npy, .npz or a "
        "pickled dictionary; of all samples for the score imported, of a part for extrapolated, which needs features")
    add(group, "--scores-low", action="store_true", help="what is to be kept has low scores: they count negative")
    add(group, "--scores-key", metavar="NAME", help="which scores of --scores-from, where there are several")
    add(group, "--similarity", metavar="FILE", help="similarities of all samples with all, made elsewhere, for "
        f"{', '.join(name for name in list_methods() if 'kernel' in METHODS[name].options)}: .npy (n, n), or .npz of "
        "scipy.sparse.save_npz")
    add(group, "--cost", metavar="FILE", help="what each sample costs, .npy (n,): the set functions, such as "
        "facility_location, keep samples for the share --rate of all costs")
    add(group, "--like", metavar="FILE", help="samples that the chosen ones are to be like, for the targeted set "
        "functions: .npy, their features, or .npz of features, labels and logits")
    add(group, "--unlike", metavar="FILE", help="the same of samples that the chosen ones are to be unlike")
    add_method_options(options)
    add_data_options(options, dataset_required=False)
    add_record_option(add_network_options(options), "all")
    add_run_options(options)
    return options


def run(arguments: argparse.Namespace) -> int:
    """Run the command."""
    if arguments.list:
        print_list()
        return 0
    if not arguments.from_manifest:
        _select(arguments, sources_of(vars(arguments)))
        return 0
    former, again, recipe = former_options(parser("select"), arguments)
    sources = sources_of(vars(again))
    sources = replace(sources, network=replace(sources.network, recipe=recipe))
    return _compare(arguments.from_manifest, _select(again, sources, former).changes)


def _select(arguments: argparse.Namespace, sources: Sources, former: Coreset | None = None) -> SelectionResult:
    """Select, and print a summary of the coreset."""
    choice = choice_of(arguments)
    request = Request(arguments.rate, arguments.balance, arguments.seed, arguments.memory)

    result = select(SelectionJob(
        sources, choice, request, arguments.save, runtime_of(vars(arguments)), shlex.join(["select", *arguments.typed]),
        options_of(parser("select"), arguments), former))
    if result.files:
        _print_summary(sources, result)
    return result


def _compare(path: str, changes: Sequence[str]) -> int:
    """Tell whether the coreset of the file ``path`` was repeated; returns the exit code."""
    say(f"{path}: " + ("another coreset now" if changes else "the same coreset now, byte for byte"))
    for line in changes:
        say(f"  {line}")
    return ANOTHER if changes else 0


def _print_summary(sources: Sources, result: SelectionResult) -> None:
    data, network, coreset, summary = sources.data, sources.network, result.coreset, result.summary
    share = summary["kept"] / summary["available"]
    lines: list[tuple[str, object]] = [("kept", f"{summary['kept']:,} of {summary['available']:,} ({share:.1%})")]
    if summary["per_class"] is not None:
        low, middle, high = summary["per_class"]
        lines.append(("per class", f"min {low}, median {middle:g}, max {high}"))
    if summary["bad_kept"] is not None:
        lines.append(("bad", f"{summary['bad_available']:.1%} of the data, {summary['bad_kept']:.1%} of the coreset"))
        lines += [("", f"{name.replace('_', ' ')}: {before:.1%} of the data, {after:.1%} of the coreset")
                  for name, (before, after) in summary["bad_by_kind"].items() if len(summary["bad_by_kind"]) > 1]
    given = "; ".join(f"{names} of {place}" for names, place in (
        (", ".join(name for name in result.came_with_data if name != IMPORTED), data.root),
        ("scores" if IMPORTED in result.came_with_data else "", sources.evidence.scores)) if names) or None
    told = {"evidence": result.trust, "wrong": result.wrong, "by": given}
    lines += [(name, line) for name, line in told.items() if line is not None]
    if "shared" in coreset.manifest:
        lines.append(("ranks", f"{coreset.manifest['ranks']}: {coreset.manifest['shared']}"))
    lines += [*result.steps.lines(), ("wrote", f"{result.files['npz']} (everything)"),
              ("", f"{result.files['bin']} (dropped samples)")]
    say(f"{coreset.method} coreset of {data.name_in_files}, rate {coreset.rate:g}")
    for name, value in lines:
        say(f"  {name:<10} {value}")
    if result.split.images is None:
        return
    say(f"next: {_train_command()} --dataset {shlex.quote(data.canonical_name)} "
          f"--coreset {shlex.quote(str(result.files['npz']))}"
          + (f" --data {shlex.quote(data.root)}" if data.root != "data" else "")
          + (f" --framework {network.given_framework}" if network.given_framework else "")
          + "".join(f" {word}" for word in image_words(data)))


def _train_command() -> str:
    program = Path(sys.argv[0])
    return f"python {program.with_name('train.py')}" if program.name == "select.py" else "ms-coreset train"
