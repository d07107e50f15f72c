"""``coreset``: what a coreset file holds, and how two differ."""

import argparse
import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np

from ms_coreset.cli.common.common_options import add, add_data_options, new_parser
from ms_coreset.coreset import Coreset
from ms_coreset.datasets import default_overlay_path, load_dataset
from ms_coreset.datasets.family import find_dataset
from ms_coreset.datasets.split import Split
from ms_coreset.errors import MsCoresetError
from ms_coreset.identity import misfit, same_samples
from ms_coreset.jobs.kept_files import link_kept
from ms_coreset.terminal import note, say

_EXAMPLES = """examples:
  coreset show index/CIFAR100N-moderate-0.2.npz
  coreset diff index/CIFAR100N-moderate-0.2.npz index/CIFAR100N-random-0.2.npz
  coreset show index/digitsN-ccs-balanced-0.2.npz --export kept.csv
  coreset show index/folder-photos-moderate-0.2.npz --data photos --link kept
"""

# The options that decide what images a data set has, and the types of their values.
_IMAGE_OPTIONS = {"image_size": int, "bits": int, "image_column": str, "label_column": str}
Line = tuple[str, str]  # what it is about, and the text


def parser(typed: str) -> argparse.ArgumentParser:
    """The command's options."""
    options = new_parser(typed, "Show what a coreset file (.npz) holds, or how two of them differ. Classes and bad "
                         "samples are counted where the data set is at hand.", _EXAMPLES)
    options.add_argument("action", choices=("show", "diff"), help="one file, or two")
    options.add_argument("files", nargs="+", metavar="FILE", help=".npz files of select or experiment")
    add(options, "--export", metavar="LIST", help="show: write the kept places, too, as .txt or .json, or as .csv "
        "or .parquet a table of files, labels, scores and weights, with the dropped ones where the data set is at hand")
    add(options, "--link", metavar="DIR", help="show: make a folder DIR of links to the kept files, laid out as the "
        "data set; nothing in it is written over")
    add(options, "--copy", action="store_true", help="with --link: copies instead of links")
    add(options, "--classes", action="store_true", help="a line for each class")
    data = add_data_options(options, dataset_required=False)
    options.set_defaults(data=None)  # whether it is typed: there is no default place of a folder of one's own
    add(data, "--no-data", action="store_true", help="look into the files only")
    return options


def run(arguments: argparse.Namespace) -> None:
    """Run the command."""
    wanted = {"show": 1, "diff": 2}[arguments.action]
    if len(arguments.files) != wanted:
        raise MsCoresetError(f"coreset {arguments.action} takes {wanted} file{'s'[:wanted - 1]}, "
                             f"got {len(arguments.files)}")
    _require_meant(arguments)
    coresets = [Coreset.load(path) for path in arguments.files]
    split = None if arguments.no_data else _data(arguments, coresets[0])
    if arguments.action == "diff":
        _require_comparable(coresets[0], coresets[1], *arguments.files)
    for coreset, path in zip(coresets, arguments.files, strict=True):
        _require_fitting(coreset, path, split, () if coreset is coresets[0] else ("images",))
    if arguments.action == "diff":
        first, second = coresets
        return _diff(arguments, first, second, split)
    _show(arguments, coresets[0], split)
    if arguments.export:
        coresets[0].export(arguments.export, split)
        say(f"  wrote      {arguments.export}")
    if arguments.link:
        _link(arguments, coresets[0], split)


def _require_meant(arguments: argparse.Namespace) -> None:
    if arguments.action == "diff" and (arguments.export or arguments.link):
        raise MsCoresetError("--export and --link go with coreset show")
    if arguments.copy and not arguments.link:
        raise MsCoresetError("--copy goes with --link DIR")
    if arguments.link and arguments.no_data:
        raise MsCoresetError("--link makes links to the data, --no-data asks for none: leave one out")


def _link(arguments: argparse.Namespace, coreset: Coreset, split: Split | None) -> None:
    if split is None:
        raise MsCoresetError(f"--link {arguments.link}: the data set is not at hand; --dataset and --data name it")
    done = link_kept(coreset, split, arguments.link, copy=arguments.copy)
    counts = {"links": done.linked, "copies": done.copied, "there already": done.there}
    say(f"  linked     {', '.join(f'{count:,} {what}' for what, count in counts.items() if count)}, in {done.folder}, "
        f"named as in {done.root}")


