"""What all commands' parsers are made of."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, NoReturn

from ms_coreset.terminal import one_line, printable

if TYPE_CHECKING:
    from _typeshed import SupportsWrite


class OneLineParser(argparse.ArgumentParser):
    """A parser whose errors are of one line, whatever was typed."""

    def error(self, message: str) -> NoReturn:
        """As ever: usage and the message on stderr, exit code 2."""
        super().error(one_line(message))

    def _print_message(self, message: str, file: SupportsWrite[str] | None = None) -> None:
        super()._print_message(printable(message) if message else message, file)
