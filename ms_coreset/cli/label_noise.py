"""``label-noise``: make the label noise of a data set's ...N."""

from ms_coreset.cli.options import add, add_data_options, canonical_dataset, load_split, new_parser
from ms_coreset.datasets import make_label_noise
from ms_coreset.datasets.family import DATASETS
from ms_coreset.files import read_json

_EXAMPLES = """examples:
  label_noise --dataset CIFAR100 --ratio 0.2
  label_noise --dataset digits --ratio 0.35 --seed 1 --force
"""


def parser(typed):
    """The command's options."""
    options = new_parser(typed, "Make symmetric label noise for the training split of a data set; its test split stays "
                         "clean.\nNAME and NAMEN mean the same.", _EXAMPLES)
    group = options.add_argument_group("noise")
    add(group, "--ratio", type=float, default=0.2, metavar="X", help="share of the labels to flip (default: 0.2)")
    add(group, "--chance", action="store_true", help="flip each label with this chance, as the Moderate repository "
        "does, instead of exactly this share")
    add(group, "--seed", type=int, default=0, metavar="N", help="of the flips (default: 0)")
    add(group, "--force", action="store_true", help="replace noise that is there already")
    add_data_options(options)
    return options


def run(arguments):
    """Run the command."""
    family, _ = DATASETS[canonical_dataset(arguments)]
    arguments.dataset = family.name
    clean = load_split(arguments, train=True)
    path = make_label_noise(clean, arguments.data, arguments.ratio, arguments.seed, not arguments.chance,
                            arguments.force)
    made = read_json(path.with_suffix(".json"))
    print(f"label noise of {family.name}: {made['flipped']:,} of {made['n']:,} labels flipped "
          f"({made['ratio_realised']:.2%}), seed {made['seed']}")
    print(f"  wrote {path} and {path.with_suffix('.json')}")
