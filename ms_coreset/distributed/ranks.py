"""The processes of a run, its ranks, and what passes between them.

MindSpore's launcher, or PyTorch's, starts one command several times::

    msrun --worker_num 8 --local_worker_num 8 --join True $(command -v ms-coreset) select --dataset CIFAR10 --rate 0.2
    torchrun --nproc-per-node 8 -m ms_coreset select --dataset CIFAR10 --rate 0.2 --framework torch

They exchange data through the collectives of the launcher's framework: ``Collectives``, which ``of_mindspore`` and
``of_torch`` have. Before each exchange every rank announces what it is about to do, or that it has failed. So no rank
waits for one that has failed, and an error on any rank is every rank's error. Only rank 0 prints and writes.

``current()`` is the group of ranks that the running code works in: ``Alone`` in a process that was not launched so.
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NoReturn, Protocol, TextIO

import numpy as np

from ms_coreset.distributed.launchers import MSRUN, TORCHRUN, Launcher, launcher
from ms_coreset.errors import MsCoresetError
from ms_coreset.terminal import complain

_GATHER, _SUM, _WAIT, _LEAVE, _FAILED = range(5)
USER_ERROR = 2  # exit code
_PATIENCE = 24 * 3600  # seconds that a rank on a CPU waits for a slower one


class FailedTogether(MsCoresetError):
    """An error that all ranks know of."""


class NotConnected(MsCoresetError):
    """The other ranks can't be reached, or no longer."""


class Collectives(Protocol):
    """The exchanges that a framework's collectives are used for; each raises ``RuntimeError`` where a rank is lost.

    Attributes:
        framework: whose tensors ``sum`` adds.
        rank: number of this process, 0 .. size - 1.
        size: number of processes.
        local_size: those on this machine.
    """

    framework: str
    rank: int
    size: int
    local_size: int

    def gather(self, array: np.ndarray) -> np.ndarray:
        """(size, m): every rank's (m,) int32; m is the same on all."""

    def sum(self, tensor: Any) -> Any:
        """The sum over ranks of the framework's tensors of float32, the same bytes on all."""

    def end(self) -> None:
        """Let the others go, after the last exchange."""


class Alone:
    """A group of one rank, which has everything and exchanges nothing.

    Attributes:
        framework: whose networks the ranks can share, "" for either's.
        rank: its number, 0 .. size - 1.
        size: number of ranks.
        local_size: ranks on this machine.
        first: whether it prints and writes.
    """

    framework, rank, size, local_size, first = "", 0, 1, 1, True

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

    def sum(self, tensor: Any) -> Any:
        """The sum over ranks of a tensor of float32, of the ranks' framework."""
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
    """A group of several processes.

    Args:
        collectives: by which they are connected.
    """

    def __init__(self, collectives: Collectives) -> None:
        self._collectives, self.framework = collectives, collectives.framework
        self.rank, self.size, self.local_size = collectives.rank, collectives.size, collectives.local_size
        self.first = self.rank == 0
        self.broken = False  # after which nothing can be exchanged any more

    def gather(self, array: np.ndarray) -> list[np.ndarray]:
        array = np.ascontiguousarray(array)
        announced = self._announce(_GATHER, array.nbytes, len(array))
        parts = self._exchange_bytes(array.data.cast("B") if array.size else b"", announced[:, 1])
        return [np.frombuffer(part, array.dtype).reshape(length, *array.shape[1:])
                for part, length in zip(parts, announced[:, 2].tolist(), strict=True)]

    def sum(self, tensor: Any) -> Any:
        self._announce(_SUM, int(np.prod(tensor.shape)))
        with self._explain_loss():
            return self._collectives.sum(tensor)

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

    def end(self) -> None:
        """Let the others go, after all have left."""
        self._collectives.end()

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
        with self._explain_loss():
            gathered = self._collectives.gather(array.view(np.int32))
        return gathered.view(array.dtype).reshape(self.size, len(array))

    @contextlib.contextmanager
    def _explain_loss(self) -> Iterator[None]:
        """Turn the failure of an exchange into ``NotConnected``, with the likely cause."""
        try:
            yield
        except RuntimeError as error:
            self.broken = True
            raise NotConnected(f"rank {self.rank} of {self.size} has lost the others; the one that ended first says "
                               "why (msrun --log_dir, torchrun --log-dir --redirects 3)") from error


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
    """Run a command, as one process of several if msrun or torchrun has started it so.

    MindSpore's scheduler does not run it, but waits for all others to end. A rank that has failed does not return: its
    process ends. Of torchrun's processes, a ``torch.distributed`` process group that the program has initialized is
    used, and left as it is.

    Args:
        run: the command; returns an exit code.

    Returns:
        The exit code.
    """
    by = launcher()
    if by is None:
        return run()
    if os.environ.get("MS_ROLE") == "MS_SCHED":
        return _schedule()
    _process.taking_part = True
    _speak(by.is_of_first)
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


