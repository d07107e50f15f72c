"""Which processor computes: the device, or the host, and with how many threads.

On an accelerator MindSpore computes. On a CPU it is NumPy in float64, which multiplies matrices as fast and takes a
hundredth of the time for a small operation. Decisions between near candidates are always made in float64 on the host.
"""

from __future__ import annotations

import threading
import timeit
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ContextDecorator, contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from ms_coreset.device import current_device

if TYPE_CHECKING:
    from threadpoolctl import ThreadpoolController

Result = TypeVar("Result")


def load_mindspore() -> Any:
    """The module ``mindspore``."""
    # Imported when first needed: listing methods must not start MindSpore.
    import mindspore

    return mindspore


def on_host() -> bool:
    """Whether NumPy computes."""
    return getattr(_here, "host", False) or current_device() == "CPU"


@contextmanager
def host_alone() -> Iterator[None]:
    """Let NumPy compute in this thread within the block, whatever the device, if float32 would be too coarse."""
    former, _here.host = getattr(_here, "host", False), True
    try:
        yield
    finally:
        _here.host = former


def float_type() -> type[np.floating]:
    """NumPy's float64 where the device computes in it, float32 on Ascend."""
    return np.float32 if current_device() == "Ascend" else np.float64


@cache
def products_per_second() -> float:
    """Multiplications and additions a second in products of float64 matrices, on all threads, measured in some ms."""
    side = np.ones((400, 400))
    with one_blas_thread:
        seconds = min(timeit.repeat(lambda: side @ side, number=1, repeat=5))
        return 2 * 400**3 / seconds * one_blas_thread.threads


class _OneBlasThread(ContextDecorator):
    """Limits BLAS to one thread, within a block or a decorated function, even if several threads are in it.

    BLAS divides a product by the number of threads, and then adds the parts in another order, which changes the last
    bit. Large products are divided here instead (``multiply``), by their size alone, so that as many processors work.

    Args:
        threads: number of BLAS threads outside.
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


def side_by_side(work: Callable[..., Result], tasks: Sequence[tuple]) -> list[Result]:
    """Run ``work(*task)`` for each of ``tasks``, on a CPU as many at a time as BLAS uses threads outside.

    Each product then runs in one thread: several threads gain nothing for small products, or for the work between them.

    Args:
        work: what is run.
        tasks: the arguments of each call.

    Returns:
        What each call gave, in the order of the tasks.
    """
    if len(tasks) == 1 or not on_host() or getattr(_here, "worker", False):
        return [work(*task) for task in tasks]
    return in_threads(work, tasks)


def in_threads(work: Callable[..., Result], tasks: Sequence[tuple]) -> list[Result]:
    """As ``side_by_side``, but on the host's processors even if another device computes."""
    with one_blas_thread, ThreadPoolExecutor(one_blas_thread.threads, initializer=_become_worker) as threads:
        return list(threads.map(lambda task: work(*task), tasks))


def _become_worker() -> None:
    _here.worker = _here.host = True
