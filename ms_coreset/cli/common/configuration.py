"""Options from a file: values are checked and set as values, never parsed as words; typed options take precedence."""

import argparse
import difflib
import sys
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

from ms_coreset.cli.common.parsing import OneLineParser
from ms_coreset.errors import MsCoresetError
from ms_coreset.kinds import FilePath
from ms_coreset.training.recipe import config_folder, list_recipes
from ms_coreset.yaml_files import read_yaml

_TYPED_ONLY = ("config", "help", "allow_plugins")  # a file can't ask for these
_NAMES_A_PLACE = ("DIR", "FILE", "LIST")  # metavars of options that do
_SCALARS = (str, int, float)


class ConfiguredParser(OneLineParser):
    """A parser whose --config names a YAML file of options, or one in a folder of ``configs/``.

    The attribute ``typed`` keeps the options that were typed. Plugins that a file names are loaded only with
    --allow-plugins.
    """

    def __init__(self, folder: str, **settings: Any) -> None:
        super().__init__(**settings)
        self._folder = folder

    def parse_args(self, args: Iterable[str] | None = None, namespace: Any = None) -> Any:
        """Like argparse's; raises ``MsCoresetError`` for a file that is missing, is no YAML, or has unknown keys."""
        typed = sys.argv[1:] if args is None else list(args)
        self.set_defaults(typed=typed)
        arguments = super().parse_args(typed, namespace)
        if arguments.config:
            arguments = super().parse_args(typed, self._from_file(self._find(arguments.config), arguments))
        return arguments

    def _find(self, name: str) -> Path:
        folder = config_folder() / self._folder
        path = Path(name) if name.endswith((".yaml", ".yml")) else folder / f"{name}.yaml"
        if not path.is_file():
            known = ", ".join(sorted(file.stem for file in folder.glob("*.yaml")))
            raise MsCoresetError(f"no configuration {name}: there are {known}, or give a YAML file")
        return path

    def _from_file(self, path: Path, typed: argparse.Namespace) -> argparse.Namespace:
        """The file's values in a namespace; ``typed`` has the typed options, which are not taken from the file."""
        values = read_yaml(path)
        if not isinstance(values, dict):
            raise MsCoresetError(f"{path} holds no options: expected lines of 'key: value'")
        try:
            given = values_of(self, values, path)
        except argparse.ArgumentError as error:
            self.error(str(error))
        _require_allowed(given, typed, path)
        _require_no_places(self, given, typed, path)
        if typed.plugin:  # instead of the file's, not in addition
            del given.plugin
        return given


def values_of(parser: argparse.ArgumentParser, values: Mapping[Any, Any], path: FilePath) -> argparse.Namespace:
    """A namespace of the options in the file ``path``; those without a value are not in it.

    A value is checked against the type and the choices of its option, and never parsed as words. Raises
    ``MsCoresetError`` for a name that ``parser`` does not have or that a file may not give, and for a switch that is
    neither true nor false; ``argparse.ArgumentError`` for a value of another type.
    """
    known = {option.lstrip("-").replace("_", "-"): (option, action)
             for option, action in parser._option_string_actions.items() if option.startswith("--")}
    given = argparse.Namespace()
    for key, value in values.items():
        name = str(key).replace("_", "-")
        if name not in known or known[name][1].dest in _TYPED_ONLY:
            near = difflib.get_close_matches(name, known, n=1)
            raise MsCoresetError(f"{path}: unknown key {key!r}" + (f", did you mean {near[0]!r}?" if near else ""))
        if value is not None:
            _set(parser, given, key, value, *known[name], path)
    return given


def _set(parser: argparse.ArgumentParser, given: argparse.Namespace, key: object, value: Any, option: str,
         action: argparse.Action, path: FilePath) -> None:
    """Let the ``action`` of an option put its checked value into the namespace ``given``."""
    if action.nargs == 0 or isinstance(action, argparse.BooleanOptionalAction):
        return setattr(given, action.dest, _switch(key, value, path))
    if action.nargs is None:
        return action(parser, given, _check(action, value, path), option)
    checked = [_check(action, one, path) for one in _as_list(value)]
    if checked or action.nargs == "*":
        action(parser, given, checked, option)


