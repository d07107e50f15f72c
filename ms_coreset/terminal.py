"""All text for a terminal or a page passes through this module.

Text from outside (names, labels, notes in files) may hold characters that move a terminal's cursor or turn the
direction of writing. They become escapes such as ``\x1b``.
"""

import contextlib
import logging
import sys
import warnings
from collections.abc import Iterator
from typing import IO

_LONGEST = 4000  # characters of a line; a longer one is cut


def printable(text: object) -> str:
    """``text`` with non-printable characters, except line ends and tabs, replaced by their escapes."""
    text = str(text)
    if text.isprintable():
        return text
    return "".join(letter if letter.isprintable() or letter in "\n\t" else letter.encode("unicode_escape").decode()
                   for letter in text)


def one_line(text: object) -> str:
    """``text`` as one line of printable characters, for messages and logs."""
    text = str(text)
    if any(letter in text for letter in "\r\n\t"):
        text = " ".join(text.split())
    text = printable(text)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST - 500]} ... {text[-400:]}"


def say(*lines: object, stream: IO[str] | None = None) -> None:
    """Print each of ``lines`` as ``one_line`` and flush; by default on standard output."""
    for line in lines:
        print(one_line(line), file=sys.stdout if stream is None else stream, flush=True)


def complain(*lines: object) -> None:
    """``say`` on standard error."""
    say(*lines, stream=sys.stderr)


def note(line: object) -> None:
    """Print a note to the user on standard error."""
    complain(f"note: {line}")


def warn(line: object) -> None:
    """Log a warning with the logger ``ms_coreset``: on standard error unless ``logging`` is configured otherwise."""
    logging.getLogger("ms_coreset").warning("%s", one_line(line))


@contextlib.contextmanager
def printable_warnings() -> Iterator[None]:
    """Make Python's own warnings printable, too: they may quote a file."""
    former = warnings.formatwarning
    warnings.formatwarning = lambda message, *told: printable(former(one_line(message), *told))
    try:
        yield
    finally:
        warnings.formatwarning = former
