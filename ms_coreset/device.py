"""Which device there is, and MindSpore: whether it is installed, when it is loaded, and what it needs on a device.

What NumPy can do on a CPU goes without it.
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

from ms_coreset.distributed import connect, launched
from ms_coreset.errors import MsCoresetError, require_kind
from ms_coreset.terminal import warn

if TYPE_CHECKING:
    from mindspore import Tensor

DEVICES = ("auto", "CPU", "GPU", "Ascend")
PRECISIONS = ("float32", "fast")
AUTO, ON, OFF = COMPILING = ("auto", "on", "off")
# By device, what its driver is loaded by. MindSpore looks for CUDA loudly, on stderr, and is asked only where it loads.
_DRIVERS = {"Ascend": ("libascendcl.so", "libascend_hal.so"), "GPU": ("libcuda.so.1",)}


def _quiet_runtime() -> None:
    """Settings that MindSpore reads when it is first imported or first runs; a user's own are left alone."""
    os.environ.setdefault("GLOG_v", "3")
    # On processors with AVX-512, MindSpore 2.9 and later pick oneDNN's reference kernel for 3x3 convolutions, which
    # is about 100 times slower than the AVX2 one.
    if platform.machine() in ("x86_64", "AMD64"):
        os.environ.setdefault("ONEDNN_MAX_CPU_ISA", "AVX2")


_quiet_runtime()


def require_mindspore() -> Any:
    """MindSpore, set up for the device that ``set_device`` was asked for.

    Whatever needs it calls this before it imports any of it.

    Raises:
        MsCoresetError: where it is not installed, which says how to get it, or can't be imported.
    """
    if not has_mindspore():
        raise _missing_error("this")
    try:
        import mindspore
    except ImportError as error:
        raise MsCoresetError(f"MindSpore is installed, but can't be imported: {error}") from error
    while _postponed:
        _compute_on(_postponed.pop())
    return mindspore


def has_mindspore() -> bool:
    """Whether MindSpore is there, told without its import, which takes seconds."""
    return _is_loaded() or importlib.util.find_spec("mindspore") is not None


def mindspore_version() -> str | None:
    """The version of the MindSpore that is installed, or None."""
    if _is_loaded():
        return require_mindspore().__version__
    if not has_mindspore():
        return None
    try:
        return importlib.metadata.version("mindspore")
    except importlib.metadata.PackageNotFoundError:  # a build for one device, which has another name
        packages = importlib.metadata.packages_distributions().get("mindspore", ())
        return next(map(importlib.metadata.version, packages), None)


def _missing_error(what: str) -> MsCoresetError:
    return MsCoresetError(f'{what} needs MindSpore, which is not installed: pip install "ms-coreset[mindspore]", on '
                          "Python 3.11 or 3.12; what goes without it is selection from arrays and --evidence patches")


def _is_loaded() -> bool:
    return sys.modules.get("mindspore") is not None


def _idle() -> bool:
    """Whether MindSpore is not loaded, and has no other device here than the CPU, or is not there at all."""
    return not _is_loaded() and (bool(_elsewhere) or not _is_accelerated())


@functools.cache
def _is_accelerated() -> bool:
    return has_mindspore() and bool(_with_driver())


_postponed: list = []  # the device that MindSpore is to be told of when it is loaded


def available_devices() -> list[str]:
    """The devices that MindSpore can really use here, best first.

    "CPU", which needs no MindSpore, is always the last.
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
    except RuntimeError:  # no plug-in for it, or a toolkit without a device
        return 0


def set_device(name: str = "auto", precision: str = "float32", *, compile: str = AUTO) -> str:
    """Compute on ``name``, and return the device's name. On a CPU MindSpore is loaded when it is first needed.

    An accelerator then repeats its results to the bit (``mindspore.set_deterministic``), which costs some speed.

    Args:
        name: "auto" (the best that is there), "CPU", "GPU" or "Ascend", in any case
        precision: of convolutions on an accelerator. "float32": its 24 bits, so that features and who is chosen are
            those of a CPU but for rounding; "fast": factors are rounded to 10 or 11 bits (TF32 on GPU, HF32 on Ascend),
            as both do unless told otherwise, which moves features in their third or fourth digit, and so who is chosen
        compile: whether training makes one compiled graph of an update (``training.step``): "on", "off", or "auto": on
            GPU and Ascend, where the host else waits on hundreds of operations; on a CPU it takes longer

    Raises:
        MsCoresetError: for another name, for a device that is not there, saying which are, for an accelerator without
            MindSpore, and where that has computed on another one, or in another precision, already.
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
    """``device``, or for "auto" the best; where there is only a driver for a better one, that is said."""
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


