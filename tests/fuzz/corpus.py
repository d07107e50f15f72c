"""Files that once failed: the reader, the file's place, its content, and what became of it then.

They are in ``corpus.jsonl``, a JSON object a line, made by the campaign from files of our own.
"""

import base64
import functools
import json
from pathlib import Path

_FILE = Path(__file__).with_suffix(".jsonl")


@functools.cache
def entries():
    """{name: entry}."""
    return {entry["name"]: entry for entry in map(json.loads, _FILE.read_text(encoding="utf-8").splitlines())}


def entry(name):
    """What ``FileCases.replay`` takes."""
    found = entries()[name]
    return {"file": found["file"], "content": base64.b64decode(found["content"]), "sealed": found["sealed"]}
