"""Options that several commands share, and what follows from them."""

import argparse
import dataclasses
import math
import sys

from ms_coreset.cli.common.parsing import OneLineParser
from ms_coreset.cli.common.plugins import add_plugin_option
from ms_coreset.datasets import class_balanced_indices, load_dataset
from ms_coreset.datasets.family import DATASETS, canonical_name, find_dataset
from ms_coreset.device import DEVICES, PRECISIONS
from ms_coreset.distributed import first_before_others
from ms_coreset.networks import canonical_network, list_networks
from ms_coreset.terminal import complain
from ms_coreset.training.recipe import PADDING_MODES, SCHEDULES, Recipe, list_recipes, load_recipe

NETWORK, PATCHES = "network", "patches"  # what --evidence may be
# A data set's recipe unless the user names one: (where there is an accelerator, on a CPU).
_RECIPES = {"digits": ("digits", "digits"), "MNIST": ("mnist", "mnist"), "QMNIST": ("mnist", "mnist"),
            "FashionMNIST": ("mnist", "mnist"), "SVHN": ("svhn", "mnist"), "SVHNextra": ("svhn", "mnist"),
            "CIFAR100": ("moderate", "laptop-100"), "TinyImageNet": ("tiny", "lenet"),
            "ImageNet": ("imagenet", "lenet")}
# Of the others, the first whose images are not larger.
_RECIPES_BY_SIZE = {16: ("moderate", "lenet"), 32: ("moderate", "laptop"), 64: ("tiny", "lenet"),
                    math.inf: ("imagenet", "lenet")}
_OF_AIRBENCH = ("laptop", "laptop-100")  # whose learning rate and whitening are for that network: others take lenet's


class _Parser(OneLineParser):
    """Keeps the words that were typed as ``typed``."""

    def parse_args(self, args=None, namespace=None):
        typed = sys.argv[1:] if args is None else list(args)
        arguments = super().parse_args(typed, namespace)
        arguments.typed = typed
        return arguments


def new_parser(typed, description, epilog=None):
    """An argument parser for a command that was called as ``typed``; what follows is in its results' ``typed``."""
    parser = _Parser(prog=typed, description=description, epilog=epilog,
                     formatter_class=argparse.RawDescriptionHelpFormatter)
    add_plugin_option(parser)
    return parser


def add(group, name, *more, **settings):
    """Add an option that may be spelt with ``-`` or, as the Moderate repository does, with ``_``."""
    spellings = dict.fromkeys((name, name.replace("-", "_").replace("__", "--", 1), *more))
    group.add_argument(*spellings, **settings)


def add_data_options(parser, dataset_required=True):
    """--dataset and where it lies."""
    group = parser.add_argument_group("data")
    add(group, "--dataset", required=dataset_required, metavar="NAME", help=f"one of {DATASETS.summary()}")
    add(group, "--data", default="data", metavar="DIR", help="folder that holds the data sets (default: data); of "
        "folder, the one of the images; of arrays, the .npz file")
    add(group, "--image-size", type=int, metavar="N", help="side of the images, for ImageNet and folder (default: 224; "
        "of a folder of small squares, theirs)")
    add(group, "--bits", type=int, metavar="N", help="of image files: how many bits the grey values have that are "
        "stored in 16 or 32 (default: 16; refused where they look like fewer)")
    add(group, "--skip-broken", action="store_true", help="of image files: leave out those that can't be decoded")
    add(group, "--no-download", action="store_true", help="never fetch files that are missing")
    add(group, "--verify", action="store_true", help="refuse files that differ from the published ones; decode "
        "all image files first")
    return group


def add_network_options(parser):
    """What is trained, how, and where its checkpoints go."""
    group = parser.add_argument_group("network and recipe")
    add(group, "--recipe", metavar="NAME", help=f"one of {', '.join(list_recipes())}, or a YAML file (default: by data "
        "set; on an accelerator 'moderate' for CIFAR, 'tiny' and 'imagenet' for larger images; on a CPU 'laptop' for "
        "images of 17 to 32 pixels, 'laptop-100' for CIFAR100, 'lenet' for others)")
    add(group, "--arch", metavar="NAME", help=f"network (default: the recipe's): {', '.join(list_networks())}")
    add(group, "--width", type=int, metavar="N", help="channels of a ResNet's first stage, units of the mlp's layers")
    add(group, "--epoch", "--epochs", dest="epochs", type=int, metavar="N", help="passes over the data")
    add(group, "--iterations", type=int, metavar="N", help="updates instead, rounded up to whole passes")
    add(group, "--batch-size", type=int, metavar="N")
    add(group, "--lr", type=float, metavar="X", help="learning rate")
    add(group, "--momentum", type=float, metavar="X")
    add(group, "--weight-decay", type=float, metavar="X")
    add(group, "--nesterov", action=argparse.BooleanOptionalAction, default=None)
    add(group, "--schedule", choices=SCHEDULES)
    add(group, "--min-lr", type=float, metavar="X", help="learning rate in the end, of cosine and linear schedules")
    add(group, "--warmup", type=float, metavar="SHARE", help="share of the updates in which the learning rate rises to "
        "--lr (0: none)")
    add(group, "--warmup-from", type=float, metavar="SHARE", help="of --lr, from which it rises")
    add(group, "--clip-norm", type=float, metavar="X", help="largest norm of the gradient")
    add(group, "--crop-padding", type=int, metavar="N", help="random crop after padding by so many pixels (0: none)")
    add(group, "--padding-mode", choices=PADDING_MODES)
    add(group, "--flip", action=argparse.BooleanOptionalAction, default=None, help="random mirroring")
    add(group, "--crop-scale", type=float, metavar="X", help="instead, random resized crop of at least this share")
    add(group, "--crop-size", type=int, metavar="N", help="resize such a crop to N pixels, and then to the image size")
    add(group, "--test-resize", type=int, metavar="N", help="for testing, resize to N pixels before the central crop")
    add(group, "--whiten", action=argparse.BooleanOptionalAction, default=None, help="the first convolution whitens "
        "the images' patches and stays as it is")
    add(group, "--validation", type=float, metavar="SHARE", help="share of the training samples that chooses the best "
        "epoch (default: the recipe's, 0: the last epoch is taken)")
    add(group, "--eval-every", type=int, metavar="N", help="epochs between two tests")
    add(group, "--model-dir", default="ckpt", metavar="DIR", help="folder of the checkpoints (default: ckpt)")
    return group


