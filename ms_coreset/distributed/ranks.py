"""The processes of a run, its ranks, and what passes between them.

MindSpore's launcher starts one command several times, and once more as the scheduler, by which they find each other::

    msrun --worker_num 8 --local_worker_num 8 --join True $(command -v ms-coreset) select --dataset CIFAR10 --rate 0.2

They exchange data through MindSpore's collectives: HCCL on Ascend, NCCL on GPU, MCCL (sockets) on CPU. Before each
exchange every rank announces what it is about to do, or that it has failed. So no rank waits for one that has failed,
and an error on any rank is every rank's error. Only rank 0 prints and writes.

``current()`` is the group of ranks that the running code works in: ``Alone`` in a process that was not launched so.
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from types import ModuleType
from typing import TYPE_CHECKING, NoReturn, TextIO

import numpy as np

from ms_coreset.errors import MsCoresetError, missing_mindspore
from ms_coreset.terminal import complain

if TYPE_CHECKING:
    from mindspore import Tensor

_GATHER, _SUM, _WAIT, _LEAVE, _FAILED = range(5)
USER_ERROR = 2  # exit code
_PATIENCE = 24 * 3600  # seconds that MCCL waits for a slower rank, instead of 30


class FailedTogether(MsCoresetError):
    """An error that all ranks know of."""


class NotConnected(MsCoresetError):
    """The other ranks can't be reached, or no longer."""


