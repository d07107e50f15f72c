"""``convert-tiny``: sorts the published Tiny ImageNet's val, which is one folder, into a folder for each class."""

import argparse
import os
import shutil
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from ms_coreset.cli.common.common_options import add, new_parser
from ms_coreset.datasets.tiny_imagenet import ANNOTATIONS, FOLDER, read_annotations
from ms_coreset.errors import MsCoresetError
from ms_coreset.files import atomic_write, open_file
from ms_coreset.terminal import say

_EXAMPLES = """examples:
  convert_tiny --data data
  convert_tiny --data data --copy
"""
_PUBLISHED = (10_000, 50)  # files, of them in each class


def parser(typed: str) -> argparse.ArgumentParser:
    """The command's options."""
    options = new_parser(typed, f"Sort {FOLDER}/val/images into {FOLDER}/val/<class>, by {ANNOTATIONS}, for programs "
                         "that read\na folder a class (this one reads both). test/ and the annotations stay; stopped "
                         "half-way, it goes on\nwhen it is called again.", _EXAMPLES)
    add(options, "--data", default="data", metavar="DIR", help=f"folder that holds {FOLDER} (default: data)")
    add(options, "--copy", action="store_true", help="leave val/images as it is")
    return options


def run(arguments: argparse.Namespace) -> None:
    """Run the command."""
    folder = Path(arguments.data).expanduser() / FOLDER / "val"
    pairs = read_annotations(folder / ANNOTATIONS)
    missing = [name for name, wnid in pairs if not _sort(folder, name, wnid, arguments.copy)]
    if missing:
        raise MsCoresetError(f"{folder / 'images' / missing[0]} is missing, and {len(missing) - 1} others that "
                             f"{ANNOTATIONS} names: get the set anew; what is there was sorted")
    images = folder / "images"
    if images.is_dir() and not any(images.iterdir()):
        images.rmdir()
    _report(folder, Counter(wnid for _, wnid in pairs), len(set(pairs)))


def _sort(folder: Path, name: str, wnid: str, copy: bool) -> bool:
    """Move or copy one file to its class's folder, unless it is there already; False if it is not found."""
    source, target = folder / "images" / name, folder / wnid / name
    sorted_before = target.is_file() or (folder / wnid / "images" / name).is_file()
    if not source.is_file() or (copy and sorted_before):
        return sorted_before
    if copy:
        with open_file(source) as original, atomic_write(target) as stream:
            shutil.copyfileobj(original, stream)
        return True
    try:
        target.parent.mkdir(exist_ok=True)
        os.replace(source, target)
    except OSError as error:
        raise MsCoresetError(f"can't write {target}: {error.strerror}") from error
    return True


def _report(folder: Path, sizes: Mapping[str, int], files: int) -> None:
    smallest, largest = min(sizes.values()), max(sizes.values())
    say(f"{folder}: {files:,} files in {len(sizes)} classes, {smallest} to {largest} in each")
    if (files, smallest) != _PUBLISHED:
        say(f"  the published set has {_PUBLISHED[0]:,}, {_PUBLISHED[1]} in each: this is a part of it")
