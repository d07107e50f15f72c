"""Options that several commands share."""

import argparse
import sys
from collections.abc import Collection, Iterable
from typing import Any

from ms_coreset.cli.common.parsing import OneLineParser
from ms_coreset.cli.common.plugins import add_plugin_option
from ms_coreset.datasets.family import DATASETS
from ms_coreset.device import AUTO, COMPILING, DEVICES, PRECISIONS
from ms_coreset.engines.frameworks import FRAMEWORKS, MINDSPORE
from ms_coreset.jobs.sources import NETWORK, PATCHES, DataSource
from ms_coreset.networks import list_networks
from ms_coreset.training.dynamics import RECORDS
from ms_coreset.training.recipe import PADDING_MODES, SCHEDULES, list_recipes
from ms_coreset.training.streams import STREAM
from ms_coreset.training.trackers import TRACKERS

Group = argparse._ActionsContainer  # a parser, or a group of its options


class _Parser(OneLineParser):
    """Keeps the words that were typed as ``typed``."""

    def parse_args(self, args: Iterable[str] | None = None, namespace: Any = None) -> Any:
        typed = sys.argv[1:] if args is None else list(args)
        self.set_defaults(typed=typed)
        return super().parse_args(typed, namespace)


def new_parser(typed: str, description: str, epilog: str | None = None,
               usual: Collection[str] = ()) -> OneLineParser:
    """A parser for a command.

    Args:
        typed: how it was called.
        description: what it does.
        epilog: below the options.
        usual: the options that --help shows, where --help-all shows the others, too; none: --help shows all.

    Returns:
        The parser; parsing sets ``typed`` to the words after the command.
    """
    parser = _Parser(prog=typed, description=description, epilog=epilog,
                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.show_first(usual)
    add_plugin_option(parser)
    return parser


def add(group: Group, name: str, *more: str, **settings: Any) -> None:
    """Add an option that may be spelt with ``-`` or, as the Moderate repository does, with ``_``."""
    spellings = dict.fromkeys((name, name.replace("-", "_").replace("__", "--", 1), *more))
    group.add_argument(*spellings, **settings)


def add_data_options(parser: argparse.ArgumentParser, dataset_required: bool = True) -> argparse._ArgumentGroup:
    """Options of the data set: --dataset, and where it lies."""
    group = parser.add_argument_group("data")
    add(group, "--dataset", required=dataset_required, metavar="NAME", help=f"one of {DATASETS.summary()}")
    add(group, "--data", default="data", metavar="DIR", help="folder that holds the data sets (default: data); of "
        "folder, the one of the images; of arrays, the file, or a folder of .npy files; of hf, a saved set, a folder, "
        "or a name of Hugging Face's hub; of webdataset and mindrecord, the shards' folder")
    add(group, "--image-size", type=int, metavar="N", help="side of the images, for photographs of any size (default: "
        "224; of small squares of one's own, theirs)")
    add(group, "--image-column", metavar="NAME", help="of hf and mindrecord: the column of the images; of webdataset: "
        "their suffix (default: the only one)")
    add(group, "--label-column", metavar="NAME", help="likewise, of the labels (default: the only one, or 'label')")
    add(group, "--bits", type=int, metavar="N", help="of image files: how many bits the grey values have that are "
        "stored in 16 or 32 (default: 16; refused where they look like fewer)")
    add(group, "--skip-broken", action="store_true", help="of image files: leave out those that can't be decoded")
    add(group, "--no-download", action="store_true", help="never fetch files that are missing")
    add(group, "--verify", action="store_true", help="refuse files that differ from the published ones; decode "
        "all image files first")
    return group


def add_network_options(parser: argparse.ArgumentParser) -> argparse._ArgumentGroup:
    """Options of the network: what is trained, how, and where its checkpoints go."""
    group = parser.add_argument_group("network and recipe")
    add(group, "--recipe", metavar="NAME", help=f"one of {', '.join(list_recipes())}, or a YAML file (default: by data "
        "set; on an accelerator 'moderate' for CIFAR, 'tiny' and 'imagenet' for larger images; on a CPU 'laptop' for "
        "images of 17 to 32 pixels, 'laptop-100' for CIFAR100, 'lenet' for others)")
    add(group, "--arch", metavar="NAME", help=f"network (default: the recipe's): {', '.join(list_networks())}; or "
        "timm:NAME, torchvision:NAME with --framework torch, mindcv:NAME with mindspore, where these are installed")
    add(group, "--framework", choices=FRAMEWORKS, help=f"what trains and asks it; on NVIDIA GPUs torch (default: "
        f"{MINDSPORE})")
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
    add(group, "--amp", action=argparse.BooleanOptionalAction, default=None, help="train in mixed precision: float16 "
        "but for normalisation, with a scaled loss, or PyTorch's bfloat16; asked, and written, it is float32 (default: "
        "no)")
    add(group, "--validation", type=float, metavar="SHARE", help="share of the training samples that chooses the best "
        "epoch (default: the recipe's, 0: the last epoch is taken)")
    add(group, "--eval-every", type=int, metavar="N", help="epochs between two tests")
    add(group, "--model-dir", default="ckpt", metavar="DIR", help="folder of the checkpoints (default: ckpt)")
    return group


def add_record_option(group: Group, default: str) -> None:
    """Add --record; ``default`` describes what is recorded without it."""
    add(group, "--record", nargs="*", choices=(*RECORDS, STREAM), default=None, metavar="FIELD", help="what is "
        f"recorded of every sample in every epoch: {', '.join(RECORDS)}; or {STREAM}: no epochs but the scores over "
        f"time, added up in memory that does not grow with their number (default: {default}; divergence only where the "
        "probabilities of all samples take no more than a gigabyte)")


def add_track_option(group: Group) -> None:
    """Add --track, who gets the numbers of every epoch and run."""
    add(group, "--track", nargs="+", choices=list(TRACKERS), default=[], help="write the numbers of every epoch and "
        "run for TensorBoard, Weights & Biases (offline, unless WANDB_MODE says otherwise) or MindInsight, too, into a "
        "folder of that name beside the results (default: for none)")


def add_evidence_options(group: Group, default: str | None = NETWORK, words: str = NETWORK) -> None:
    """Options of the evidence: from what it is computed, and where it is kept; ``words`` describes ``default``."""
    add(group, "--evidence", choices=(NETWORK, PATCHES), default=default, help="features and logits of a network, or, "
        f"without training, of random patches of the images and ridge regression (default: {words})")
    add(group, "--filters", type=int, metavar="N", help="with --evidence patches: how many (default: by image size)")
    add(group, "--ckpt", metavar="FILE", help="the base network, .ckpt, .pth or .safetensors (default: "
        "<model-dir>/<dataset>/<arch>/best.ckpt, trained first if it is missing)")
    add(group, "--runs", type=int, default=1, metavar="N", help="networks of as many seeds, for grand, el2n "
        "and ram_apl; score tells how far they agree (default: 1)")
    add(group, "--out-of-fold", type=int, metavar="K", help="K networks, each trained without a K-th of the samples, "
        "which it is then asked about; for scores of single samples")
    add(group, "--cache", default="cache", metavar="DIR", help="folder of extracted evidence (default: cache)")
    add(group, "--top-m", type=int, metavar="M", help="deepfool: only the M likeliest classes (default: all)")
    add(group, "--probabilities", action="store_true", help="the logits of --dataset arrays are probabilities: rows "
        "in [0, 1] that sum to 1")


def add_dynamics_option(group: Group) -> None:
    """A training that was recorded elsewhere."""
    add(group, "--dynamics", metavar="DIR", help="training dynamics that were recorded in a loop of yours, by "
        "mc.Recorder; no network is asked for these")


def add_run_options(parser: argparse.ArgumentParser) -> argparse._ArgumentGroup:
    """Seed, device, and how it computes."""
    group = parser.add_argument_group("run")
    add(group, "--seed", type=int, default=0, metavar="N", help="of everything random (default: 0)")
    add(group, "--device", default="auto", metavar="NAME", help=f"{', '.join(DEVICES)}; with --framework torch "
        "auto, cpu, cuda, mps (default: auto, the best there is)")
    add(group, "--precision", choices=PRECISIONS, default=PRECISIONS[0], help="of convolutions on an accelerator: "
        "float32, or fast, by factors rounded to 10 or 11 bits (TF32, HF32), by which others may be chosen (default: "
        f"{PRECISIONS[0]}; a CPU always computes in it)")
    add(group, "--compile", choices=COMPILING, default=AUTO, help="make one compiled graph of an update of training; "
        "MindSpore's only (default: auto, on GPU and Ascend; on a CPU it takes longer)")
    return group


def image_words(data: DataSource) -> list[str]:
    """The options that decide which images a ``DataSource`` has, as words."""
    sizes = {"--image-size": data.image_size, "--bits": data.bits, "--image-column": data.image_column,
             "--label-column": data.label_column}
    words = [word for flag, value in sizes.items() if value is not None for word in (flag, str(value))]
    return words + (["--skip-broken"] if data.skip_broken else [])
