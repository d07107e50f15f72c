"""``corrupt``: make the corrupted images of a data set's ...C."""

import argparse
from collections.abc import Iterable

from ms_coreset.cli.common.common_options import add, add_data_options, new_parser
from ms_coreset.cli.common.overlay import ABOUT_NAMES, add_overlay_options, draw_preview
from ms_coreset.datasets import make_corruption
from ms_coreset.errors import MsCoresetError
from ms_coreset.jobs.options import data_of
from ms_coreset.json_files import read_json
from ms_coreset.perturbations.corruption import KINDS, MODES
from ms_coreset.terminal import say

_EXAMPLES = """examples:
  corrupt --dataset CIFAR100 --preview corrupted.png
  corrupt --dataset CIFAR100C@0.2 --ratio 0.2
  corrupt --dataset digits --shares fog=0.1 occlusion=0.05 --random-occlusion --force
"""


def parser(typed: str) -> argparse.ArgumentParser:
    """The command's options."""
    options = new_parser(typed, "Corrupt a share of the training images: motion blur, fog, low resolution, occlusion, "
                         "Gaussian noise.\n" + ABOUT_NAMES.format(letter="C"), _EXAMPLES)
    group = options.add_argument_group("corruption")
    share = group.add_mutually_exclusive_group()
    add(share, "--ratio", type=float, default=0.3, metavar="X", help="share of the images, evenly by the five kinds "
        "(default: 0.3; the paper has 0.05, 0.1, 0.2 and 0.3)")
    add(share, "--shares", nargs="+", metavar="KIND=X", help=f"a share for each kind instead: {', '.join(KINDS)}")
    add(group, "--mode", choices=MODES, default="paper", help="what was meant, or what the Moderate repository writes "
        "(default: paper)")
    add(group, "--random-occlusion", action="store_true", help="cover a place drawn for each image, not always the "
        "same")
    add(group, "--seed", type=int, default=0, metavar="N", help="of everything random (default: 0)")
    add_overlay_options(group)
    add_data_options(options)
    return options


def run(arguments: argparse.Namespace) -> None:
    """Run the command."""
    shares = _parse(arguments.shares) if arguments.shares else arguments.ratio
    data, name, variant = data_of(vars(arguments)).clean("C")
    clean = data.load(train=True)
    path = make_corruption(clean, data.home, shares, seed=arguments.seed, mode=arguments.mode,
                           random_occlusion=arguments.random_occlusion, force=arguments.force, variant=variant)
    made = read_json(path.with_suffix(".json"))
    say(f"{name}: {sum(made['counts']):,} of {made['n']:,} images corrupted "
          f"({sum(made['counts']) / made['n']:.2%}), mode {made['mode']}, seed {made['seed']}")
    for kind, count in zip(made["kinds"], made["counts"], strict=True):
        say(f"  {kind.replace('_', ' '):<15} {count:,}")
    say(f"  wrote {path} and {path.with_suffix('.json')}")
    draw_preview(arguments.preview, clean, data.with_name(name), lambda before, after: [
        ("clean", before), ("corrupted", after)])


def _parse(typed: Iterable[str]) -> dict[str, float]:
    shares = {}
    for entry in typed:
        kind, _, share = entry.partition("=")
        try:
            shares[kind.replace("-", "_")] = float(share)
        except ValueError as error:
            raise MsCoresetError(f"--shares {entry}: give KIND=X, such as fog=0.1") from error
    return shares
