"""Devices, and MindSpore: whether it is installed, when it is loaded, how it is set up on a device.

What NumPy computes on a CPU needs no MindSpore.
"""

from __future__ import annotations

import ctypes
import functools
import importlib.metadata
import importlib.util
import os
import platform
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from ms_coreset.distributed import MSRUN, TORCHRUN, connect, launcher
from ms_coreset.errors import MsCoresetError, missing_mindspore, require_kind
from ms_coreset.terminal import warn

if TYPE_CHECKING:
    from mindspore import Tensor

DEVICES = ("auto", "CPU", "GPU", "Ascend")
PRECISIONS = ("float32", "fast")
AUTO, ON, OFF = COMPILING = ("auto", "on", "off")
# Device -> its driver's libraries. MindSpore prints on stderr when it looks for CUDA; it is asked only if these load.
_DRIVERS = {"Ascend": ("libascendcl.so", "libascend_hal.so"), "GPU": ("libcuda.so.1",)}


os.environ.setdefault("GLOG_v", "3")  # MindSpore reads it when it is imported, and says errors only


def _spare_reference_kernels() -> None:
    """Let MindSpore's convolutions take AVX2, unless the user has said what they take.

    On processors with AVX-512, MindSpore 2.9 and later pick oneDNN's reference kernel for 3x3 convolutions, which is
    about 100 times slower. PyTorch reads the same variable, and would be slowed by it: it is set only where MindSpore
    computes, before its first operation.
    """
    if platform.machine() in ("x86_64", "AMD64"):
        os.environ.setdefault("ONEDNN_MAX_CPU_ISA", "AVX2")


def require_mindspore() -> Any:
    """Import MindSpore and set it up for the device of ``set_device``.

    Every function that needs MindSpore calls this before it imports any of it.

    Returns:
        The module ``mindspore``.

    Raises:
        MsCoresetError: if MindSpore is not installed (the message says how to get it) or can't be imported.
    """
    if not has_mindspore():
        raise _missing_error("this")
    _spare_reference_kernels()
    try:
        import mindspore
    except ImportError as error:
        raise MsCoresetError(f"MindSpore is installed, but can't be imported: {error}") from error
    while _postponed:
        _compute_on(_postponed.pop())
    return mindspore


def has_mindspore() -> bool:
    """Whether MindSpore is installed; it is not imported, which would take seconds."""
    return _is_loaded() or importlib.util.find_spec("mindspore") is not None


def mindspore_version() -> str | None:
    """The version of the installed MindSpore, or None."""
    if _is_loaded():
        return require_mindspore().__version__
    if not has_mindspore():
        return None
    try:
        return importlib.metadata.version("mindspore")
    except importlib.metadata.PackageNotFoundError:  # builds for one device have other names
        packages = importlib.metadata.packages_distributions().get("mindspore", ())
        return next(map(importlib.metadata.version, packages), None)


def _missing_error(what: str) -> MsCoresetError:
    return MsCoresetError(f"{what} needs {missing_mindspore()}; what goes without it is selection from arrays and "
                          "--evidence patches")


def _is_loaded() -> bool:
    return sys.modules.get("mindspore") is not None


def _idle() -> bool:
    """Whether MindSpore is not installed, or is not loaded yet and has no device here but the CPU."""
    return not _is_loaded() and (bool(_elsewhere) or not _is_accelerated())


@functools.cache
def _is_accelerated() -> bool:
    return has_mindspore() and bool(_with_driver())


_postponed: list = []  # the device to set when MindSpore is loaded


def available_devices() -> list[str]:
    """List the devices that can be computed on here, best first.

    A GPU or Ascend is listed if its driver is installed and MindSpore can use it. MindSpore is loaded to find out only
    if there is such a driver.

    Returns:
        Some of "Ascend" and "GPU", and "CPU" as the last, which needs no MindSpore.
    """
    if not has_mindspore():
        return ["CPU"]
    return [*(device for device in _with_driver() if _number_of(device)), "CPU"]


def _with_driver() -> list[str]:
    """The devices whose driver is installed, best first."""
    return [device for device, libraries in _DRIVERS.items() if any(map(_loads, libraries))]


def _loads(library: str) -> bool:
    # ``ctypes.util.find_library`` needs ld and objdump, which a slim container lacks.
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