def _tell_idle(device: str) -> None:
    """Say what stays idle of a device whose driver is installed."""
    gpus = nvidia_gpus() if device == "GPU" else 0
    if gpus:
        warn(f"{gpus_text(gpus)} here, which MindSpore can't use: computing on the CPU; --framework torch --device "
             "cuda computes on it")
    elif has_mindspore():
        warn(f"there is a driver for {device}, but MindSpore can use no such device here: computing on the CPU")


def nvidia_gpus() -> int:
    """How many NVIDIA GPUs there are by their driver, which is asked itself: no framework need be loaded."""
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
    if _idle() and not launched():
        _postponed[:] = [device]
        return
    mindspore = require_mindspore()
    try:
        mindspore.set_device(device)
        if device == "CPU":
            # Asynchronous dispatch makes small operations take 0.1 to 4 ms at random when cores are few.
            mindspore.runtime.launch_blocking()
    except RuntimeError as error:  # neither can be changed once something was computed
        if current_device() != device:
            raise MsCoresetError(f"device {device}: MindSpore computes on {current_device()} already, call set_device "
                                 "before anything else") from error


_compiling = [AUTO]  # as ``set_device`` was told
_settings: dict = {}  # of an accelerator, which a process can make once
_elsewhere: list = []  # the settings of another framework's device, where that computes with networks


def _set_up(device: str, precision: str) -> None:
    """Make the settings of an accelerator, before anything is computed or sent to other processes."""
    mindspore = require_mindspore()
    if _settings:
        if _settings["precision"] != precision:
            raise MsCoresetError(f"precision {precision}: MindSpore computes in {_settings['precision']} already")
        return
    operations = getattr(mindspore.device_context, device.lower()).op_precision
    allow = "tf32" if device == "GPU" else "hf32"
    try:
        getattr(operations, f"conv_allow_{allow}")(precision == "fast")
        getattr(operations, f"matmul_allow_{allow}")(False)  # as both devices have it: selection hangs on products
    except RuntimeError as error:
        raise MsCoresetError(f"precision {precision}: it was set otherwise already ({error})") from error
    deterministic: bool | None = True
    try:
        mindspore.set_deterministic(True)
    except RuntimeError:  # the program has set it, and it can be set once
        deterministic = None
    _settings.update(precision=precision, deterministic=deterministic)


def compute_elsewhere(settings: dict[str, Any]) -> None:
    """Let another framework than MindSpore compute with networks; all else then goes by NumPy, unless it is loaded.

    Args:
        settings: of the framework's device, which ``device_settings`` is to tell
    """
    _elsewhere[:] = [settings]


def device_settings() -> dict[str, Any]:
    """What ``set_device`` has set on an accelerator, as plain values for a result's notes; nothing on a CPU.

    precision: see there; deterministic: True, or None where the program itself had set it before
    """
    return dict(_elsewhere[0] if _elsewhere else _settings)


def current_device() -> str:
    """The device that is computed on now: MindSpore's, or the CPU where that is not loaded and knows no other."""
    if _idle():
        return "CPU"
    return require_mindspore().get_current_device().device_target


def fill_up(array: np.ndarray, rows: int) -> np.ndarray:
    """An array of at most so many rows, on an accelerator filled up to them with its first row.

    There a kernel is compiled, or looked for, for every new shape. On a CPU the array is as it was.
    """
    if current_device() == "CPU" or len(array) == rows:
        return array
    return np.concatenate([array, np.repeat(array[:1], rows - len(array), axis=0)])


def mean_cross_entropy() -> Callable[[Tensor, Tensor], Tensor]:
    """A function from logits (B, C) and labels (B,) int32 to the mean of their cross entropies, by a fused kernel.

    Its sparse form is for GPU and CPU.
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
