"""What all commands' parsers are made of."""

from __future__ import annotations

import argparse
import contextlib
import re
import sys
from collections.abc import Callable, Collection, Iterator
from typing import TYPE_CHECKING, Any, NoReturn, cast

from ms_coreset.terminal import one_line, printable

if TYPE_CHECKING:
    from _typeshed import SupportsWrite


_LIST = re.compile(r"[\w.@+-]+(,[\w.@+-]+)+")  # neither a path nor a method with options


class OneLineParser(argparse.ArgumentParser):
    """A parser whose errors are of one line, whatever was typed.

    Several values of an option may be typed with commas, too. Of many options --help shows the usual ones.
    """

    _usual: Collection[str] = ()
    _manual: Callable[[], str] | None = None

    def show_first(self, usual: Collection[str]) -> None:
        """Let --help show these options alone, and --help-all the others, too; none: --help shows all."""
        self._usual = usual
        if usual:
            self.add_argument("--help-all", action=_HelpAll, nargs=0, help="show all options, and leave")

    def append(self, manual: Callable[[], str]) -> None:
        """Let ``manual()`` be the end of what --help-all shows."""
        self._manual = manual

    def format_help(self) -> str:
        """As ever, of the usual options."""
        with self._unusual_hidden():
            return super().format_help()

    def format_usage(self) -> str:
        """As ever, of the usual options."""
        with self._unusual_hidden():
            return super().format_usage()

    def format_all(self) -> str:
        """What --help-all shows."""
        return super().format_help() + ("" if self._manual is None else f"\n{self._manual()}\n")

    @contextlib.contextmanager
    def _unusual_hidden(self) -> Iterator[None]:
        hidden = {action: action.help for action in self._actions
                  if self._usual and not {*self._usual, "-h", "--help-all"} & set(action.option_strings)}
        for action in hidden:
            action.help = argparse.SUPPRESS
        try:
            yield
        finally:
            for action, words in hidden.items():
                action.help = words

    def _get_values(self, action: argparse.Action, arg_strings: list[str]) -> Any:
        if action.nargs in ("*", "+") and action.metavar not in ("FILE", "COMMAND"):
            arg_strings = [value for text in arg_strings
                           for value in (text.split(",") if _LIST.fullmatch(text) else [text])]
        return super()._get_values(action, arg_strings)

    def error(self, message: str) -> NoReturn:
        """As ever: usage and the message on stderr, exit code 2."""
        super().error(one_line(message))

    def _print_message(self, message: str, file: SupportsWrite[str] | None = None) -> None:
        super()._print_message(printable(message) if message else message, file)


class _HelpAll(argparse.Action):
    """Shows all options, and leaves."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> NoReturn:
        parser._print_message(cast("OneLineParser", parser).format_all(), sys.stdout)
        parser.exit()
