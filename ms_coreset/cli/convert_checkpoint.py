"""``convert-checkpoint``: torch's weights to MindSpore's .ckpt and back."""

import argparse
from pathlib import Path

from ms_coreset.cli.common.common_options import new_parser
from ms_coreset.errors import MsCoresetError
from ms_coreset.networks.weights import read_weights, write_checkpoint, write_torch
from ms_coreset.terminal import note, say

_EXAMPLES = """examples:
  convert_checkpoint resnet18.pth resnet18.ckpt
  convert_checkpoint model.safetensors resnet18.ckpt
  convert_checkpoint ckpt/CIFAR10/resnet18/best.ckpt resnet18.pth
"""


def parser(typed: str) -> argparse.ArgumentParser:
    """The command's options."""
    options = new_parser(typed, "Turn torch's weights (.pth, .safetensors) into a MindSpore checkpoint (.ckpt), or "
                         "into a state dict of torch (.pth), without loss.\nThe networks known here are found in what "
                         "training programs keep beside and around them, by the names of torchvision, mindcv and the "
                         "CIFAR ResNets of Moderate, DeepCore and CCS.", _EXAMPLES)
    options.add_argument("source", metavar="FROM", help="checkpoint of torch or MindSpore, or .safetensors file")
    options.add_argument("target", metavar="TO", help=".ckpt, .pth or .pt file; replaced if it is there")
    return options


def run(arguments: argparse.Namespace) -> None:
    """Run the command."""
    target = Path(arguments.target)
    if target.suffix not in (".ckpt", ".pth", ".pt"):
        raise MsCoresetError(f"can't convert to {target}: the name must end in .ckpt, .pth or .pt")
    arrays, description = read_weights(arguments.source, note)
    if target.suffix == ".ckpt":
        write_checkpoint(target, arrays, {"network": None})
    else:
        write_torch(target, arrays)
    last = f"{description['num_classes']} classes" if description.get("num_classes") else "no last layer"
    named = f"{description['arch']}, {last}" if description.get("arch") else "no network known here"
    say(f"{target}: {len(arrays)} parameters ({named})")