def _switch(key: object, value: Any, path: FilePath) -> bool:
    if not isinstance(value, bool):
        raise MsCoresetError(f"{path}: {key} is {value!r}, must be true or false")
    return value


def _as_list(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return [f"{name}={text}" for name, text in value.items()]
    return value if isinstance(value, list) else [value]


def _check(action: argparse.Action, value: Any, path: FilePath) -> Any:
    """Convert one value by its option's type, and check it against the option's choices."""
    if isinstance(value, dict) and len(value) == 1 and action.nargs is not None:
        value = _spec(value)
    if not isinstance(value, _SCALARS):
        raise argparse.ArgumentError(action, f"{path}: {value!r} is no single value")
    made = _convert(action, value, path)
    if action.choices is not None and made not in action.choices:
        raise argparse.ArgumentError(action, f"{path}: {value!r} is none of {', '.join(map(str, action.choices))}")
    return made


def _convert(action: argparse.Action, value: Any, path: FilePath) -> Any:
    if action.type is None:
        return str(value)
    assert callable(action.type)  # and no name of a type that a parser registers
    try:
        return action.type(str(value))
    except (ValueError, TypeError, argparse.ArgumentTypeError) as error:
        kind = getattr(action.type, "__name__", "its type")
        raise argparse.ArgumentError(action, f"{path}: invalid {kind} value: {value!r}") from error


def _spec(value: Mapping[Any, Any]) -> str:
    """A mapping with one key is a name with its options: {ccs: {mis_ratio: 0.3}}; no part of it may spell another."""
    (name, options), = value.items()
    if not isinstance(options or {}, dict):
        raise MsCoresetError(f"{name}: {options!r} are no options, such as {{mis_ratio: 0.3}}")
    for key, text in {name: "", **(options or {})}.items():
        if any(mark in str(key) for mark in ":,=") or "," in str(text):
            raise MsCoresetError(f"{name}: {key!r} {text!r} is no name with a value, such as mis_ratio: 0.3")
    return f"{name}:" + ",".join(f"{key}={text}" for key, text in (options or {}).items())


def places_of(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    """The actions of the options that name a file, a folder or a device, which no file may set."""
    return [action for action in parser._actions if action.dest == "device"
            or (action.metavar in _NAMES_A_PLACE and action.option_strings and action.dest != "plugin")]


def is_shipped_recipe(name: str | None) -> bool:
    """Whether ``name`` is a recipe of this package, not a file."""
    return name is None or name in list_recipes()


def _require_no_places(parser: argparse.ArgumentParser, given: argparse.Namespace, typed: argparse.Namespace,
                       path: FilePath) -> None:
    """Refuse a file's values for places that were not typed.

    Raises:
        MsCoresetError: for a place in ``given``, the values of the file ``path``, that is neither typed nor the
            default.
    """
    named = [action for action in places_of(parser) if getattr(given, action.dest, None) != action.default
             and hasattr(given, action.dest)]
    if not is_shipped_recipe(getattr(given, "recipe", None)):
        named.append(parser._option_string_actions["--recipe"])
    asked = [action for action in named if getattr(typed, action.dest) == action.default]
    if asked:
        flags = ", ".join(action.option_strings[0] for action in asked)
        raise MsCoresetError(f"{path} says what only you can, where things are or on what they run: type {flags}, or "
                             "take them out of it")


def _require_allowed(given: argparse.Namespace, typed: argparse.Namespace, path: FilePath) -> None:
    """Raise ``MsCoresetError`` if the file ``path`` names plugins that were neither typed nor allowed."""
    named = getattr(given, "plugin", None)
    if named and not typed.plugin and not typed.allow_plugins:
        raise MsCoresetError(f"{path} names code to run, plugin {', '.join(named)}: --allow-plugins runs it, --plugin "
                             "FILE runs yours instead")


def settings_of(options: Mapping[str, Any], leave_out: Collection[str] = ()) -> dict[str, Any]:
    """Those of ``options`` that have a value, by their names in a file that --config understands."""
    return {name.replace("_", "-"): value for name, value in options.items()
            if value not in (None, []) and name not in ("typed", *leave_out)}