def _data(arguments: argparse.Namespace, coreset: Coreset) -> Split | None:
    """The training split that the coreset is of, or None, with a word about it, where it is not at hand."""
    name, then, skip = _selection_options(arguments, coreset)
    if name is None:
        note("the file names no data set: --dataset does")
        return None
    try:
        family, letter, _ = find_dataset(name)
        if family.by_path and arguments.data is None:  # no place is taken from a file
            raise MsCoresetError(f"{coreset.manifest.get('dataset', name)} is data of your own: --data says where it "
                                 "lies")
        root = arguments.data or "data"
        if letter and not default_overlay_path(root, name).exists():
            raise MsCoresetError(f"{default_overlay_path(root, name)} is not there")  # looking makes nothing
        return load_dataset(name, root, **(then if family.resizable else _image_options(arguments)), download=False,
                            broken="skip" if skip else None, verify=arguments.verify, log=note)
    except MsCoresetError as error:
        if arguments.dataset:
            raise
        note(f"without classes and bad samples: {error}")
        return None


def _image_options(arguments: argparse.Namespace) -> dict[str, Any]:
    """The options that decide what images are made of image files."""
    return {name: getattr(arguments, name) for name in _IMAGE_OPTIONS}


def _selection_options(arguments: argparse.Namespace, coreset: Coreset) -> tuple[str | None, dict[str, Any], bool]:
    """(name, options of its images, whether broken ones are left out) of the data set.

    Each is as it is typed now, or was when the coreset was chosen, or None. In "dataset" a set of one's own is called
    by its files, too; as it was typed it is among the "arguments" of select, and the "loading" of duplicates.
    """
    recorded = coreset.manifest.get("arguments", coreset.manifest.get("loading"))
    recorded = recorded if isinstance(recorded, dict) else {}
    names = (arguments.dataset, recorded.get("dataset"), coreset.manifest.get("dataset"))
    then = {key: recorded.get(key.replace("_", "-")) if typed is None else typed
            for key, typed in _image_options(arguments).items()}
    return (next((name for name in names if isinstance(name, str)), None),
            {key: value if type(value) is _IMAGE_OPTIONS[key] else None for key, value in then.items()},
            arguments.skip_broken or recorded.get("skip-broken") is True)


def _require_comparable(first: Coreset, second: Coreset, path: str, other: str) -> None:
    if first.n != second.n:
        different = f"{first.n} samples, {other} of {second.n}"
    elif not same_samples(first, second):
        different = f"other images than {other}"
    else:
        return
    raise MsCoresetError(f"{path} is of {different}: only coresets of the same data can be compared")


def _require_fitting(coreset: Coreset, path: str, split: Split | None, may_differ: Collection[str] = ()) -> None:
    if split is not None and (reason := misfit(coreset, split, split.name, may_differ)) is not None:
        raise MsCoresetError(f"{path} {reason}: give its --dataset and --data, or --no-data")


def _show(arguments: argparse.Namespace, coreset: Coreset, split: Split | None) -> None:
    available = coreset.n if coreset.pool is None else len(coreset.pool)
    options = ", ".join(f"{name} {value}" for name, value in coreset.options.items())
    lines = [("method", f"{coreset.method}, rate {coreset.rate:g}, seed {coreset.seed}"), ("options", options),
             ("kept", f"{len(coreset):,} of {available:,}" + (f", a pool of {coreset.n:,}" if available < coreset.n
                                                               else "") + f"; dropped {available - len(coreset):,}"),
             ("order", _shorten(coreset.indices))]
    if coreset.weights is not None:
        low, high = coreset.weights.min(), coreset.weights.max()
        lines.append(("weights", f"{low:.4g} to {high:.4g}, sum {coreset.weights.sum():,.6g}"))
    if (relative := _relative_weights(coreset)) is not None:
        worth = relative.sum() ** 2 / (relative**2).sum()  # Kish's effective size, (sum w)^2 / sum w^2
        lines.append(("worth", f"{worth:,.4g} samples of equal weight"))
    if coreset.scores is not None:
        kept, dropped = (coreset.scores[rows] for rows in (coreset.indices, ~coreset.keep_mask))  # n of them are there
        lines.append(("scores", f"kept {_range(kept)}; dropped {_range(dropped)}"))
    if coreset.gains is not None:
        lines.append(("gains", f"{_numbers(coreset.gains)}, sum {coreset.gains.sum():,.6g}"))
    if split is not None:
        lines += _class_lines(arguments, coreset, split) + _bad_lines(coreset, split)
    notes = {name: value for name, value in coreset.manifest.items() if name != "kept"}  # said above
    lines += _lines({names: _plain(value) for names, value in _entries(notes).items()})
    _print(arguments.files[0], lines)


