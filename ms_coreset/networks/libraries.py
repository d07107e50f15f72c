"""Networks of other libraries, called "timm:NAME", "torchvision:NAME" (both of PyTorch) and "mindcv:NAME" (MindSpore).

A library is imported when a name asks for it. Its networks are used as they are: by the library's names of weights, and
started by the library's own distributions, drawn for a seed.
"""

import difflib
import fnmatch
import importlib
import importlib.util
from collections.abc import Callable
from functools import partial
from types import ModuleType

from ms_coreset.device import require_mindspore
from ms_coreset.engines import torch_engine
from ms_coreset.engines.frameworks import MINDSPORE, TORCH
from ms_coreset.errors import MsCoresetError
from ms_coreset.kinds import Network

LIBRARIES = {"timm": TORCH, "torchvision": TORCH, "mindcv": MINDSPORE}  # library -> framework of its networks
_EXTRAS = {"timm": "timm", "torchvision": "torch", "mindcv": "mindcv"}
_ADAPTERS = {TORCH: "ms_coreset.engines.torch_libraries", MINDSPORE: "ms_coreset.networks.mindcv_networks"}


def is_of_library(name: str) -> bool:
    """Whether a network's name begins with a library's, such as "timm:"."""
    library, colon, _ = str(name).partition(":")
    return bool(colon) and library.lower() in LIBRARIES


def list_library_networks(pattern: str) -> list[str]:
    """The names that match a shell pattern, which begins with a library's name, such as "timm:vit_*".

    Raises:
        MsCoresetError: if the library or its framework is not installed.
    """
    library, wanted = _parts(pattern)
    return [f"{library}:{model}" for model in _adapter(library).names(library) if fnmatch.fnmatchcase(model, wanted)]


def canonical_library_network(name: str, framework: str | None = None) -> str:
    """A network's name as its library spells it.

    Args:
        name: such as "timm:vit_tiny_patch16_224", in any case.
        framework: that is to compute it; None: not known yet.

    Returns:
        The name.

    Raises:
        MsCoresetError: for an unknown name, with the nearest ones; for a framework that is not the library's; if the
            library or its framework is not installed.
    """
    library, model = _parts(name)
    if framework not in (None, LIBRARIES[library]):
        raise MsCoresetError(f"network {name}: {library}'s are networks of the other framework: take --framework "
                             f"{LIBRARIES[library]}")
    known = _adapter(library).names(library)
    if model in known:
        return f"{library}:{model}"
    near = difflib.get_close_matches(model, known, n=3)
    hint = f"did you mean {' or '.join(f'{library}:{other}' for other in near)}? " if near else ""
    raise MsCoresetError(f"unknown network {name!r}: {hint}mc.list_networks(\"{library}:*\") gives all {len(known):,}")


def library_builder(name: str) -> Callable[..., Network]:
    """The function (num_classes, in_channels, image_size, seed) that builds a network by its canonical name."""
    library, model = _parts(name)
    return partial(_adapter(library).build, library, model)


def _parts(name: str) -> tuple[str, str]:
    library, _, model = str(name).lower().replace("-", "_").partition(":")
    return library, model


def _adapter(library: str) -> ModuleType:
    """The module that knows a framework's libraries: ``names(library)`` and ``build``."""
    framework = LIBRARIES[library]
    if framework == TORCH:
        torch_engine()
    else:
        require_mindspore()
    if importlib.util.find_spec(library) is None:
        raise MsCoresetError(f"networks of {library} need it, and it is not installed: pip install "
                             f'"ms-coreset[{_EXTRAS[library]}]"')
    return importlib.import_module(_ADAPTERS[framework])
