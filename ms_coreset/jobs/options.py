"""From options by name, as commands and calls in Python have them, to the arguments of jobs."""

import difflib
import shlex
from collections.abc import Collection, Mapping
from dataclasses import fields
from typing import Any

from ms_coreset.errors import MsCoresetError
from ms_coreset.jobs.sources import DataSource, EvidenceSource, NetworkSource, Runtime, Sources
from ms_coreset.training.recipe import Recipe

# Option -> the field that it is of.
_DATA = {"dataset": "name", "data": "root", "image_size": "image_size", "bits": "bits",
         "image_column": "image_column", "label_column": "label_column", "skip_broken": "skip_broken",
         "verify": "verify", "probabilities": "probabilities"}
_NETWORK = {"recipe": "recipe", "ckpt": "checkpoint", "model_dir": "folder", "record": "record",
            "framework": "given_framework"}
_EVIDENCE = {"evidence": "kind", "filters": "filters", "runs": "runs", "out_of_fold": "folds", "top_m": "top_m",
             "cache": "cache", "scores_from": "scores", "scores_key": "scores_key", "scores_low": "scores_low",
             "memory": "memory", "dynamics": "dynamics", "similarity": "similarity",
             "cost": "cost", "like": "like", "unlike": "unlike"}
_SOURCES = {"pool": "pool", "seed": "seed", "among": "among"}
_RUNTIME = {"device": "device", "precision": "precision", "compile": "compile"}
_OF_STEPS = ("milestones", "gamma")  # fields of recipes that are no options
# Options that go over the recipe's fields of the same name.
_RECIPE = tuple(one.name for one in fields(Recipe) if one.name not in _OF_STEPS)
KNOWN = (*_DATA, "no_download", *_NETWORK, *_EVIDENCE, *_SOURCES, *_RUNTIME, *_RECIPE)


def sources_of(options: Mapping) -> Sources:
    """The ``Sources`` that options describe, with the defaults of the dataclasses."""
    return Sources(data_of(options), network_of(options), EvidenceSource(**_fields(options, _EVIDENCE)),
                   **_fields(options, _SOURCES))


def data_of(options: Mapping) -> DataSource:
    """The ``DataSource`` that options describe; raises ``MsCoresetError`` for no or an unknown data set."""
    if options.get("dataset") is None:
        raise MsCoresetError("--dataset is missing; --help shows what there is")
    return DataSource(**_fields(options, _DATA), download=not options.get("no_download", False))


def network_of(options: Mapping) -> NetworkSource:
    """The ``NetworkSource`` that options describe; a whole ``Recipe`` includes the fields that replace its own."""
    given, overrides = _fields(options, _NETWORK), {name: options[name] for name in _RECIPE if name in options}
    if isinstance(given.get("recipe"), Recipe):
        given["recipe"] = given["recipe"].override(**overrides)
    return NetworkSource(overrides=overrides, **given)


def runtime_of(options: Mapping) -> Runtime:
    """The ``Runtime`` that options describe."""
    return Runtime(**_fields(options, _RUNTIME))


def _fields(options: Mapping, names: Mapping[str, str]) -> dict[str, Any]:
    return {field: options[name] for name, field in names.items() if name in options}


def require_known(options: Mapping, known: Collection) -> None:
    """Raise ``MsCoresetError`` for an option that is not among the ``known`` ones."""
    for name in options:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f", did you mean {near[0]!r}?" if near else f"; there are {', '.join(dict.fromkeys(known))}"
            raise MsCoresetError(f"no option {name!r}{hint}")


def spell(options: Mapping) -> dict[str, Any]:
    """The options that have a value, by their names as typed; a whole ``Recipe`` has none."""
    return {name.replace("_", "-"): list(value) if isinstance(value, tuple) else value
            for name, value in options.items() if value not in (None, (), []) and not isinstance(value, Recipe)}


def command_line(command: str, options: Mapping) -> str:
    """The command line with options as ``spell`` returns them."""
    return shlex.join([command, *words_of(options)])


def words_of(options: Mapping) -> list[str]:
    """The words of options, as ``spell`` returns them, on a command line."""
    words = []
    for name, value in options.items():
        if value is not False:
            values = value if isinstance(value, list) else [] if value is True else [value]
            words += [f"--{name}", *map(str, values)]
    return words
