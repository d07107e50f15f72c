"""Dictionaries of arrays and tensors, pickled by programs on torch to keep scores, read without torch.

They are written by Python's own pickle. Such a pickle holds each tensor's numbers within it, as the bytes of a file in
torch.save's older format. Nothing in it is run, see ``ms_coreset.pickles``.
"""

from typing import Any

import numpy as np

from ms_coreset.errors import MsCoresetError
from ms_coreset.files import open_file, read_whole, reading
from ms_coreset.kinds import FilePath
from ms_coreset.networks.torch_files import _ADMITTED, _MAGIC, _arrays, _former, _Storage, _Tensor, read_state
from ms_coreset.pickles import Content, Refused, Unpickler


def read_arrays(path: FilePath) -> dict[str, np.ndarray]:
    """The arrays and tensors by name of a pickled dictionary, or of a file of torch.save; {"": array} for a single one.

    Other contents of the dictionary are passed over.

    Args:
        path: the file.

    Returns:
        Name -> array.

    Raises:
        MsCoresetError: naming the file when it is missing or damaged, names anything that is not admitted, or holds no
            array.
    """
    with reading(path, "whole, harmless pickle"), open_file(path) as stream:
        archived = stream.peek(4).startswith(b"PK\3\4")
        found = None if archived else _unpickle(read_whole(stream))
    found = read_state(path) if found is None else found
    if not found:
        raise MsCoresetError(f"{path} holds no array, and no dictionary of arrays")
    return found


def _unpickle(content: bytes) -> dict[str, np.ndarray] | None:
    """The arrays of a pickle; None for a file in torch.save's older format, which begins with a pickled number."""
    storages: dict[str, np.ndarray] = {}

    def storage_of(raw: Any) -> _Storage:
        """The storage that the bytes of a file in the older format hold, under a key of its own."""
        if not isinstance(raw, bytes):
            raise Refused("it holds a storage that is no bytes")
        storage, numbers = _former(Content(raw))
        if not isinstance(storage, _Storage):
            raise Refused("it holds a file of torch's within it that is no storage")
        storages[f"{len(storages)}"] = numbers[storage.key]
        return _Storage(f"{len(storages) - 1}", storage.kind, storage.length)

    admitted = {**_ADMITTED, ("torch.storage", "_load_from_bytes"): storage_of}
    found = Unpickler(Content(content), admitted).load()
    if isinstance(found, int) and found == _MAGIC:
        return None
    named = found if isinstance(found, dict) else {"": found}
    return _arrays({str(name): value for name, value in named.items() if isinstance(value, np.ndarray | _Tensor)},
                   storages)