def _number_of(device: str) -> int:
    """How many devices of a kind MindSpore can use."""
    mindspore = require_mindspore()
    try:
        return getattr(mindspore.device_context, device.lower()).device_count()
    except RuntimeError:  # there is no plug-in, or a toolkit without a device
        return 0


def set_device(name: str = "auto", precision: str = "float32", *, compile: str = AUTO) -> str:
    """Choose the device to compute on.

    On an accelerator results are then repeatable to the bit (``mindspore.set_deterministic``), which costs some speed.
    On a CPU MindSpore is loaded only when it is first needed.

    Args:
        name: "auto" (the best of ``available_devices()``), "CPU", "GPU" or "Ascend", in any case
        precision: of convolutions on an accelerator. "float32": 24 bits of mantissa, so that features and picks are
            those of a CPU but for rounding. "fast": factors are rounded to 10 or 11 bits (TF32 on a GPU, HF32 on
            Ascend), which is both frameworks' own default; features then differ in the third or fourth digit, and picks
            may differ
        compile: whether MindSpore's training makes one compiled graph of an update (``training.step``): "on", "off", or
            "auto": on GPU and Ascend, where the host would start hundreds of operations; not on a CPU: it is slower

    Returns:
        The name of the device: "CPU", "GPU" or "Ascend".

    Raises:
        MsCoresetError: for another name; for a device that is not there (the message lists those that are); for an
            accelerator without MindSpore or among processes of torchrun; and if MindSpore has already computed on
            another accelerator or in another precision.
    """
    require_kind("device", name, str)
    spelling = {device.lower(): device for device in DEVICES}
    if name.lower() not in spelling:
        of_torch = f"; {name.lower()} is PyTorch's: --framework torch" if name.lower() in ("cuda", "mps") else ""
        raise MsCoresetError(f"unknown device {name!r}: there are {', '.join(DEVICES)}{of_torch}")
    require_kind("precision", precision, str)
    if precision not in PRECISIONS:
        raise MsCoresetError(f"unknown precision {precision!r}: there are {', '.join(PRECISIONS)}")
    require_compiling(compile)
    _elsewhere.clear()
    device = _choose(spelling[name.lower()])
    _require_own_launcher(device)
    _compute_on(device)
    if device != "CPU":
        _set_up(device, precision)
    connect()
    _compiling[:] = [compile]  # last: a device that is refused changes nothing
    return device


def require_compiling(compile: str) -> None:
    """Raise ``MsCoresetError`` for what ``set_device`` does not know as ``compile``."""
    require_kind("compile", compile, str)
    if compile not in COMPILING:
        raise MsCoresetError(f"unknown compile {compile!r}: there are {', '.join(COMPILING)}")


def compiles() -> bool:
    """Whether MindSpore's training compiles its updates on the device that is computed on."""
    return _compiling[0] == ON or (_compiling[0] == AUTO and current_device() != "CPU")


def _choose(device: str) -> str:
    """``device``, or the best for "auto"; says so if a better device has a driver that can't be used."""
    available = available_devices()
    if device == "auto":
        for idle in _with_driver() if available == ["CPU"] else []:
            _tell_idle(idle)
        return available[0]
    if device not in available:
        if not has_mindspore():
            raise _missing_error(f"device {device}")
        raise MsCoresetError(f"device {device} is not available here; available: {', '.join(available)}")
    return device


def _require_own_launcher(device: str) -> None:
    """Raise ``MsCoresetError`` where torchrun started this process, and so nothing gave it one of several devices."""
    if device != "CPU" and launcher() is TORCHRUN:
        raise MsCoresetError(f"device {device}: by MindSpore, several processes compute on it when msrun starts them; "
                             "torchrun's take --device CPU, or PyTorch for networks: --framework torch")


def _tell_idle(device: str) -> None:
    """Tell the user if a device with a driver stays idle."""
    gpus = nvidia_gpus() if device == "GPU" else 0
    if gpus:
        warn(f"{gpus_text(gpus)} here, which MindSpore can't use: computing on the CPU; --framework torch --device "
             "cuda computes on it")
    elif has_mindspore():
        warn(f"there is a driver for {device}, but MindSpore can use no such device here: computing on the CPU")


