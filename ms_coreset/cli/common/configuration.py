"""Options from a YAML file: its keys are the options' names, and what is typed goes over it."""

import argparse
import difflib
import sys
from pathlib import Path

import yaml

from ms_coreset.cli.common.parsing import OneLineParser
from ms_coreset.errors import MsCoresetError
from ms_coreset.files import atomic_write, read_yaml
from ms_coreset.training.recipe import config_folder


class ConfiguredParser(OneLineParser):
    """A parser whose --config names a YAML file of options, or one in a folder of ``configs/``.

    The options that were typed are kept as ``typed``.
    """

    def __init__(self, folder=None, **settings):
        super().__init__(**settings)
        self._folder = folder

    def parse_args(self, args=None, namespace=None):
        """As ever; raises ``MsCoresetError`` for a file that is missing, no YAML, or has unknown keys."""
        typed = sys.argv[1:] if args is None else list(args)
        arguments = super().parse_args(typed, namespace)
        if arguments.config:
            arguments = super().parse_args([*self._options_in(self._find(arguments.config)), *typed], namespace)
        arguments.typed = typed
        return arguments

    def _find(self, name):
        folder = config_folder() / self._folder
        path = Path(name) if name.endswith((".yaml", ".yml")) else folder / f"{name}.yaml"
        if not path.is_file():
            known = ", ".join(sorted(file.stem for file in folder.glob("*.yaml")))
            raise MsCoresetError(f"no configuration {name}: there are {known}, or give a YAML file")
        return path

    def _options_in(self, path):
        """The file's content as it would be typed."""
        values = read_yaml(path)
        if not isinstance(values, dict):
            raise MsCoresetError(f"{path} holds no options: expected lines of 'key: value'")
        return words_of(self, values, path)


def words_of(parser, values, path):
    """Options by name, as the file ``path`` holds them, as they would be typed: a list of words.

    Raises ``MsCoresetError`` for a name that ``parser`` does not have, and a switch that is neither true nor false.
    """
    known = {option.lstrip("-").replace("_", "-"): (option, action)
             for option, action in parser._option_string_actions.items() if option.startswith("--")}
    words = []
    for key, value in values.items():
        name = str(key).replace("_", "-")
        if name not in known or name in ("config", "help"):
            near = difflib.get_close_matches(name, known, n=1)
            raise MsCoresetError(f"{path}: unknown key {key!r}" + (f", did you mean {near[0]!r}?" if near else ""))
        words += _typed(str(key), value, *known[name], path)
    return words


def _typed(key, value, option, action, path):
    if value is None:
        return []
    if action.nargs == 0 or isinstance(action, argparse.BooleanOptionalAction):
        return _switch(key, value, action, path)
    values = _as_list(value)
    return [option, *map(_word, values)] if values or action.nargs == "*" else []


def _switch(key, value, action, path):
    if not isinstance(value, bool):
        raise MsCoresetError(f"{path}: {key} is {value!r}, must be true or false")
    on = next(option for option in action.option_strings if option.startswith("--"))
    if value:
        return [on]
    return [f"--no-{on[2:]}"] if isinstance(action, argparse.BooleanOptionalAction) else []


def _as_list(value):
    if isinstance(value, dict):
        return [f"{name}={text}" for name, text in value.items()]
    return value if isinstance(value, list) else [value]


def _word(value):
    """A value as it is typed; a mapping with one key is a name with its options: {ccs: {mis_ratio: 0.3}}."""
    if isinstance(value, dict) and len(value) == 1:
        (name, options), = value.items()
        if not isinstance(options or {}, dict):
            raise MsCoresetError(f"{name}: {options!r} are no options, such as {{mis_ratio: 0.3}}")
        return f"{name}:" + ",".join(f"{key}={text}" for key, text in (options or {}).items())
    return str(value)


def write_configuration(path, arguments, leave_out=()):
    """Write all options that have a value to a YAML file that --config understands."""
    values = {name.replace("_", "-"): value for name, value in vars(arguments).items()
              if value not in (None, []) and name not in ("typed", *leave_out)}
    with atomic_write(path, "w", encoding="utf-8") as stream:
        yaml.safe_dump(values, stream, sort_keys=False, allow_unicode=True)
