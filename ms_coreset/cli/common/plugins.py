"""Plugins (--plugin FILE ...): the user's files that register methods, scores, data sets or networks."""

import argparse
import contextlib
import importlib.machinery
import importlib.util
import sys
import traceback
from collections.abc import Iterable, Sequence
from pathlib import Path

from ms_coreset.errors import MsCoresetError

_PREFIX = "ms_coreset_plugin_"


def add_plugin_option(parser: argparse.ArgumentParser) -> None:
    """--plugin FILE ..."""
    parser.add_argument("--plugin", nargs="+", action="extend", metavar="FILE", help="Python files of yours that "
                        "register methods, scores, data sets or networks: docs/extending.md")


def load_from_words(words: Sequence[str]) -> None:
    """Load the plugins among the typed ``words``, before the parser is made, which has the options of their methods."""
    early = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    add_plugin_option(early)
    # What is wrong with the words, the command's own parser says.
    with contextlib.suppress(argparse.ArgumentError):
        load_plugins(early.parse_known_args(words)[0].plugin)


def load_plugins(paths: Iterable[str] | None) -> None:
    """Load the files ``paths``, a list or None; nothing else runs code of a named file."""
    for path in paths or ():
        load_plugin(path)


def load_plugin(path: str) -> None:
    """Run the Python file ``path``, once in a process.

    Raises:
        MsCoresetError: if it is missing, and, naming the line, if it fails.
    """
    file = Path(path).expanduser().resolve()
    name = _PREFIX + str(file)
    if name in sys.modules:
        return
    if not file.is_file():
        raise MsCoresetError(f"no plugin {path}: give a Python file that registers something, see docs/extending.md")
    loader = importlib.machinery.SourceFileLoader(name, str(file))
    spec = importlib.util.spec_from_loader(name, loader)
    assert spec is not None  # it is of the loader's file
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        loader.exec_module(module)
    except Exception as error:  # whatever the user's code raises
        del sys.modules[name]
        lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(file)]
        place = f", line {lines[-1]}" if lines else ""
        raise MsCoresetError(f"plugin {path}{place}: {type(error).__name__}: {error}") from error
