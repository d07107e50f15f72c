"""``select``: train or load a network, ask it about every sample, choose who stays."""

import shlex
import sys
from pathlib import Path

from ms_coreset.cli.common.methods import add_method_options, flag_of, plan_of
from ms_coreset.cli.common.options import (
    add,
    add_data_options,
    add_evidence_options,
    add_network_options,
    add_run_options,
    canonical_dataset,
    dataset_in_files,
    image_words,
    new_parser,
    note,
)
from ms_coreset.cli.common.patches import base_of_patches, require_evidence
from ms_coreset.cli.common.repeat import (
    base_of,
    changed_arrays,
    former_options,
    options_of,
    tell_changes,
)
from ms_coreset.cli.common.steps import Steps
from ms_coreset.cli.common.trust import tell_if_poor, trust_in, wrong_labels
from ms_coreset.cli.common.unsaid import TYPED, by_patches, goes_by_patches, nothing_said, with_defaults
from ms_coreset.cli.common.versions import made_with
from ms_coreset.distributed import current
from ms_coreset.errors import MsCoresetError
from ms_coreset.identity import data_identity
from ms_coreset.selectors import describe, list_methods
from ms_coreset.selectors.presets import RULE_NAMES
from ms_coreset.selectors.quota import Request
from ms_coreset.terminal import say

_EXAMPLES = """examples:
  select --dataset digitsN --rate 0.2
  select --dataset CIFAR100N --rate 0.2 --arch lenet
  select --dataset CIFAR10 --rate 0.1 --ckpt my_resnet18.pth
  select --dataset CIFAR10N --rate 0.2 --balance --evidence patches
  select --dataset digitsN --rate 0.3 --score el2n --rule strata --mis-ratio 0.3
  select --from-manifest index/digitsN-ccs-balanced-0.2.npz
A coreset's file tells how it was made. --from-manifest repeats that, with the options and the recipe of then; only
where things are, and on what they run, can be typed beside it. What differs meanwhile is said: versions, commit, data,
network. The exit code is 0 when the coreset is the same, byte for byte, and 1 when it is another: that one never
replaces a file. A network or data that is missing and can't be made again is an error (2).
"""

ANOTHER = 1  # exit code of a repetition that gave another coreset


def parser(typed):
    """The command's options."""
    options = new_parser(typed, "Choose the part of a data set that is worth keeping.", _EXAMPLES)
    group = options.add_argument_group("selection")
    add(group, "--method", metavar="NAME", help=f"one of {', '.join(list_methods())} (default: moderate, as published; "
        "on a CPU, where no option says anything of method, evidence or network, what "
        f"{TYPED} does)")
    add(group, "--rate", type=float, default=1.0, metavar="X", help="share to keep, above 0 and at most 1 (default: 1)")
    add(group, "--balance", action="store_true", help="the same share of every class")
    add(group, "--memory", metavar="SIZE", help="what the selection may use beside the data, such as 2G or 500M "
        "(default: half of what is free)")
    add(group, "--rule", choices=RULE_NAMES, help="with --score: any score by any rule, instead of a method")
    add(group, "--pool", type=int, metavar="N", help="work on a seeded, class-balanced part of the training split")
    add(group, "--save", default="index", metavar="DIR", help="folder of the result (default: index)")
    add(group, "--from-manifest", metavar="FILE", help="repeat the selection that made the coreset FILE (.npz), and "
        "compare")
    add(group, "--list", action="store_true", help="show the methods and leave")
    add_evidence_options(group, default=None, words="as --method says")
    add_method_options(options)
    add_data_options(options, dataset_required=False)
    add_network_options(options)
    add_run_options(options)
    return options


def run(arguments):
    """Run the command."""
    if arguments.list:
        return _print_methods()
    former = None
    if arguments.from_manifest:
        former, arguments = former_options(parser("select"), arguments)
    if arguments.dataset is None:
        raise MsCoresetError("--dataset is missing; --help shows what there is")
    return _select(arguments, former)


def _select(arguments, former):
    from ms_coreset.cli.common.evidence import gather, load_pool, sizes_to_gather

    unsaid = former is None and nothing_said(parser("select"), arguments)
    arguments, dataset = with_defaults(arguments), dataset_in_files(arguments)
    plan, request = _wanted(arguments)
    steps = Steps()
    device, whole, pool, split = load_pool(arguments, steps)
    if unsaid and goes_by_patches(device, split, plan.needs):
        arguments = by_patches(arguments)
        plan, request = _wanted(arguments)
    given = [name for name in plan.needs if name in split.known]
    notes = {**_manifest(arguments, dataset, whole, given, former), **made_with(device),
             "data": data_identity(whole, given)}
    tell_changes(former, notes)
    expected = plan.estimate(*sizes_to_gather(arguments, split, device, plan.needs), request)
    note(expected)
    expected.require_fit()
    evidence, checkpoint = gather(arguments, dataset, split, device, steps, plan.needs)
    based = base_of(checkpoint) | base_of_patches(evidence)
    tell_changes(former, based)
    trusted = trust_in(arguments, split, evidence, checkpoint, device)
    tell_if_poor(trusted)
    with steps("select"):
        coreset = plan.choose(evidence, request)
    wrong = wrong_labels(evidence, coreset)
    if pool is not None:
        coreset = coreset.within(pool, len(whole))
    coreset.manifest.update({**notes, **based})
    told = {"evidence": trusted, "wrong": wrong, "by": f"{', '.join(given)} of {arguments.data}" if given else None}
    return _keep(arguments, dataset, coreset, whole, told, steps, former)


