"""What the docstring of a method, score, rule or quota says, in parts."""

from __future__ import annotations

import inspect
import re
import textwrap
from collections.abc import Callable

_SECTION = re.compile(r"^(Args|Returns|Raises):\n((?:    .*(?:\n|$)|\n(?=    ))+)", re.MULTILINE)
_SOURCE = re.compile(r"^Source: ", re.MULTILINE)  # no section of its own: one line or more
_ARGUMENT = re.compile(r"^(\*{0,2}\w+): ", re.MULTILINE)


def parts_of(function: Callable) -> list[tuple[str, str]]:
    """The parts of a docstring in their order: (name of the section, such as "Args", what it says without its indent).

    What stands before a section, between two, and after them has the name "".
    """
    text, parts, end = inspect.getdoc(function) or "", [], 0
    for found in _SECTION.finditer(text):
        parts += [("", text[end:found.start()]), (found[1], textwrap.dedent(found[2]).strip())]
        end = found.end()
    return [*parts, ("", text[end:])]


def body_of(function: Callable) -> str:
    """What is said before the sections, such as Args, and the source; empty without a docstring."""
    return _SOURCE.split(parts_of(function)[0][1])[0].rstrip()


def arguments_of(function: Callable) -> dict[str, str]:
    """Argument -> what the section Args says of it, in one line."""
    pieces = _ARGUMENT.split(dict(parts_of(function)).get("Args", ""))
    return {name.lstrip("*"): " ".join(words.split()) for name, words in zip(pieces[1::2], pieces[2::2], strict=True)}
