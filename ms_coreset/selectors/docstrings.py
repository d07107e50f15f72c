"""What the docstring of a method, score, rule or quota says, in parts."""

from __future__ import annotations

import inspect
import re
import textwrap
from collections.abc import Callable

_SECTION = re.compile(r"^(Args|Returns|Raises|Yields|Source):[ \n]", re.MULTILINE)
_ARGUMENT = re.compile(r"^\*{0,2}(\w+): ", re.MULTILINE)


def body_of(function: Callable) -> str:
    """What is said before the sections, such as Args; empty without a docstring."""
    text = inspect.getdoc(function) or ""
    first = _SECTION.search(text)
    return text[:first.start() if first else None].rstrip()


def arguments_of(function: Callable) -> dict[str, str]:
    """Argument -> what the section Args says of it, in one line."""
    text = inspect.getdoc(function) or ""
    found = re.search(r"^Args:\n((?:    .*(?:\n|$)|\n(?=    ))+)", text, re.MULTILINE)
    pieces = _ARGUMENT.split(textwrap.dedent(found[1])) if found else [""]
    return {name: " ".join(words.split()) for name, words in zip(pieces[1::2], pieces[2::2], strict=True)}
