"""What a job computes on: the framework of its networks, the device, and what results tell of both."""

import importlib.metadata

from ms_coreset.device import ON, mindspore_version, require_compiling, set_device
from ms_coreset.distributed import launched
from ms_coreset.engines import torch_engine
from ms_coreset.engines.frameworks import TORCH
from ms_coreset.errors import MsCoresetError
from ms_coreset.jobs.sources import NetworkSource, Runtime


def set_up(runtime: Runtime, network: NetworkSource) -> str:
    """Compute on the device that is asked for, by the network's framework; the device's name.

    Raises:
        MsCoresetError: as ``set_device``; for PyTorch without PyTorch, among processes of msrun, and with a compiled
            update, which is MindSpore's
    """
    if network.framework != TORCH:
        return set_device(runtime.device, runtime.precision, compile=runtime.compile)
    require_compiling(runtime.compile)
    if runtime.compile == ON:
        raise MsCoresetError("--compile on: --framework torch compiles nothing; leave it out, or say --compile off")
    if launched():
        raise MsCoresetError("--framework torch runs in one process: start it without msrun, which is MindSpore's")
    return torch_engine().set_device(runtime.device, runtime.precision)


def versions_of(framework: str) -> dict[str, str | None]:
    """The versions of the frameworks as results tell them.

    MindSpore's, None where it is not installed, and PyTorch's where it has computed.
    """
    others = {TORCH: importlib.metadata.version("torch")} if framework == TORCH else {}
    return {"mindspore": mindspore_version(), **others}
