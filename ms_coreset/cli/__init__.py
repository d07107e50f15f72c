"""The commands: parsing, calling, printing. One file a command, imported when it is called."""

import contextlib
import gc
import importlib
import os
import signal
import sys
import threading
import traceback
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from ms_coreset.cli.common.plugins import load_from_words, load_plugins
from ms_coreset.distributed import failing_together, launcher, take_part
from ms_coreset.errors import MsCoresetError, MsCoresetWarning
from ms_coreset.terminal import complain, one_line, printable_warnings, say

COMMANDS = {
    "train": "train a network on a data set, or on a coreset of it",
    "select": "choose the part of a data set that is worth keeping",
    "methods": "list the methods, or tell all of one",
    "score": "write every score of every sample",
    "experiment": "select by many methods, train on every coreset, keep the results",
    "coreset": "show what a coreset file holds, compare two",
    "duplicates": "find samples that are the same or nearly so, and test samples in training",
    "report": "write a study's results as one HTML page",
    "label-noise": "make the label noise of a data set's ...N",
    "corrupt": "make the corrupted images of a data set's ...C",
    "attack": "make the attacked images of a data set's ...A",
    "convert-tiny": "sort Tiny ImageNet's val into a folder a class",
    "convert-checkpoint": "turn a .pth checkpoint into .ckpt, or back",
}
SHARED = ("select", "score")  # what several processes can do together
USER_ERROR, INTERRUPTED = 2, 130


def main(arguments: Iterable[str] | None = None, command: str | None = None) -> int:
    """Run a command and return its exit code: 0, 2 for a user's mistake (one line on stderr), 130 after Ctrl-C.

    If msrun or torchrun has started several processes, they run the command together and return the same code.

    Args:
        arguments: the words typed after the command; by default the process's
        command: one of ``COMMANDS``, or None to take it from the arguments
    """
    return take_part(lambda: _main(arguments, command))


def _main(arguments: Iterable[str] | None, command: str | None) -> int:
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    typed = f"python {sys.argv[0]}" if command else f"ms-coreset {arguments[0] if arguments else ''}"
    try:
        with printable_warnings(), failing_together(), warnings.catch_warnings():
            warnings.showwarning = _show_as_notes(warnings.showwarning)
            return _run(arguments, command, typed.strip())
    except MsCoresetError as error:
        complain(f"error: {error}")
        return USER_ERROR
    except KeyboardInterrupt as interruption:
        with _without_interruption():
            _let_go(interruption)
        complain("interrupted; what was finished is kept, and the same command goes on from there (train: with "
                 "--resume)")
        return INTERRUPTED
    except (BrokenPipeError, OSError, MemoryError) as error:
        if not isinstance(error, BrokenPipeError):
            complain(f"error: {_reason(error)}")
            return USER_ERROR
        # The reader (head, less) has gone: no error, but Python would print one when it closes stdout.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def _show_as_notes(show: Callable[..., object]) -> Callable[..., None]:
    """``warnings.showwarning`` that prints this library's own warnings as notes, and all others as ``show`` does."""
    def show_line(message: Warning | str, category: type[Warning], *where: Any, **more: Any) -> None:
        if issubclass(category, MsCoresetWarning):
            complain(f"note: {message}")
        else:
            show(message, category, *where, **more)

    return show_line


@contextlib.contextmanager
def _without_interruption() -> Iterator[None]:
    """Ignore Ctrl-C meanwhile: typed twice, it would print a traceback out of what tidies up after the first."""
    if threading.current_thread() is not threading.main_thread():  # others have no say about signals
        yield
        return
    former = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, former)


def _let_go(interruption: BaseException) -> None:
    """Collect interrupted objects without printing.

    An archive that was being written, for example, is closed when it is collected. That fails, and Python would print
    the traceback below the one line for the user.
    """
    former, sys.unraisablehook = sys.unraisablehook, lambda unraisable: None
    try:
        traceback.clear_frames(interruption.__traceback__)
        gc.collect()
    finally:
        sys.unraisablehook = former


def _reason(error: OSError | MemoryError) -> str:
    """The system's message and the file, or that memory is used up."""
    if isinstance(error, MemoryError):
        return "out of memory: give --memory, a smaller --batch-size, or a part of the data by --pool"
    return one_line(f"{error.filename}: {error.strerror}" if error.filename else error)


def _run(arguments: Sequence[str], command: str | None, typed: str) -> int:
    if "_ARGCOMPLETE" in os.environ and command is None:
        importlib.import_module("ms_coreset.cli.completion").complete()
    if command is None:
        command, arguments = _command(arguments)
    by = launcher()
    if by is not None and command not in SHARED:
        raise MsCoresetError(f"{command} runs in one process: start it without {by.command}, which is for "
                             f"{', '.join(SHARED)}")
    module = importlib.import_module(f"ms_coreset.cli.{command.replace('-', '_')}")
    load_from_words(arguments)
    parsed = module.parser(typed).parse_args(arguments)
    load_plugins(parsed.plugin)  # plugins of abbreviated options, or of a configuration that may name them
    return module.run(parsed) or 0


def _command(arguments: Sequence[str]) -> tuple[str, Sequence[str]]:
    if arguments and arguments[0] in COMMANDS:
        return arguments[0], arguments[1:]
    lines = "\n".join(f"  {name:<20}{what}" for name, what in COMMANDS.items())
    usage = f"usage: ms-coreset COMMAND [options]\n\n{lines}\n\nms-coreset COMMAND --help shows a command's options."
    if arguments and arguments[0] in ("-h", "--help"):
        say(*usage.split("\n"))
        raise SystemExit(0)
    raise MsCoresetError((f"unknown command {arguments[0]!r}; " if arguments else "no command given; ") + usage)
