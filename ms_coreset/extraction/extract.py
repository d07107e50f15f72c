"""One pass of a trained network over a split: embeddings and logits of every sample."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from ms_coreset.batches import evaluation_batches, evaluation_size
from ms_coreset.datasets.split import Split
from ms_coreset.device import fill_up
from ms_coreset.distributed import current, first_before_others
from ms_coreset.engines import engine_of
from ms_coreset.errors import (
    MsCoresetError,
    require_kind,
    require_network,
    require_path,
    require_same_classes,
    require_whole,
)
from ms_coreset.evidence import EXTRACTED, Evidence
from ms_coreset.extraction.cache import ExtractionStore, evidence_key
from ms_coreset.kinds import Network
from ms_coreset.locks import try_lock
from ms_coreset.progress import Progress

if TYPE_CHECKING:
    from ms_coreset.distributed import Alone
    from ms_coreset.training.pipeline import Batch

ROUND = 64  # batches of a rank between two notes of how far all are


def extract(network: Network, split: Split, need: Iterable[str] = EXTRACTED, *, batch_size: int = 256,
            cache: str | os.PathLike | None = None) -> Evidence:
    """Extract features and logits of every sample of ``split`` from a trained network, in one pass.

    The network is in evaluation mode, samples are in the order of the split, and images are not augmented. Several
    ranks (``distributed``) share the samples; the cache must be a folder that all of them see.

    Args:
        network: a trained network.
        split: n samples.
        need: any of "features" (n, d), the input of the last dense layer, and "logits" (n, C); float32.
        batch_size: images at a time; it changes the result only by rounding, about 1e-6 of the largest value.
        cache: folder of the cache, or None to keep the arrays in memory. The key of an entry is a checksum of the
            weights, the architecture, the images and the normalisation. An entry that does not match is made anew; an
            interrupted one is continued.

    Returns:
        ``Evidence`` with the split's labels and the fields ``need``.

    Raises:
        MsCoresetError: for an unknown field, for images that the network was not built for, and, if logits are needed,
            for a network with another number of classes than the split.
    """
    engine_of(network)  # raises if the framework is not installed
    require_network(network, "features", "head", "num_features")
    require_kind("split", split, Split)
    require_whole("batch_size", batch_size)
    if cache is not None:
        require_path("cache", cache)
    require_kind("need", need, list, tuple, set, dict)
    unknown = set(map(str, need)) - set(EXTRACTED)
    if unknown or not need:
        raise MsCoresetError(f"can't extract {', '.join(sorted(unknown))}: there are {', '.join(EXTRACTED)}")
    _require_fitting(network, split)
    if "logits" in need:
        require_same_classes(network, split, "logits")
    shapes = {"features": (len(split), network.num_features), "logits": (len(split), network.head.out_channels)}
    folder = None if cache is None else Path(cache) / evidence_key(network, split)
    ranks = current()
    with contextlib.ExitStack() as held:
        if folder is not None and ranks.first:
            held.enter_context(try_lock(folder / ".lock"))  # two runs would fill, and renew, the same files
        with first_before_others():
            store = ExtractionStore({name: shapes[name] for name in EXTRACTED if name in need}, folder, ranks)
            if ranks.size > 1 and ranks.first:
                store.finish()  # so that the other ranks find the files
        if store.done < len(split):
            _fill(store, network, split, batch_size, ranks)
    return Evidence(split.known_labels, **store.arrays)


def _fill(store: ExtractionStore, network: Network, split: Split, batch_size: int, ranks: Alone) -> None:
    """Fill the missing rows: one rank in one go, several in rounds, each of which ends with a note of the rows done."""
    together = evaluation_size(split, batch_size)
    step = len(split) if ranks.size == 1 or not store.on_disk else ROUND * together * ranks.size
    with Progress(len(split), "extract", start=store.done) as progress:
        for begin in range(store.done, len(split), step):
            end = min(begin + step, len(split))
            # Whole batches: any number of ranks then computes the same batches, with the same arithmetic.
            own = ranks.part(end - begin, together)
            own = slice(begin + own.start, begin + own.stop)
            batches = evaluation_batches(split, batch_size, own.start, own.stop, engine_of(network).ahead)
            _ask(store, network, batches, together, progress)
            progress.update(end - begin - (own.stop - own.start))
            store.meet(own, end)


def _ask(store: ExtractionStore, network: Network, batches: Iterator[Batch], together: int, progress: Progress) -> None:
    """Fill ``store`` with the network's answers to the batches; ``together`` is the number of rows of a full batch."""
    network.set_train(False)
    engine = engine_of(network)
    with engine.asking():
        for batch in batches:
            n, features = len(batch.rows), network.features(engine.tensor(fill_up(batch.images, together)))
            store.write(batch.rows, features=lambda n=n, f=features: engine.array(f)[:n],
                        logits=lambda n=n, f=features: engine.array(network.head(f))[:n])
            progress.update(n)


def _require_fitting(network: object, split: Split) -> None:
    description = getattr(network, "description", None) or {}
    channels = description.get("in_channels", split.in_channels)
    if channels != split.in_channels:
        raise MsCoresetError(f"the network takes images of {channels} channels, {split.name} has {split.in_channels}")
