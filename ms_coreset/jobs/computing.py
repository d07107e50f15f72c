"""What a job computes on: framework and device, and notes on both for its results."""

import importlib.metadata

from ms_coreset.device import mindspore_version, set_device
from ms_coreset.distributed import MSRUN, launcher
from ms_coreset.engines import torch_engine
from ms_coreset.engines.frameworks import TORCH
from ms_coreset.errors import MsCoresetError
from ms_coreset.jobs.sources import NetworkSource, Runtime


def set_up(runtime: Runtime, network: NetworkSource) -> str:
    """Set the device up for the network's framework; returns the name of the device.

    Raises:
        MsCoresetError: as ``set_device``; if PyTorch is needed and not installed; and for PyTorch in several processes.
    """
    if network.framework != TORCH:
        return set_device(runtime.device, runtime.precision)
    if launcher() is MSRUN:
        raise MsCoresetError("--framework torch: torchrun starts several processes of it; msrun is MindSpore's")
    return torch_engine().set_device(runtime.device, runtime.precision)


def versions_of(framework: str) -> dict[str, str | None]:
    """The versions of the frameworks for the notes of a result.

    MindSpore's (None if it is not installed), and PyTorch's if it computes.
    """
    others = {TORCH: importlib.metadata.version("torch")} if framework == TORCH else {}
    return {"mindspore": mindspore_version(), **others}
