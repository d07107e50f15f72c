"""Completion of what is typed in a shell, by argcomplete."""

from __future__ import annotations

import argparse
import importlib
import os
import shlex
from typing import NoReturn

from ms_coreset.cli import COMMANDS
from ms_coreset.errors import MsCoresetError


def complete() -> NoReturn:
    """Write the completions of the line in the environment where argcomplete's shell function reads them, and leave.

    Raises:
        MsCoresetError: where argcomplete is not installed.
    """
    try:
        import argcomplete
    except ImportError as error:
        raise MsCoresetError('completion needs argcomplete: pip install "ms-coreset[completion]"') from error
    argcomplete.autocomplete(_parser(os.environ.get("COMP_LINE", "")))
    raise SystemExit(1)  # argcomplete leaves by itself, with 0


def _parser(line: str) -> argparse.ArgumentParser:
    """A parser of all commands, of which the one in the line has its options: to load those of all would take long."""
    words = _words(line)
    parser = argparse.ArgumentParser(prog="ms-coreset")
    commands = parser.add_subparsers(metavar="COMMAND")
    for name, what in COMMANDS.items():
        parents = []
        if name in words:
            module = importlib.import_module(f"ms_coreset.cli.{name.replace('-', '_')}")
            parents = [module.parser(name)]
        commands.add_parser(name, help=what, parents=parents, add_help=not parents)
    return parser


def _words(line: str) -> list[str]:
    try:
        return shlex.split(line)
    except ValueError:  # an open quotation mark
        return line.split()
