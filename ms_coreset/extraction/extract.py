"""One pass of a trained network over a split: embeddings and logits of every sample."""

from pathlib import Path

from ms_coreset.errors import MsCoresetError
from ms_coreset.evidence import Evidence
from ms_coreset.extraction.cache import ExtractionStore, evidence_key
from ms_coreset.progress import Progress
from ms_coreset.training.pipeline import evaluation_batches

FIELDS = ("features", "logits")


def extract(network, split, need=FIELDS, batch_size=256, cache=None):
    """What ``network`` says of every sample of ``split``: evaluation mode, dataset order, no augmentation.

    need: any of "features" (n, d), the input of the last dense layer, and "logits" (n, C); float32
    batch_size: images at a time; it does not change the result
    cache: folder of the cache, or None for arrays in memory. An entry is keyed by the weights' checksum, the images'
        checksum and the normalisation; one that does not match is made anew, one that was interrupted is continued

    Returns ``Evidence`` with the split's labels. Raises ``MsCoresetError`` for an unknown field and for images that
    the network was not built for.
    """
    unknown = set(need) - set(FIELDS)
    if unknown:
        raise MsCoresetError(f"can't extract {', '.join(sorted(unknown))}: there are {', '.join(FIELDS)}")
    _require_fitting(network, split)
    shapes = {"features": (len(split), network.num_features), "logits": (len(split), network.head.out_channels)}
    folder = None if cache is None else Path(cache) / evidence_key(network, split)
    store = ExtractionStore({name: shapes[name] for name in FIELDS if name in need}, folder)
    if store.done < len(split):
        _fill(store, network, split, batch_size)
    return Evidence(labels=split.labels, **store.arrays)


def _fill(store, network, split, batch_size):
    from mindspore import Tensor

    network.set_train(False)
    with Progress(len(split), "extract", start=store.done) as progress:
        for batch in evaluation_batches(split, batch_size, start=store.done):
            features = network.features(Tensor(batch.images))
            store.write(batch.rows, features=lambda f=features: f.asnumpy(),
                        logits=lambda f=features: network.head(f).asnumpy())
            progress.update(len(batch.rows))
    store.finish()


def _require_fitting(network, split):
    description = getattr(network, "description", None) or {}
    channels = description.get("in_channels", split.in_channels)
    if channels != split.in_channels:
        raise MsCoresetError(f"the network takes images of {channels} channels, {split.name} has {split.in_channels}")