def _wanted(arguments):
    """(how to choose, how much): a ``Choice`` and a ``Request``."""
    plan = plan_of(arguments)
    require_evidence(arguments, {plan.name: plan.needs})
    return plan, Request(arguments.rate, arguments.balance, arguments.seed, arguments.memory)


def _keep(arguments, dataset, coreset, split, told, steps, former):
    """Save the coreset and tell of it; the exit code.

    told: lines by name on what it was chosen by; None for those that there is nothing to say of
    """
    files = _result_files(arguments, dataset, coreset)
    changes = changed_arrays(former, coreset) if former else []
    if changes and files["npz"].exists():
        note(f"{files['npz']} is left as it is: another --save keeps the other coreset beside it")
    else:
        with steps("save"):
            if current().first:
                coreset.save(files["npz"], dropped=files["bin"])
        _print_summary(arguments, dataset, coreset, split, told, steps, files)
    return _compared(arguments.from_manifest, changes) if former else 0


def _compared(path, changes):
    """Say how the coreset of the file ``path`` was repeated; the exit code."""
    say(f"{path}: " + ("another coreset now" if changes else "the same coreset now, byte for byte"))
    for line in changes:
        say(f"  {line}")
    return ANOTHER if changes else 0


def _result_files(arguments, dataset, coreset):
    folder, balanced = Path(arguments.save), "-balanced" if arguments.balance else ""
    return {"bin": folder / f"{dataset}.bin",
            "npz": folder / f"{dataset}-{coreset.method}{balanced}-{arguments.rate:g}.npz"}


def _manifest(arguments, dataset, whole, given, former):
    if former is None:
        called = shlex.join(["select", *arguments.typed]), options_of(parser("select"), arguments)
    else:  # what is repeated goes by the command that made it first
        command = former.manifest.get("command")
        called = command if isinstance(command, str) else None, former.manifest["arguments"]
    return {"dataset": dataset, "perturbation": whole.manifest, "came_with_data": given,
            **dict(zip(("command", "arguments"), called, strict=True))}


def _print_summary(arguments, dataset, coreset, split, told, steps, files):
    summary = coreset.summary(split)
    share = summary["kept"] / summary["available"]
    low, middle, high = summary["per_class"]
    lines = [("kept", f"{summary['kept']:,} of {summary['available']:,} ({share:.1%})"),
             ("per class", f"min {low}, median {middle:g}, max {high}")]
    if summary["bad_kept"] is not None:
        lines.append(("bad", f"{summary['bad_available']:.1%} of the data, {summary['bad_kept']:.1%} of the coreset"))
        lines += [("", f"{name.replace('_', ' ')}: {before:.1%} of the data, {after:.1%} of the coreset")
                  for name, (before, after) in summary["bad_by_kind"].items() if len(summary["bad_by_kind"]) > 1]
    lines += [(name, line) for name, line in told.items() if line]
    if "shared" in coreset.manifest:
        lines.append(("ranks", f"{coreset.manifest['ranks']}: {coreset.manifest['shared']}"))
    lines += [*steps.lines(), ("wrote", f"{files['npz']} (everything)"), ("", f"{files['bin']} (dropped samples)")]
    say(f"{coreset.method} coreset of {dataset}, rate {coreset.rate:g}")
    for name, value in lines:
        say(f"  {name:<10} {value}")
    if split.images is None:
        return
    say(f"next: {_train_command()} --dataset {shlex.quote(canonical_dataset(arguments))} "
          f"--coreset {shlex.quote(str(files['npz']))}"
          + (f" --data {shlex.quote(arguments.data)}" if arguments.data != "data" else "")
          + "".join(f" {word}" for word in image_words(arguments)))


def _train_command():
    program = Path(sys.argv[0])
    return f"python {program.with_name('train.py')}" if program.name == "select.py" else "ms-coreset train"


def _print_methods():
    for name in list_methods():
        entry = describe(name)
        say(f"{name}: {entry['summary'] or 'not described'}")
        cost = f"cost {entry['cost']}" if entry["cost"] else ""
        say("  " + "; ".join(filter(None, (f"needs {', '.join(entry['needs'])}", cost, entry["source"]))))
        if entry["options"]:
            say("  options: " + ", ".join(f"{flag_of(key)} {value}" for key, value in entry["options"].items()))
