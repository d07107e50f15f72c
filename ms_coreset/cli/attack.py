"""``attack``: make the attacked images of a data set's ...A."""

import argparse
from fractions import Fraction

from ms_coreset.cli.common.common_options import add, add_data_options, add_network_options, add_run_options, new_parser
from ms_coreset.cli.common.overlay import ABOUT_NAMES, add_overlay_options, draw_preview
from ms_coreset.jobs.attacked import attack
from ms_coreset.jobs.options import runtime_of, sources_of
from ms_coreset.json_files import read_json
from ms_coreset.perturbations.attack import AGAINST, ATTACKS
from ms_coreset.perturbations.contact_sheet import difference
from ms_coreset.terminal import say

_EXAMPLES = """examples:
  attack --dataset CIFAR100
  attack --dataset CIFAR100A@pgd --attack pgd --steps 40
  attack --dataset digits --attack pgd --eps 16/255 --ckpt my_network.pth --preview attacked.png
"""


def parser(typed: str) -> argparse.ArgumentParser:
    """The command's options."""
    options = new_parser(typed, "Attack every training image with the gradient of a network that was trained on the "
                         "clean ones.\n" + ABOUT_NAMES.format(letter="A") + "\nAn attack that was interrupted goes on "
                         "when the same command is typed again.", _EXAMPLES)
    group = options.add_argument_group("attack")
    add(group, "--attack", choices=ATTACKS, default="gsa", help="gsa: one step along the gradient's sign; pgd: many, "
        "projected (default: gsa)")
    add(group, "--eps", type=_fraction, default=8 / 255, metavar="X", help="how far a pixel may move (default: 8/255, "
        "eight grey levels)")
    add(group, "--alpha", type=_fraction, default=2 / 255, metavar="X", help="pgd: size of a step (default: 2/255)")
    add(group, "--steps", type=int, metavar="N", help="pgd: number of steps (default: 10)")
    add(group, "--against", choices=AGAINST, help="the answer that images are led away from: the network's own (gsa's "
        "default) or the true label (pgd's)")
    add(group, "--random-start", action=argparse.BooleanOptionalAction, default=None, help="pgd: begin at a place "
        "drawn around the image (default: yes)")
    add(group, "--attack-batch", type=int, default=128, metavar="N", help="images at a time (default: 128)")
    add(group, "--ckpt", metavar="FILE", help="the network to attack, .ckpt, .pth or .safetensors (default: "
        "<model-dir>/<dataset>/<arch>/best.ckpt, trained first if it is missing)")
    add_overlay_options(group)
    add_data_options(options)
    add_network_options(options)
    add_run_options(options)
    return options


def run(arguments: argparse.Namespace) -> None:
    """Run the command."""
    sources = sources_of(vars(arguments))
    data, name, _ = sources.data.clean("A")
    options = {option: getattr(arguments, option) for option in
               ("force", "attack", "eps", "alpha", "steps", "against", "random_start")}

    clean, path = attack(sources, runtime_of(vars(arguments)), batch_size=arguments.attack_batch, **options)
    made = read_json(path.with_suffix(".json"))
    say(f"{name}: {made['n']:,} images attacked, {made['attack']}, eps {255 * made['eps']:g}/255, "
          f"steps {made['steps']}, against {made['against']} labels, seed {made['seed']}; by {made['checkpoint']}")
    for kind, count in zip(made["kinds"], made["counts"], strict=True):
        say(f"  {kind:<15} {count:,} ({count / made['n']:.1%})")
    say(f"  wrote {path} and {path.with_suffix('.json')}")
    draw_preview(arguments.preview, clean, data.with_name(name), lambda before, after: [
        ("clean", before), ("attacked", after), ("10 x change", difference(before, after))])


def _fraction(text: str) -> float:
    """A number, or one over another: "8/255"."""
    try:
        return float(Fraction(text))
    except (ValueError, ZeroDivisionError) as error:
        raise argparse.ArgumentTypeError(f"{text!r} is no number, such as 0.03 or 8/255") from error
