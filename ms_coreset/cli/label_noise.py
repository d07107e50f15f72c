"""``label-noise``: make the label noise of a data set's ...N."""

import argparse

from ms_coreset.cli.common.common_options import add, add_data_options, new_parser
from ms_coreset.cli.common.overlay import ABOUT_NAMES, add_overlay_options, draw_preview
from ms_coreset.datasets import make_label_noise
from ms_coreset.datasets.overlays.human_labels import KINDS
from ms_coreset.datasets.overlays.noisy_labels import NOISES
from ms_coreset.jobs.options import data_of
from ms_coreset.json_files import read_json
from ms_coreset.terminal import say

_EXAMPLES = """examples:
  label_noise --dataset CIFAR100 --ratio 0.2
  label_noise --dataset CIFAR100N@0.35 --ratio 0.35
  label_noise --dataset CIFAR10N@worse --noise human --kind worse
  label_noise --dataset digits --noise asymmetric --ratio 0.35 --seed 1 --force
"""


def parser(typed: str) -> argparse.ArgumentParser:
    """The command's options."""
    options = new_parser(typed, "Replace a share of the training labels by wrong ones.\n"
                         + ABOUT_NAMES.format(letter="N"), _EXAMPLES)
    group = options.add_argument_group("noise")
    add(group, "--noise", choices=NOISES, default="symmetric", help="symmetric: every other class as likely; "
        "asymmetric: each class is mistaken for one other; human: labels that people gave, for CIFAR10 and CIFAR100 "
        "(default: symmetric)")
    add(group, "--ratio", type=float, default=0.2, metavar="X", help="share of the labels to flip (default: 0.2)")
    add(group, "--chance", action="store_true", help="flip each label with this chance, as the Moderate repository "
        "does, instead of exactly this share")
    add(group, "--next-class", action="store_true", help="asymmetric: to the next class, even where pairs of classes "
        "were published")
    add(group, "--kind", choices=KINDS, help="human: which of the published labels (default: worse, noisy_fine)")
    add(group, "--seed", type=int, default=0, metavar="N", help="of the flips (default: 0)")
    add_overlay_options(group)
    add_data_options(options)
    return options


def run(arguments: argparse.Namespace) -> None:
    """Run the command."""
    data, name, variant = data_of(vars(arguments)).clean("N")
    clean = data.load(train=True)
    path = make_label_noise(clean, data.home, arguments.ratio, seed=arguments.seed, exact=not arguments.chance,
                            force=arguments.force, variant=variant, noise=arguments.noise,
                            next_class=arguments.next_class, human=arguments.kind)
    made = read_json(path.with_suffix(".json"))
    told = f"seed {made['seed']}" if "seed" in made else f"by people, {made['human']}"
    say(f"label noise of {name}: {made['flipped']:,} of {made['n']:,} labels flipped "
          f"({made['ratio_realised']:.2%}), {told}")
    say(f"  wrote {path} and {path.with_suffix('.json')}")
    draw_preview(arguments.preview, clean, data.with_name(name), lambda before, after: [("image", before)])
