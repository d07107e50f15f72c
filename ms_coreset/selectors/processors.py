"""Which processor does the arithmetic: the device, or the host, and then how many of its threads.

On an accelerator it is MindSpore's; on a CPU it is NumPy's in float64, which multiplies matrices as fast, and does
a small operation in a hundredth of the time. What decides between near candidates is float64 on the host everywhere.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ContextDecorator, contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from ms_coreset.device import current_device

if TYPE_CHECKING:
    from threadpoolctl import ThreadpoolController


def load_mindspore() -> Any:
    # Imported when first needed: listing what methods there are must not cost MindSpore's start-up.
    import mindspore

    return mindspore


def on_host() -> bool:
    """Whether NumPy does the work."""
    return getattr(_here, "host", False) or current_device() == "CPU"


@contextmanager
def host_alone() -> Iterator[None]:
    """Let NumPy do this thread's work within the block whatever device there is, where float32 would be too coarse."""
    former, _here.host = getattr(_here, "host", False), True
    try:
        yield
    finally:
        _here.host = former


def float_type() -> type[np.floating]:
    """NumPy's float64 where the device computes in it, float32 on Ascend."""
    return np.float32 if current_device() == "Ascend" else np.float64


class _OneBlasThread(ContextDecorator):
    """Within it, or a function that it decorates, BLAS uses one thread, also when several threads are within.

    BLAS cuts a product up by the number of threads, and adds the parts up in another order, which changes the last bit.
    Large products are cut up here instead (``multiply``), by their size alone, so that as many processors work.

    Args:
        threads: how many BLAS used outside.
    """

    def __init__(self) -> None:
        self._lock, self._within, self.threads = threading.Lock(), 0, 1

    def __enter__(self) -> None:
        with self._lock:
            if not self._within:
                self.threads = max((library.num_threads for library in _blas().lib_controllers), default=1)
                self._limit = _blas().limit(limits=1)
            self._within += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._within -= 1
            if not self._within:
                self._limit.restore_original_limits()


one_blas_thread = _OneBlasThread()
_here = threading.local()  # worker: whether this thread is one of ``in_threads``'s; host: whether NumPy does its work


@cache
def _blas() -> ThreadpoolController:
    import scipy.linalg  # noqa: F401  has a BLAS of its own, which has to be loaded to be found
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController().select(user_api="blas")


def side_by_side(work: Callable[..., object], tasks: Sequence[tuple]) -> None:
    """Run ``work(*task)`` for each of ``tasks``, on a CPU as many at a time as BLAS uses threads outside.

    Each product then gets one thread: several threads gain nothing on small products, or on the work between them.

    Args:
        work: what is run.
        tasks: the arguments of each call.
    """
    if len(tasks) == 1 or not on_host() or getattr(_here, "worker", False):
        for task in tasks:
            work(*task)
    else:
        in_threads(work, tasks)


def in_threads(work: Callable[..., object], tasks: Sequence[tuple]) -> None:
    """As ``side_by_side``, on the host's processors whatever device computes the rest."""
    with one_blas_thread, ThreadPoolExecutor(one_blas_thread.threads, initializer=_become_worker) as threads:
        list(threads.map(lambda task: work(*task), tasks))


def _become_worker() -> None:
    _here.worker = _here.host = True
