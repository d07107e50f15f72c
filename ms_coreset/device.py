"""Which device there is, and the settings that MindSpore needs on it."""

import ctypes.util
import os
import platform

from ms_coreset.distributed import connect
from ms_coreset.errors import MsCoresetError, require_kind

DEVICES = ("auto", "CPU", "GPU", "Ascend")


def _quiet_runtime():
    """Settings that MindSpore reads when it is first imported or first runs; a user's own are left alone."""
    os.environ.setdefault("GLOG_v", "3")
    # On processors with AVX-512, MindSpore 2.9 and later pick oneDNN's reference kernel for 3x3 convolutions, which
    # is about 100 times slower than the AVX2 one.
    if platform.machine() in ("x86_64", "AMD64"):
        os.environ.setdefault("ONEDNN_MAX_CPU_ISA", "AVX2")


_quiet_runtime()


def available_devices() -> list[str]:
    """The devices that MindSpore can really use here, best first; "CPU" is always the last."""
    import mindspore

    # MindSpore looks for CUDA loudly, on stderr, so it is asked only where a driver is installed.
    drivers = {"Ascend": ("ascendcl", "ascend_hal"), "GPU": ("cuda",)}
    found = [device for device, libraries in drivers.items()
             if any(map(ctypes.util.find_library, libraries)) and mindspore.hal.is_available(device)]
    return [*found, "CPU"]


def set_device(name: str = "auto") -> str:
    """Make MindSpore compute on ``name`` and return the device's name.

    name: "auto" (the best that is there), "CPU", "GPU" or "Ascend", in any case

    Raises ``MsCoresetError`` for another name, for a device that is not there, saying which are, and where MindSpore
    has computed on another one already.
    """
    require_kind("device", name, str)
    spelling = {device.lower(): device for device in DEVICES}
    if name.lower() not in spelling:
        raise MsCoresetError(f"unknown device {name!r}: there are {', '.join(DEVICES)}")
    available = available_devices()
    device = available[0] if spelling[name.lower()] == "auto" else spelling[name.lower()]
    if device not in available:
        raise MsCoresetError(f"device {device} is not available here; available: {', '.join(available)}")
    _compute_on(device)
    connect()
    return device


def _compute_on(device):
    import mindspore

    try:
        mindspore.set_device(device)
        if device == "CPU":
            # Asynchronous dispatch makes small operations take 0.1 to 4 ms at random when cores are few.
            mindspore.runtime.launch_blocking()
    except RuntimeError as error:  # neither can be changed once something was computed
        if current_device() != device:
            raise MsCoresetError(f"device {device}: MindSpore computes on {current_device()} already, call set_device "
                                 "before anything else") from error


def current_device():
    """The device that MindSpore computes on now."""
    import mindspore

    return mindspore.get_context("device_target")