def add_evidence_options(group, default=NETWORK, words=NETWORK):
    """Whose opinion of the samples is asked, and where it is kept; words: what ``default`` is called."""
    add(group, "--evidence", choices=(NETWORK, PATCHES), default=default, help="features and logits of a network, or, "
        f"without training, of random patches of the images and ridge regression (default: {words})")
    add(group, "--filters", type=int, metavar="N", help="with --evidence patches: how many (default: by image size)")
    add(group, "--ckpt", metavar="FILE", help="the base network, .ckpt, .pth or .safetensors (default: "
        "<model-dir>/<dataset>/<arch>/best.ckpt, trained first if it is missing)")
    add(group, "--runs", type=int, default=1, metavar="N", help="networks of as many seeds, for grand and el2n "
        "(default: 1)")
    add(group, "--cache", default="cache", metavar="DIR", help="folder of extracted evidence (default: cache)")
    add(group, "--top-m", type=int, metavar="M", help="deepfool: only the M likeliest classes (default: all)")
    add(group, "--probabilities", action="store_true", help="the logits of --dataset arrays are probabilities: rows "
        "in [0, 1] that sum to 1")


def add_run_options(parser):
    """Seed, device and precision."""
    group = parser.add_argument_group("run")
    add(group, "--seed", type=int, default=0, metavar="N", help="of everything random (default: 0)")
    add(group, "--device", default="auto", metavar="NAME", help=f"{', '.join(DEVICES)} (default: auto, the best there "
        "is)")
    add(group, "--precision", choices=PRECISIONS, default=PRECISIONS[0], help="of convolutions on an accelerator: "
        "float32, or fast, by factors rounded to 10 or 11 bits (TF32, HF32), by which others may be chosen (default: "
        f"{PRECISIONS[0]}; a CPU always computes in it)")
    return group


def note(line):
    """Tell the user something beside the result, on stderr."""
    complain(f"note: {line}")


def load_split(arguments, train):
    """The training or the test split that the options name; attacked images that are missing are made."""
    with first_before_others():  # which find what it has fetched or made
        if train:
            from ms_coreset.cli.attack import make_if_missing

            make_if_missing(arguments)
        split = load_dataset(arguments.dataset, arguments.data, train, **image_options(arguments),
                             broken=_of_broken(arguments), download=not arguments.no_download,
                             verify=arguments.verify, log=note)
    return split.with_probabilities() if train and getattr(arguments, "probabilities", False) else split


def image_options(arguments):
    """The options that decide what images are made of image files."""
    return {"image_size": arguments.image_size, "bits": arguments.bits}


def image_words(arguments):
    """The options that decide what images there are, as they are typed."""
    words = [word for name, value in image_options(arguments).items() if value is not None
             for word in (f"--{name.replace('_', '-')}", str(value))]
    return words + (["--skip-broken"] if arguments.skip_broken else [])


def _of_broken(arguments):
    """What ``load_dataset`` does about broken images: of a user's own, which nobody published, all are tried."""
    if arguments.skip_broken:
        return "skip"
    return "refuse" if arguments.verify or find_dataset(arguments.dataset)[0].by_path else None


def draw_pool(split, size, seed):
    """(places, part) of a class-balanced pool of ``size`` samples, or (None, split) without a size."""
    if size is None:
        return None, split
    pool = class_balanced_indices(split.labels, size, seed)
    return pool, split.subset(pool)


def resolve_recipe(arguments, device, image_size=32, arch=None):
    """The recipe that the options name, with the options over it; by default the data set's, or its image size's.

    arch: the network that it will be for, if that is not in the options
    """
    if isinstance(arguments.recipe, Recipe):  # of a coreset that is repeated: complete
        return arguments.recipe
    family, *_ = find_dataset(arguments.dataset)
    by_size = next(recipes for size, recipes in _RECIPES_BY_SIZE.items() if image_size <= size)
    default = _RECIPES.get(family.name, by_size)[device == "CPU"]
    if default in _OF_AIRBENCH and canonical_network(arch or arguments.arch or "airbench") != "airbench":
        default = "lenet"
    overrides = {field.name: getattr(arguments, field.name) for field in dataclasses.fields(Recipe)
                 if hasattr(arguments, field.name)}
    recipe = load_recipe(arguments.recipe or default, **overrides)
    canonical_network(recipe.arch)  # an unknown one is refused here, before anything is said or done with it
    return recipe


def canonical_dataset(arguments):
    """The registered spelling of --dataset; raises ``MsCoresetError`` for an unknown one."""
    return canonical_name(arguments.dataset)


def dataset_in_files(arguments):
    """The data set's name in file names: ``canonical_dataset``, and where --data is the set itself, that one's, too.

    A size or number of bits that was asked for follows it: networks of two sizes are not one another's.
    """
    family, *_ = find_dataset(arguments.dataset)
    name = canonical_dataset(arguments).replace(family.name, family.called(arguments.data), 1)
    size = "" if arguments.image_size is None else f"-{arguments.image_size}px"
    return name + size + ("" if arguments.bits is None else f"-{arguments.bits}bit")

