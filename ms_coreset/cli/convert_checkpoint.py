"""``convert-checkpoint``: .pth to .ckpt and back."""

from pathlib import Path

from ms_coreset.cli.common.options import new_parser
from ms_coreset.errors import MsCoresetError

_EXAMPLES = """examples:
  convert_checkpoint resnet18.pth resnet18.ckpt
  convert_checkpoint ckpt/CIFAR10/resnet18/best.ckpt resnet18.pth
"""


def parser(typed):
    """The command's options."""
    options = new_parser(typed, "Turn a torch state dict (.pth) into a MindSpore checkpoint (.ckpt), or back, without "
                         "loss.\nState dicts of torchvision's ResNets, and of the Moderate, DeepCore and CCS "
                         "repositories' CIFAR ResNets, are understood.", _EXAMPLES)
    options.add_argument("source", metavar="FROM", help=".pth, .pt or .ckpt file")
    options.add_argument("target", metavar="TO", help=".ckpt, .pth or .pt file; replaced if it is there")
    return options


def run(arguments):
    """Run the command."""
    from ms_coreset.networks.weights import read_weights, write_checkpoint, write_torch

    target = Path(arguments.target)
    if target.suffix not in (".ckpt", ".pth", ".pt"):
        raise MsCoresetError(f"can't convert to {target}: the name must end in .ckpt, .pth or .pt")
    arrays, description = read_weights(arguments.source)
    if target.suffix == ".ckpt":
        write_checkpoint(target, arrays, {"network": None})
    else:
        write_torch(target, arrays)
    named = f"{description['arch']}, {description['num_classes']} classes" if description else "no network known here"
    print(f"{target}: {len(arrays)} parameters ({named})")