def _schedule() -> int:
    try:
        with _needing(MSRUN):
            from ms_coreset.distributed.of_mindspore import schedule
    except NotConnected as error:
        complain(f"error: {error}")
        return USER_ERROR
    try:
        schedule()
    except RuntimeError:  # a worker has gone; its own log says why
        return 1
    return 0


def connect() -> None:
    """Find the other ranks, once the device is set; does nothing where this process was not launched with others.

    Raises:
        NotConnected: if they can't be reached.
    """
    by = launcher()
    if by is None or not _process.taking_part or _process.group is not None:
        return
    try:
        collectives = _join(by)
    except (RuntimeError, ValueError) as error:
        _process.taking_part = False
        raise NotConnected(f"can't join the other processes: {str(error).partition(chr(10))[0]}; start them with "
                           f"{by.command} (docs/scale.md)") from error
    _process.group = Ranks(collectives) if collectives.size > 1 else _ALONE
    _speak(_process.group.first)


def _join(by: Launcher) -> Collectives:
    """The collectives that connect this process with the others which ``by`` started."""
    with _needing(by):
        if by is TORCHRUN:
            from ms_coreset.distributed.of_torch import TorchCollectives

            return TorchCollectives(_PATIENCE)
        from ms_coreset.distributed.of_mindspore import MindSporeCollectives

        return MindSporeCollectives(_PATIENCE)


@contextlib.contextmanager
def _needing(by: Launcher) -> Iterator[None]:
    """Raise ``NotConnected`` where the framework is not installed that the block imports."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise NotConnected(f"can't join the other processes without {by.title}, which is not installed: pip install "
                           f'"ms-coreset[{by.framework}]"') from error


@contextlib.contextmanager
def process_group() -> Iterator[Alone]:
    """Share the work of the block among the ranks of the program's own ``torch.distributed`` process group.

    For programs that have initialized it. All ranks run the block, with the same arguments; each ends it with the same
    results. Without this block, every rank does all the work by itself. Unlike ``take_part``, it leaves output and exit
    codes to the program. An error on any rank is raised on all of them. The process group stays as it is: arrays go
    through another one of gloo's, which is made for the block.

    Yields:
        The group of ranks.

    Raises:
        NotConnected: where no process group is initialized, and within ``take_part``, which shares the work anyhow.
    """
    torch = sys.modules.get("torch")
    if torch is None or not torch.distributed.is_available() or not torch.distributed.is_initialized():
        raise NotConnected("process_group: call torch.distributed.init_process_group first")
    if _process.taking_part:
        raise NotConnected("process_group: this process shares its work already")
    group = Ranks(_join(TORCHRUN))
    _process.taking_part, _process.group = True, group
    try:
        with failing_together():
            yield group
            group.leave()
    finally:
        _process.taking_part, _process.group = False, None
        group.end()


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
    """End together, after the output is flushed: a launcher ends all others as soon as one has failed.

    Returns:
        The error of a rank that has failed after this one was done, or None.
    """
    late = None
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    with contextlib.suppress(NotConnected):
        connect()
        if _process.taking_part and isinstance(_process.group, Ranks) and not _process.group.broken:
            try:
                _process.group.leave()
            except FailedTogether as error:
                late = error
                _process.group.leave()
            _process.group.end()
    _speak(True)
    return late


def _speak(aloud: bool) -> None:
    """Print from now on, or discard all output."""
    streams = _process.streams = _process.streams or (sys.stdout, sys.stderr)
    if aloud:
        sys.stdout, sys.stderr = streams
    elif sys.stdout is streams[0]:
        sys.stdout = sys.stderr = _Nowhere()
