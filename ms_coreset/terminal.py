"""The one place through which text goes to a terminal or a page.

What comes from outside, a name, a label, a file's notes, may hold characters that move a terminal's cursor or turn
the direction of writing. Here they become escapes such as ``\\x1b``.
"""

import contextlib
import logging
import sys
import warnings
from collections.abc import Iterator
from typing import IO

_LONGEST = 4000  # characters of a line, whatever a file made it quote


def printable(text: object) -> str:
    """A text in which only line ends and tabs are no printable characters; the others become their escapes."""
    text = str(text)
    if text.isprintable():
        return text
    return "".join(letter if letter.isprintable() or letter in "\n\t" else letter.encode("unicode_escape").decode()
                   for letter in text)


def one_line(text: object) -> str:
    """A text for a message or a log: one line, of printable characters only, so that a file can't move the cursor."""
    text = str(text)
    if any(letter in text for letter in "\r\n\t"):
        text = " ".join(text.split())
    text = printable(text)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST - 500]} ... {text[-400:]}"


def say(*lines: object, stream: IO[str] | None = None) -> None:
    """Print each of ``lines`` as ``one_line``, on standard output or another stream, at once."""
    for line in lines:
        print(one_line(line), file=sys.stdout if stream is None else stream, flush=True)


def complain(*lines: object) -> None:
    """``say`` on standard error."""
    say(*lines, stream=sys.stderr)


def note(line: object) -> None:
    """Tell the user something beside the result, on standard error."""
    complain(f"note: {line}")


def warn(line: object) -> None:
    """Tell ``logging`` a line, as the logger ``ms_coreset``: on standard error, unless it is set up otherwise."""
    logging.getLogger("ms_coreset").warning("%s", one_line(line))


@contextlib.contextmanager
def printable_warnings() -> Iterator[None]:
    """Let Python's own warnings, which may quote a file, be printable, too."""
    former = warnings.formatwarning
    warnings.formatwarning = lambda message, *told: printable(former(one_line(message), *told))
    try:
        yield
    finally:
        warnings.formatwarning = former
