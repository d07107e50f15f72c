"""What a job computes on: the framework of its networks, the device, and what results tell of both."""

import importlib.metadata

from ms_coreset.device import mindspore_version, set_device
from ms_coreset.distributed import MSRUN, launcher
from ms_coreset.engines import torch_engine
from ms_coreset.engines.frameworks import TORCH
from ms_coreset.errors import MsCoresetError
from ms_coreset.jobs.sources import NetworkSource, Runtime


def set_up(runtime: Runtime, network: NetworkSource) -> str:
    """Compute on the device that is asked for, by the network's framework; the device's name.

    Raises:
        MsCoresetError: as ``set_device``; for PyTorch without PyTorch, and among processes of msrun
    """
    if network.framework != TORCH:
        return set_device(runtime.device, runtime.precision)
    if launcher() is MSRUN:
        raise MsCoresetError("--framework torch: torchrun starts several processes of it; msrun is MindSpore's")
    return torch_engine().set_device(runtime.device, runtime.precision)


def versions_of(framework: str) -> dict[str, str | None]:
    """The versions of the frameworks as results tell them.

    MindSpore's, None where it is not installed, and PyTorch's where it has computed.
    """
    others = {TORCH: importlib.metadata.version("torch")} if framework == TORCH else {}
    return {"mindspore": mindspore_version(), **others}
