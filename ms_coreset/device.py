"""Which device there is, and what MindSpore needs on it."""

from __future__ import annotations

import ctypes
import os
import platform
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from ms_coreset.distributed import connect
from ms_coreset.errors import MsCoresetError, require_kind
from ms_coreset.terminal import warn

if TYPE_CHECKING:
    from mindspore import Tensor

DEVICES = ("auto", "CPU", "GPU", "Ascend")
PRECISIONS = ("float32", "fast")
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


def available_devices() -> list[str]:
    """The devices that MindSpore can really use here, best first; "CPU" is always the last."""
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
    from mindspore import device_context

    try:
        return getattr(device_context, device.lower()).device_count()
    except RuntimeError:  # no plug-in for it, or a toolkit without a device
        return 0


def set_device(name: str = "auto", precision: str = "float32") -> str:
    """Make MindSpore compute on ``name`` and return the device's name.

    name: "auto" (the best that is there), "CPU", "GPU" or "Ascend", in any case
    precision: of convolutions on an accelerator. "float32": its 24 bits, so that features and who is chosen are those
        of a CPU but for rounding; "fast": factors are rounded to 10 or 11 bits (TF32 on GPU, HF32 on Ascend), as both
        do unless told otherwise, which moves features in their third or fourth digit, and so who is chosen

    An accelerator then repeats its results to the bit (``mindspore.set_deterministic``), which costs some speed.

    Raises ``MsCoresetError`` for another name, for a device that is not there, saying which are, and where MindSpore
    has computed on another one, or in another precision, already.
    """
    require_kind("device", name, str)
    spelling = {device.lower(): device for device in DEVICES}
    if name.lower() not in spelling:
        raise MsCoresetError(f"unknown device {name!r}: there are {', '.join(DEVICES)}")
    require_kind("precision", precision, str)
    if precision not in PRECISIONS:
        raise MsCoresetError(f"unknown precision {precision!r}: there are {', '.join(PRECISIONS)}")
    device = _chosen(spelling[name.lower()])
    _compute_on(device)
    if device != "CPU":
        _set_up(device, precision)
    connect()
    return device


def _chosen(device: str) -> str:
    """``device``, or for "auto" the best; where there is only a driver for a better one, that is said."""
    available = available_devices()
    if device == "auto":
        for idle in [] if available != ["CPU"] else _with_driver():
            warn(f"there is a driver for {idle}, but MindSpore can use no such device here: computing on the CPU")
        return available[0]
    if device not in available:
        raise MsCoresetError(f"device {device} is not available here; available: {', '.join(available)}")
    return device


def _compute_on(device: str) -> None:
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


_settings: dict = {}  # of an accelerator, which a process can make once


def _set_up(device: str, precision: str) -> None:
    """Make the settings of an accelerator, before anything is computed or sent to other processes."""
    import mindspore

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


def device_settings() -> dict[str, Any]:
    """What ``set_device`` has set on an accelerator, as plain values for a result's notes; nothing on a CPU.

    precision: see there; deterministic: True, or None where the program itself had set it before
    """
    return dict(_settings)


def current_device() -> str:
    """The device that MindSpore computes on now."""
    import mindspore

    return mindspore.get_current_device().device_target


def filled_up(array: np.ndarray, rows: int) -> np.ndarray:
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
    from mindspore import Tensor, float32, ops

    if current_device() != "Ascend":
        return ops.SparseSoftmaxCrossEntropyWithLogits()
    losses_of = ops.SoftmaxCrossEntropyWithLogits()

    def of(logits: Tensor, labels: Tensor) -> Tensor:
        classes = Tensor(np.arange(logits.shape[1], dtype=np.int32))
        losses, _ = losses_of(logits, (labels.reshape(-1, 1) == classes).astype(float32))
        return losses.mean()

    return of
