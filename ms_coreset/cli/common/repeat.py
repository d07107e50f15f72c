"""``select --from-manifest``: the options that made a coreset, from its file."""

import argparse
from collections.abc import Mapping, Sequence
from typing import Any

from ms_coreset.cli.common.configuration import is_shipped_recipe, places_of, values_of
from ms_coreset.coreset import Coreset
from ms_coreset.errors import MsCoresetError
from ms_coreset.terminal import note
from ms_coreset.training.recipe import Recipe

# What says where things are, or how fast, and leaves the coreset as it is: this may be typed with --from-manifest.
PLACES = ("from_manifest", "save", "data", "model_dir", "ckpt", "scores_from", "among", "dynamics",
          "similarity", "cost", "like", "unlike", "cache", "device", "memory", "no_download", "verify")
# What can't be made anew, and no file may name.
_TYPED_AGAIN = {"ckpt": "checkpoint", "scores_from": "file of scores", "among": "coreset",
                "dynamics": "folder of training dynamics", "similarity": "file of similarities",
                "cost": "file of costs", "like": "file of samples to be like", "unlike": "file of samples to be unlike"}
_ABOUT_THIS_CALL = ("help", "list", "from_manifest", "save")


def options_of(parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> dict[str, Any]:
    """The values of all options in ``arguments`` by name, None for those without; ``values_of`` reads them."""
    return {action.option_strings[0].lstrip("-"): getattr(arguments, action.dest, None) for action in parser._actions
            if action.dest not in _ABOUT_THIS_CALL}


def former_options(parser: argparse.ArgumentParser,
                   arguments: argparse.Namespace) -> tuple[Coreset, argparse.Namespace, str | Recipe | None]:
    """The coreset of --from-manifest, and the options that made it.

    Places (``PLACES``) are those typed now, or the defaults. The file's values are only set as values: no code that it
    names is run, and no place that it names is used.

    Args:
        parser: of the command
        arguments: as they are typed now

    Returns:
        (the coreset, the options that made it, its recipe).

    Raises:
        MsCoresetError: for a file without these notes, for a typed option that would make another coreset, and for code
            or a network that must be typed again.
    """
    path = arguments.from_manifest
    former = Coreset.load(path)
    recorded = _options_in_manifest(former, arguments, path)
    then, now = _parse(parser, [], recorded, path), _parse(parser, arguments.typed, recorded, path)
    _require_alike(parser, then, now, path)
    _tell_places(parser, then, arguments, path)
    recipe = _recipe(former, path) or _named_recipe(then, arguments, path)
    typed_only = {*PLACES, *(action.dest for action in places_of(parser))}
    names = {spelling.lstrip("-").replace("_", "-") for action in parser._actions if action.dest in typed_only
             for spelling in action.option_strings}
    kept = {name: value for name, value in recorded.items() if str(name).replace("_", "-") not in names}
    return former, _parse(parser, arguments.typed, kept, path), recipe


def _named_recipe(then: argparse.Namespace, arguments: argparse.Namespace, path: str) -> str | None:
    """The former recipe by its name if its values are not recorded; it may be a file only if that is typed now."""
    if is_shipped_recipe(then.recipe) or arguments.recipe:
        return then.recipe
    note(f"{path} was made with --recipe {then.recipe}, a file, which has to be typed again")
    return None


def _options_in_manifest(former: Coreset, arguments: argparse.Namespace, path: str) -> dict[str, Any]:
    """All options by name as recorded in the coreset's file, without code that it names."""
    recorded = former.manifest.get("arguments")
    if not isinstance(recorded, dict):
        raise MsCoresetError(f"{path} does not tell by which options it was made: only files of select do, of "
                             "experiment the record of a run names the command")
    if recorded.get("plugin") and not arguments.plugin:
        raise MsCoresetError(f"{path} was made with code that a file can't ask for, plugin {recorded['plugin']}: type "
                             "--plugin FILE again")
    return {name: value for name, value in recorded.items() if name != "plugin"}


def _parse(parser: argparse.ArgumentParser, typed: Sequence[str], recorded: Mapping[str, Any],
           path: str) -> argparse.Namespace:
    """The recorded options, overridden by the typed ones."""
    try:
        return parser.parse_args(typed, values_of(parser, recorded, path))
    except argparse.ArgumentError as error:
        raise MsCoresetError(str(error)) from error


def _require_alike(parser: argparse.ArgumentParser, then: argparse.Namespace, now: argparse.Namespace,
                   path: str) -> None:
    """Raise ``MsCoresetError`` for a typed option that would make another coreset than the former one."""
    for action in parser._actions:
        before, after = (getattr(side, action.dest, None) for side in (then, now))
        if before != after and action.dest not in (*PLACES, "plugin"):
            raise MsCoresetError(f"{action.option_strings[0]} {after}: {path} was made with {before}; beside "
                                 f"--from-manifest there may only be {', '.join(map(_flag, PLACES[1:]))}")


def _tell_places(parser: argparse.ArgumentParser, then: argparse.Namespace, arguments: argparse.Namespace,
                 path: str) -> None:
    """Tell the user which former places are not used; raise ``MsCoresetError`` for a network that is not typed."""
    for action in places_of(parser):
        before, typed = getattr(then, action.dest), getattr(arguments, action.dest)
        if action.dest in _ABOUT_THIS_CALL or before in (action.default, typed):
            continue
        if action.dest in _TYPED_AGAIN and typed is None:
            raise MsCoresetError(f"no {_TYPED_AGAIN[action.dest]} {before} is taken because a file says so: {path} was "
                                 f"made with it, type {action.option_strings[0]} FILE")
        if typed == action.default:
            note(f"{path} was made with {action.option_strings[0]} {before}, which has to be typed again: {typed} is "
                 "used")


def _recipe(former: Coreset, path: str) -> Recipe | None:
    """The recipe of the base network, or None where it is not recorded."""
    values = former.manifest.get("recipe")
    try:
        return Recipe(**values) if values else None
    except TypeError as error:
        raise MsCoresetError(f"{path}: its recipe has other keys than recipes have: {error}") from error


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"