def _diff(arguments: argparse.Namespace, first: Coreset, second: Coreset, split: Split | None) -> None:
    common = len(np.intersect1d(first.indices, second.indices, assume_unique=True))
    either = len(first) + len(second) - common
    chance = _chance(first, second)
    lines = [("kept", f"{len(first):,} and {len(second):,}"),
             ("in both", f"{common:,}; only in the first {len(first) - common:,}, in the second "
              f"{len(second) - common:,}"),
             ("Jaccard", f"{common / either:.3f}" + (f"; by chance about {chance:.3f}" if chance else ""))]
    if split is not None:
        lines += _comparison(arguments, first, second, split)
    one, other = (_entries({"method": each.method, "rate": each.rate, "seed": each.seed, **each.options,
                            **each.manifest}) for each in (first, second))
    lines += _lines({names: f"{_plain(one.get(names))} / {_plain(other.get(names))}"
                     for names in dict.fromkeys([*one, *other]) if one.get(names) != other.get(names)})
    _print(f"{arguments.files[0]} and {arguments.files[1]}", lines)


def _chance(first: Coreset, second: Coreset) -> float | None:
    """The Jaccard index of two random coresets of these sizes, of their expected overlap; None for unlike pools."""
    one, other = (None if each.pool is None or len(each.pool) == each.n else each.pool for each in (first, second))
    alike = one is other if one is None or other is None else np.array_equal(one, other)
    if not alike:
        return None
    overlap = len(first) * len(second) / (first.n if one is None else len(one))
    return overlap / (len(first) + len(second) - overlap)


def _comparison(arguments: argparse.Namespace, first: Coreset, second: Coreset, split: Split) -> list[Line]:
    """Classes and bad samples of two coresets side by side."""
    lines = []
    for one, other in zip(_class_lines(arguments, first, split) + _bad_lines(first, split),
                          _class_lines(arguments, second, split) + _bad_lines(second, split), strict=True):
        lines.append(one if one == other else (one[0], f"{one[1]} / {other[1]}"))
    return lines


def _relative_weights(coreset: Coreset) -> np.ndarray | None:
    """The weights over the largest, or None where there are none to compare by."""
    weights = coreset.weights
    return None if weights is None or weights.min() < 0 or not weights.any() else weights / weights.max()


def _class_lines(arguments: argparse.Namespace, coreset: Coreset, split: Split) -> list[Line]:
    if not split.num_classes:
        return []
    kept = split.labels[coreset.indices]
    low, middle, high = coreset.summary(split)["per_class"]
    overall = f"min {low}, median {middle:g}, max {high}"
    classes = [f"{name}: {count}" for name, count in zip(split.classes, np.bincount(kept, minlength=split.num_classes),
                                                         strict=True)]
    if (relative := _relative_weights(coreset)) is not None:
        shares = np.bincount(kept, relative, split.num_classes) / relative.sum()
        overall += f"; {shares.min():.1%} to {shares.max():.1%} of the weight"
        classes = [f"{line}, {share:.1%} of the weight" for line, share in zip(classes, shares, strict=True)]
    return [("per class", overall), *(("", line) for line in classes if arguments.classes)]


def _bad_lines(coreset: Coreset, split: Split) -> list[Line]:
    summary = coreset.summary(split)
    if summary["bad_kept"] is None:
        return []
    shares = {"": (summary["bad_available"], summary["bad_kept"]), **summary["bad_by_kind"]}
    return [("bad" if not kind else "", f"{kind.replace('_', ' ') + ': ' if kind else ''}{before:.1%} of the data, "
             f"{after:.1%} of the coreset") for kind, (before, after) in shares.items()]


def _shorten(places: np.ndarray) -> str:
    head = ", ".join(map(str, places[:8]))
    return head + (f", ... {places[-1]}" if len(places) > 8 else "")


def _numbers(values: np.ndarray) -> str:
    head = ", ".join(f"{value:.4g}" for value in values[:4])
    return head + (f", ... {values[-1]:.4g}" if len(values) > 4 else "")


def _range(scores: np.ndarray) -> str:
    scores = scores[~np.isnan(scores)]  # outside the pool there are none
    return f"{scores.min():.4g} to {scores.max():.4g}" if len(scores) else "none"


def _entries(notes: Mapping[str, Any]) -> dict[tuple[str, str], Any]:
    """Every entry by its name and, where it has named ones inside, theirs."""
    return {(name, inner): entry for name, value in notes.items()
            for inner, entry in (value.items() if isinstance(value, dict) else [("", value)])}


def _lines(texts: Mapping[tuple[str, str], str]) -> list[Line]:
    """A line for each text of ``_entries``; a name is said once."""
    lines: list[Line] = []
    said = None
    for (name, inner), text in texts.items():
        lines.append((name if name != said else "", f"{inner}: {text}" if inner else text))
        said = name
    return lines


def _plain(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {_plain(entry)}" for name, entry in value.items())
    if isinstance(value, float):
        return f"{value:.6g}"
    return value if isinstance(value, str) else json.dumps(value)


def _print(title: str, lines: Sequence[Line]) -> None:
    say(title)
    width = max(10, *(len(name) for name, _ in lines))
    for name, value in lines:
        say(f"  {name:<{width}} {value}")
