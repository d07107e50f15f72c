"""``select --from-manifest``: how a coreset was made, as its file tells, and in what a repetition differs."""

import argparse
import dataclasses

import numpy as np

from ms_coreset.cli.common.base_network import training_notes
from ms_coreset.cli.common.configuration import places_of, shipped_recipe, values_of
from ms_coreset.cli.common.options import note
from ms_coreset.coreset import Coreset
from ms_coreset.errors import MsCoresetError
from ms_coreset.files import digest
from ms_coreset.training.recipe import Recipe

# What says where things are, or how fast, and leaves the coreset as it is: this may be typed with --from-manifest.
PLACES = ("from_manifest", "save", "data", "model_dir", "ckpt", "cache", "device", "memory", "no_download", "verify")
_ABOUT_THIS_CALL = ("help", "list", "from_manifest", "save")
_ARRAYS = ("indices", "weights", "scores", "pool")
_SETTINGS = ("n", "rate", "method", "options", "seed")
# Notes that are compared. What others say of the data and the network, their checksums say, too.
_COMPARED = ("versions", "revision", "device", "precision", "data", "base", "recipe")


def options_of(parser, arguments):
    """The options in ``arguments`` that have a value, as plain values by their names: what ``values_of`` reads."""
    values = {}
    for action in parser._actions:
        value = getattr(arguments, action.dest, None)
        if value is not None and action.dest not in _ABOUT_THIS_CALL:
            values[action.option_strings[0].lstrip("-")] = value
    return values


def former_options(parser, arguments):
    """(the coreset of --from-manifest, the options that made it), ``PLACES`` as typed now or default.

    The file's values are set as values, whatever they spell; no code that it names is run, and no place that it names
    is used. Raises ``MsCoresetError`` for a file that does not tell, for an option that would make another coreset,
    and for code or a network that has to be typed again.
    """
    path = arguments.from_manifest
    former = Coreset.load(path)
    then = _recorded(parser, former, arguments, path)
    now = parser.parse_args(arguments.typed, argparse.Namespace(**vars(then)))
    _require_alike(parser, then, now, path)
    _tell_places(parser, then, arguments, path)
    recipe = _recipe(former, path) or _named_recipe(then, arguments, path)
    typed_only = (*PLACES, "plugin", *(action.dest for action in places_of(parser)))
    typed = {name: getattr(arguments, name) for name in typed_only}
    return former, argparse.Namespace(**{**vars(now), **typed, "recipe": recipe})


def _named_recipe(then, arguments, path):
    """The recipe of then by its name, where its values are not recorded; a file only if it is typed now."""
    if shipped_recipe(then.recipe) or arguments.recipe:
        return then.recipe
    note(f"{path} was made with --recipe {then.recipe}, a file, which has to be typed again")
    return None


def _recorded(parser, former, arguments, path):
    """All options as the coreset's file tells that they were, in a namespace."""
    recorded = former.manifest.get("arguments")
    if not isinstance(recorded, dict):
        raise MsCoresetError(f"{path} does not tell by which options it was made: only files of select do, of "
                             "experiment the record of a run names the command")
    if recorded.get("plugin") and not arguments.plugin:
        raise MsCoresetError(f"{path} was made with code that a file can't ask for, plugin {recorded['plugin']}: type "
                             "--plugin FILE again")
    values = {name: value for name, value in recorded.items() if name != "plugin"}
    then = parser.parse_args([])
    try:
        vars(then).update(vars(values_of(parser, values, path)))
    except argparse.ArgumentError as error:
        raise MsCoresetError(str(error)) from error
    return then


def _require_alike(parser, then, now, path):
    """Raise ``MsCoresetError`` for a typed option that would make another coreset than the one of then."""
    for action in parser._actions:
        before, after = (getattr(side, action.dest, None) for side in (then, now))
        if before != after and action.dest not in (*PLACES, "plugin"):
            raise MsCoresetError(f"{action.option_strings[0]} {after}: {path} was made with {before}; beside "
                                 f"--from-manifest there may only be {', '.join(map(_flag, PLACES[1:]))}")


def _tell_places(parser, then, arguments, path):
    """Say which places of then are not used; raise ``MsCoresetError`` for a network that no one typed."""
    for action in places_of(parser):
        before, typed = getattr(then, action.dest), getattr(arguments, action.dest)
        if action.dest in _ABOUT_THIS_CALL or before in (action.default, typed):
            continue
        if action.dest == "ckpt" and typed is None:
            raise MsCoresetError(f"no checkpoint {before} is taken because a file says so: {path} was made with it, "
                                 "type --ckpt FILE")
        if typed == action.default:
            note(f"{path} was made with {action.option_strings[0]} {before}, which has to be typed again: {typed} is "
                 "used")


def _recipe(former, path):
    """The recipe of the base network, or None where it is not recorded."""
    values = former.manifest.get("recipe")
    try:
        return Recipe(**values) if values else None
    except TypeError as error:
        raise MsCoresetError(f"{path}: its recipe has other keys than recipes have: {error}") from error


def base_of(checkpoint):
    """Notes on the base network: its file, checksum and seed, and its recipe as far as they are known.

    checkpoint: its file, or None where no network was asked
    """
    if checkpoint is None:
        return {"checkpoint": None}
    trained = training_notes(checkpoint).get("run", {})
    recipe = {field.name: trained[field.name] for field in dataclasses.fields(Recipe) if field.name in trained}
    return {"checkpoint": str(checkpoint), "base": {"network": digest(checkpoint), "seed": trained.get("seed")},
            "recipe": recipe or None}


def tell_changes(former, notes):
    """Say in which of ``notes`` a repetition differs from the coreset ``former``: "data images: A, now B"."""
    for name in [name for name in _COMPARED if former and name in notes]:
        then, now = _flat(name, former.manifest.get(name)), _flat(name, notes[name])
        for key in dict.fromkeys([*then, *now]):
            if then.get(key) != now.get(key):
                note(f"{key}: {then.get(key, 'not recorded')}, now {now.get(key)}")


def _flat(name, value):
    return {f"{name} {key}": part for key, part in value.items()} if isinstance(value, dict) else {name: value}


def changed_arrays(former, coreset):
    """Lines on what differs between two coresets themselves; none when every array is the same, byte for byte."""
    lines = [f"{name}: {getattr(former, name)}, now {getattr(coreset, name)}" for name in _SETTINGS
             if getattr(former, name) != getattr(coreset, name)]
    for name in _ARRAYS:
        then, now = getattr(former, name), getattr(coreset, name)
        if not _same(then, now):
            lines.append(f"{name}: {_told(name, then, now)}")
    return lines


def _same(then, now):
    if then is None or now is None:
        return then is now
    return then.dtype == now.dtype and then.shape == now.shape and then.tobytes() == now.tobytes()


def _told(name, then, now):
    if then is None or now is None:
        return "there were none" if then is None else "there are none now"
    if name in ("indices", "pool"):
        return f"{len(np.intersect1d(then, now)):,} of {len(then):,} samples are the same"
    if then.shape != now.shape:
        return f"{then.shape}, now {now.shape}"
    return f"differ by up to {np.nanmax(np.abs(then - now)):.3g}"


def _flag(name):
    return f"--{name.replace('_', '-')}"
