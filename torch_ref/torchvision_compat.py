"""Import torchvision beside a torch that it was not built for.

The torchvision wheels on the package index are built for CUDA. Beside a CPU-only torch their compiled library can't
be loaded, and the import stops at ``operator torchvision::nms does not exist``: shape rules are attached to two
operators of that library. Declaring these operators, without an implementation, is enough for models, transforms
and data sets, which never call them.
"""

import importlib
from types import ModuleType

import torch

_MISSING = ("nms", "qnms")
# Operators are forgotten when the library object that declared them is collected.
_libraries: list = []


def import_torchvision() -> ModuleType:
    """Return the ``torchvision`` module; box operators don't work where its compiled library can't be loaded.

    Raises:
        ImportError: when torchvision is not installed.
    """
    try:
        return importlib.import_module("torchvision")
    except RuntimeError as error:
        if "torchvision::" not in str(error):
            raise
    _declare_missing_operators()
    return importlib.import_module("torchvision")


def _declare_missing_operators() -> None:
    library = torch.library.Library("torchvision", "FRAGMENT")
    for name in _MISSING:
        library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    _libraries.append(library)
