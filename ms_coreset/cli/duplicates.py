"""``duplicates``: samples that are the same or nearly so, and test samples among the training ones."""

import argparse
import shlex
from dataclasses import replace

from ms_coreset.cli.common.common_options import add, add_data_options, add_run_options, new_parser
from ms_coreset.engines.frameworks import FRAMEWORKS, MINDSPORE
from ms_coreset.errors import MsCoresetError
from ms_coreset.experiment.report.duplicates import write_duplicates
from ms_coreset.jobs.base_network import require_writable
from ms_coreset.jobs.duplicates import BYTES, FEATURES, NEAR, PIXELS, DuplicatesJob, find_duplicates
from ms_coreset.jobs.options import runtime_of, sources_of
from ms_coreset.jobs.sources import NETWORK, PATCHES
from ms_coreset.networks import list_networks
from ms_coreset.selectors.near_duplicates import THRESHOLDS, WHITENED
from ms_coreset.terminal import say

_EXAMPLES = """examples:
  duplicates --data photos
  duplicates --dataset CIFAR10 --drop-leaks
  duplicates --dataset CIFAR10 --ckpt my_resnet18.pth --threshold 0.8
  duplicates --dataset arrays --data features.npy --metric cosine
What is left is a coreset: train --coreset, select --among and coreset show --link take it.
"""


def parser(typed: str) -> argparse.ArgumentParser:
    """The command's options."""
    options = new_parser(typed, "Find samples that are the same or nearly so, with different labels, and in training "
                         "and test split: a table, a page with pictures, and what is left.", _EXAMPLES)
    group = options.add_argument_group("duplicates")
    add(group, "--metric", choices=THRESHOLDS, default=WHITENED, help="how features are compared: the cosine after "
        f"whitening, the plain one, or the Euclidean distance (default: {WHITENED})")
    add(group, "--threshold", type=float, metavar="X", help="least cosine, or largest distance, of samples that are "
        "near (default: " + ", ".join(f"{value} {name}" for name, value in THRESHOLDS.items() if value) + ")")
    add(group, "--no-test", action="store_true", help="look at the training split alone")
    add(group, "--drop-leaks", action="store_true", help="drop every training sample that is like a test sample, not "
        "all but the first of a group")
    add(group, "--save", default="duplicates", metavar="DIR", help="folder of the results (default: duplicates)")
    add(group, "--cache", default="cache", metavar="DIR", help="folder of features (default: cache)")
    network = options.add_argument_group("network")
    add(network, "--ckpt", metavar="FILE", help="compare the features of this network, .ckpt, .pth or .safetensors "
        "(default: those of random patches, or those that come with the data)")
    add(network, "--arch", metavar="NAME", help=f"which it is, where the file does not tell: "
        f"{', '.join(list_networks())}; or one of a library, such as timm:NAME")
    add(network, "--framework", choices=FRAMEWORKS, help=f"what asks it (default: {MINDSPORE})")
    add_data_options(options, dataset_required=False)
    options.set_defaults(data=None)
    add_run_options(options)
    return options


def run(arguments: argparse.Namespace) -> None:
    """Run the command."""
    require_writable(arguments.save)
    job = _job(arguments)

    found = find_duplicates(job)
    name = job.sources.data.name_in_files
    loaded = {"dataset": job.sources.data.name, "image-size": arguments.image_size, "bits": arguments.bits,
              "image-column": arguments.image_column, "label-column": arguments.label_column,
              "skip-broken": arguments.skip_broken or None}
    files = write_duplicates(found, arguments.save, name=name, command=shlex.join(["duplicates", *arguments.typed]),
                             loading={option: value for option, value in loaded.items() if value is not None})
    total = sum(map(len, found.splits))
    kinds = {kind: found.kinds.count(kind) for kind in (BYTES, PIXELS, FEATURES, NEAR)}
    say(f"duplicates in {name}: {len(found.groups):,} groups with {len(found.groups.members):,} of {total:,} samples")
    told = [("same", ", ".join(f"{number:,} {'nearly' if kind == NEAR else f'in their {kind}'}"
                               for kind, number in kinds.items() if number) or "none"),
            ("test", "not looked at" if found.test is None else
             f"{int(found.leaks.sum()):,} groups have training and test samples"),
            ("labels", "none are known" if found.labels is None else
             f"{int(found.conflicts.sum()):,} groups have different ones"),
            ("left", f"{len(found.train) - len(found.dropped):,} of {len(found.train):,} training samples"),
            ("wrote", f"{files.page} (look at it first)"), ("", f"{files.table} (every member)"),
            ("", f"{files.kept} (what is left)")]
    for what, line in told:
        say(f"  {what:<10} {line}")


def _job(arguments: argparse.Namespace) -> DuplicatesJob:
    dataset = arguments.dataset or ("folder" if arguments.data else None)
    if dataset is None:
        raise MsCoresetError("what is to be looked at? --data names a folder of images, --dataset a data set")
    sources = sources_of({**vars(arguments), "dataset": dataset, "data": arguments.data or "data"})
    if sources.network.checkpoint is None and (arguments.arch or arguments.framework):
        raise MsCoresetError("--arch and --framework are about a network: --ckpt FILE names it")
    kind = PATCHES if sources.network.checkpoint is None else NETWORK
    sources = replace(sources, evidence=replace(sources.evidence, kind=kind))
    return DuplicatesJob(sources, arguments.metric, arguments.threshold, arguments.drop_leaks, not arguments.no_test,
                         runtime_of(vars(arguments)))