class Alone:
    """A group of one rank, which has everything and exchanges nothing.

    Attributes:
        rank: its number, 0 .. size - 1.
        size: number of ranks.
        local_size: ranks on this machine.
        first: whether it prints and writes.
    """

    rank, size, local_size, first = 0, 1, 1, True

    def part(self, n: int, step: int = 1) -> slice:
        """This rank's share of ``n`` consecutive items.

        Args:
            n: number of items.
            step: shares begin at multiples of it.

        Returns:
            A slice.
        """
        blocks = -(-n // step)
        begin, end = (min(n, blocks * rank // self.size * step) for rank in (self.rank, self.rank + 1))
        return slice(begin, end)

    def gather(self, array: np.ndarray) -> list[np.ndarray]:
        """Every rank's array, by rank; they may differ in length only."""
        return [array]

    def join(self, array: np.ndarray) -> np.ndarray:
        """Every rank's array, concatenated by rank."""
        return np.concatenate(self.gather(array))

    def sum(self, tensor: Tensor) -> Tensor:
        """The sum over ranks of a MindSpore tensor of float32."""
        return tensor

    def wait(self) -> None:
        """Wait until all ranks have come here."""

    def agree(self, number: int) -> int:
        """Rank 0's whole number, on all ranks."""
        return int(self.gather(np.array([number], np.int64))[0][0])

    def from_first(self, make: Callable[[], dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
        """The dict of arrays that ``make()`` returns on rank 0, the only rank that calls it."""
        with alone():
            return make()


class Ranks(Alone):
    """A group of several processes, connected by MindSpore's collectives."""

    def __init__(self, rank: int, size: int, local_size: int) -> None:
        from mindspore import ops

        self.rank, self.size, self.local_size, self.first = rank, size, local_size, rank == 0
        self.broken = False  # after which nothing can be exchanged any more
        self._all_gather, self._all_reduce = ops.AllGather(), ops.AllReduce()

    def gather(self, array: np.ndarray) -> list[np.ndarray]:
        array = np.ascontiguousarray(array)
        announced = self._announce(_GATHER, array.nbytes, len(array))
        parts = self._exchange_bytes(array.data.cast("B") if array.size else b"", announced[:, 1])
        return [np.frombuffer(part, array.dtype).reshape(length, *array.shape[1:])
                for part, length in zip(parts, announced[:, 2].tolist(), strict=True)]

    def sum(self, tensor: Tensor) -> Tensor:
        self._announce(_SUM, tensor.size)
        with self._explain_loss():
            return self._all_reduce(tensor)

    def wait(self) -> None:
        self._announce(_WAIT)

    def from_first(self, make: Callable[[], dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
        packed = io.BytesIO()
        if self.first:
            with alone():
                np.savez(packed, **make())
        received = self.gather(np.frombuffer(packed.getvalue(), np.uint8))[0]
        with np.load(io.BytesIO(received.tobytes()), allow_pickle=False) as arrays:
            return dict(arrays)

    def fail(self, message: str) -> None:
        """Raise an error with this message on all ranks."""
        told = message.encode()
        self._announce(_FAILED, len(told), message=told)

    def leave(self) -> None:
        """The last exchange: no rank ends before all have come to their end."""
        self._announce(_LEAVE)

    def _announce(self, what: int, size: int = 0, length: int = 0, message: bytes = b"") -> np.ndarray:
        """(ranks, 3): what, size and length of every rank; raises ``FailedTogether`` where any has failed."""
        announced = self._gather(np.array([what, size, length], np.int64))
        failed = announced[:, 0] == _FAILED
        if failed.any():
            messages = self._exchange_bytes(message, np.where(failed, announced[:, 1], 0))
            raise FailedTogether(_message([bytes(message).decode() for message in messages], failed))
        if (announced[:, 0] != what).any():
            raise RuntimeError(f"the ranks are not at the same place: {announced[:, 0].tolist()}")
        return announced

    def _exchange_bytes(self, own: bytes | memoryview, sizes: np.ndarray) -> list[np.ndarray]:
        """Every rank's bytes, of ``sizes``, as uint8 arrays."""
        words = -(-int(sizes.max()) // 4)  # bytes can't be gathered everywhere, int32 can
        if not words:
            return [np.empty(0, np.uint8)] * self.size
        sent = np.zeros(words, np.int32)
        sent.view(np.uint8)[:len(own)] = np.frombuffer(own, np.uint8)
        return [row.view(np.uint8)[:size] for row, size in zip(self._gather(sent), sizes.tolist(), strict=True)]

    def _gather(self, array: np.ndarray) -> np.ndarray:
        """(ranks, m): every rank's (m,), of int32 or int64; it is sent as int32, since not all devices send int64."""
        from mindspore import Tensor

        with self._explain_loss():
            gathered = self._all_gather(Tensor(array.view(np.int32))).asnumpy()
        return gathered.view(array.dtype).reshape(self.size, len(array))

    @contextlib.contextmanager
    def _explain_loss(self) -> Iterator[None]:
        """Turn the failure of an exchange into ``NotConnected``, with the likely cause."""
        try:
            yield
        except RuntimeError as error:
            self.broken = True
            raise NotConnected(f"rank {self.rank} of {self.size} has lost the others; the log of the one that ended "
                               "first (msrun --log_dir) says why") from error


def _message(messages: Sequence[str], failed: np.ndarray) -> str:
    """The message for all ranks: that of the lowest rank that failed, with its number unless it is rank 0."""
    rank = int(np.argmax(failed))
    return f"rank {rank}: {messages[rank]}" if rank else messages[rank]


_ALONE = Alone()


class _Nowhere(io.TextIOBase):
    """A stream that takes everything and keeps nothing."""

    def write(self, text: str) -> int:
        return len(text)


class _Process:
    """State of this process in its run: its group once it is connected, and its own output streams."""

    def __init__(self) -> None:
        self.taking_part, self.in_turn = False, 0
        self.group: Alone | None = None
        self.streams: tuple[TextIO, TextIO] | None = None


_process = _Process()


def current() -> Alone:
    """The group that the running code works in: this run's ranks, or ``Alone``."""
    return _ALONE if _process.group is None or _process.in_turn else _process.group


def launched() -> bool:
    """Whether this process was started as one of several, by msrun or in the same way."""
    return "MS_ROLE" in os.environ or os.environ.get("RANK_SIZE", "1") not in ("", "1")


@contextlib.contextmanager
def alone() -> Iterator[None]:
    """Let the code within work by itself: it exchanges nothing with other ranks."""
    _process.in_turn += 1
    try:
        yield
    finally:
        _process.in_turn -= 1


@contextlib.contextmanager
def first_before_others() -> Iterator[None]:
    """Let rank 0 go through the block by itself, then the others, which find what it has made."""
    group = current()
    if not group.first:
        group.wait()
    with alone():
        yield
    if group.first:
        group.wait()


def take_part(run: Callable[[], int]) -> int:
    """Run a command, as one process of several if msrun has started it so.

    The scheduler does not run it, but waits for all others to end. A rank that has failed does not return: its process
    ends.

    Args:
        run: the command; returns an exit code.

    Returns:
        The exit code.
    """
    if not launched():
        return run()
    if os.environ.get("MS_ROLE") == "MS_SCHED":
        return _schedule()
    _process.taking_part = True
    rank = os.environ.get("MS_NODE_ID", os.environ.get("RANK_ID", ""))
    _speak(rank in ("", "0"))
    late = None
    try:
        code = run()
    finally:
        late = _leave()
    if late is not None:
        code = USER_ERROR
        if current().first:
            complain(f"error: {late}")
    if code and isinstance(_process.group, Ranks):
        _end(code)
    return code


def _end(code: int) -> NoReturn:
    """End this process at once, its exit code ``code``: MindSpore may crash (-11) where two ranks end together."""
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(code)


def _communication() -> ModuleType:
    """MindSpore's module of that name; raises ``NotConnected`` where MindSpore is not installed."""
    try:
        from mindspore import communication
    except ModuleNotFoundError as error:
        raise NotConnected(f"can't join the other processes without {missing_mindspore()}") from error
    return communication


def _schedule() -> int:
    try:
        communication = _communication()
    except NotConnected as error:
        complain(f"error: {error}")
        return USER_ERROR
    try:
        communication.init()
    except RuntimeError:  # a worker has gone; its own log says why
        return 1
    return 0


def connect() -> None:
    """Find the other ranks, once the device is set; does nothing where this process was not launched with others.

    Raises:
        NotConnected: if they can't be reached.
    """
    if not _process.taking_part or _process.group is not None:
        return
    # Read when MCCL is first used.
    os.environ.setdefault("MS_CPU_COMM_OP_TIMEOUT", str(_PATIENCE))
    communication = _communication()
    try:
        communication.init()
        size, local = communication.get_group_size(), communication.get_local_rank_size()
        group = Ranks(communication.get_rank(), size, local) if size > 1 else _ALONE
    except (RuntimeError, ValueError) as error:
        _process.taking_part = False
        raise NotConnected(f"can't join the other processes: {str(error).splitlines()[0]}; start them with msrun "
                           "(docs/scale.md)") from error
    _process.group = group
    _speak(group.first)


@contextlib.contextmanager
def failing_together() -> Iterator[None]:
    """Turn an error in the block into every rank's: the same ``MsCoresetError`` on all of them."""
    try:
        yield
    except FailedTogether:
        raise
    except MsCoresetError as error:
        _tell_others(str(error))
        raise
    except KeyboardInterrupt:
        _process.taking_part = False
        raise
    except Exception as error:
        with contextlib.suppress(FailedTogether):
            _tell_others(f"{type(error).__name__}: {error}")
        raise


def _tell_others(message: str) -> None:
    with contextlib.suppress(NotConnected):
        connect()
    if _process.taking_part and isinstance(_process.group, Ranks) and not _process.group.broken:
        _process.group.fail(message)


def _leave() -> FailedTogether | None:
    """End together, after the output is flushed: msrun ends all others as soon as one has failed.

    Returns:
        The error of a rank that has failed after this one was done, or None.
    """
    late = None
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    with contextlib.suppress(NotConnected):
        connect()
        if _process.taking_part and isinstance(_process.group, Ranks) and not _process.group.broken:
            from mindspore import communication

            try:
                _process.group.leave()
            except FailedTogether as error:
                late = error
                _process.group.leave()
            communication.release()
    _speak(True)
    return late


def _speak(aloud: bool) -> None:
    """Print from now on, or discard all output."""
    streams = _process.streams = _process.streams or (sys.stdout, sys.stderr)
    if aloud:
        sys.stdout, sys.stderr = streams
    elif sys.stdout is streams[0]:
        sys.stdout = sys.stderr = _Nowhere()