def nvidia_gpus() -> int:
    """Number of NVIDIA GPUs according to the driver, which is asked directly: no framework is loaded."""
    try:
        driver = ctypes.CDLL(_DRIVERS["GPU"][0])
        count = ctypes.c_int(0)
        failed = driver.cuInit(0) or driver.cuDeviceGetCount(ctypes.byref(count))
    except (OSError, AttributeError):
        return 0
    return 0 if failed else count.value


def gpus_text(gpus: int) -> str:
    """A number of GPUs in words."""
    return f"there {'is' if gpus == 1 else 'are'} {gpus} NVIDIA GPU{'' if gpus == 1 else 's'}"


def _compute_on(device: str) -> None:
    if _idle() and launcher() is not MSRUN:
        _postponed[:] = [device]
        return
    mindspore = require_mindspore()
    try:
        mindspore.set_device(device)
        if device == "CPU":
            # Asynchronous dispatch makes small operations take 0.1 to 4 ms at random when cores are few.
            mindspore.runtime.launch_blocking()
    except RuntimeError as error:  # neither can be changed after something was computed
        if current_device() != device:
            raise MsCoresetError(f"device {device}: MindSpore computes on {current_device()} already, call set_device "
                                 "before anything else") from error


_compiling = [AUTO]  # as ``set_device`` was told
_settings: dict = {}  # of the accelerator; a process can set them once
_elsewhere: list = []  # the settings of another framework's device, if it computes with networks


def _set_up(device: str, precision: str) -> None:
    """Set an accelerator up before anything is computed on it or sent to other processes."""
    mindspore = require_mindspore()
    if _settings:
        if _settings["precision"] != precision:
            raise MsCoresetError(f"precision {precision}: MindSpore computes in {_settings['precision']} already")
        return
    operations = getattr(mindspore.device_context, device.lower()).op_precision
    allow = "tf32" if device == "GPU" else "hf32"
    try:
        getattr(operations, f"conv_allow_{allow}")(precision == "fast")
        getattr(operations, f"matmul_allow_{allow}")(False)  # both devices have this setting; picks depend on products
    except RuntimeError as error:
        raise MsCoresetError(f"precision {precision}: it was set otherwise already ({error})") from error
    deterministic: bool | None = True
    try:
        mindspore.set_deterministic(True)
    except RuntimeError:  # the program has set it, and it can be set once
        deterministic = None
    _settings.update(precision=precision, deterministic=deterministic)


def compute_elsewhere(settings: dict[str, Any]) -> None:
    """Note that another framework computes with networks; NumPy then computes all else, unless MindSpore is loaded.

    Args:
        settings: of that framework's device; ``device_settings`` returns them
    """
    _elsewhere[:] = [settings]


def device_settings() -> dict[str, Any]:
    """The settings of the accelerator as plain values for a result's notes; empty on a CPU.

    "precision": see ``set_device``; "deterministic": True, or None if the program had set it before ``set_device``.
    """
    return dict(_elsewhere[0] if _elsewhere else _settings)


def current_device() -> str:
    """The current device: MindSpore's, or "CPU" if MindSpore is not loaded and has no other here."""
    if _idle():
        return "CPU"
    return require_mindspore().get_current_device().device_target


def fill_up(array: np.ndarray, rows: int) -> np.ndarray:
    """``array``, filled up to ``rows`` rows with its first row on an accelerator; unchanged on a CPU.

    An accelerator compiles, or looks up, a kernel for every new shape.
    """
    if current_device() == "CPU" or len(array) == rows:
        return array
    return np.concatenate([array, np.repeat(array[:1], rows - len(array), axis=0)])


def mean_cross_entropy() -> Callable[[Tensor, Tensor], Tensor]:
    """A function: logits (B, C), labels (B,) int32 -> the mean of their cross entropies, by a fused kernel.

    The kernel that takes class numbers exists on GPU and CPU only; on Ascend labels become one-hot.
    """
    require_mindspore()
    from mindspore import float32, ops

    if current_device() != "Ascend":
        return ops.SparseSoftmaxCrossEntropyWithLogits()
    losses_of = ops.SoftmaxCrossEntropyWithLogits()

    def of(logits: Tensor, labels: Tensor) -> Tensor:
        classes = ops.arange(logits.shape[1], dtype=labels.dtype)
        losses, _ = losses_of(logits, (labels.reshape(-1, 1) == classes).astype(float32))
        return losses.mean()

    return of
