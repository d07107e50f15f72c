"""The arithmetic that grows with samples and dimensions, in blocks, in MindSpore on the chosen device."""

import numpy as np

from ms_coreset.device import current_device

BLOCK_BYTES = 64 << 20


def _mindspore():
    # Imported when first needed: listing what methods there are must not cost MindSpore's start-up.
    import mindspore

    return mindspore


def float_type():
    """float64 where the device computes in it, float32 on Ascend."""
    mindspore = _mindspore()
    return mindspore.float32 if current_device() == "Ascend" else mindspore.float64


def class_median(block):
    """Per-dimension median (d,) of a class's rows (m, d), in their own precision.

    For an even m the mean of the two middle values, as NumPy's (torch's and MindSpore's own medians give the lower).
    """
    middle = [(len(block) - 1) // 2, len(block) // 2]
    if current_device() == "CPU":
        # A partition is ten times faster than MindSpore's sort here, and gives the same values.
        ranked = np.partition(block, middle, axis=0)
    else:
        mindspore = _mindspore()
        ranked = mindspore.ops.sort(mindspore.Tensor(block), axis=0)[0].asnumpy()
    return (ranked[middle[0]] + ranked[middle[1]]) / 2


def class_mean(block):
    """Per-dimension mean (d,) of a class's rows (m, d), in float64."""
    return np.mean(block, axis=0, dtype=np.float64)


def row_distances(rows, point):
    """Euclidean distances (m,) of rows (m, d) to a point (d,), in ``float_type``, as float64."""
    mindspore = _mindspore()
    dtype = float_type()
    target = mindspore.Tensor(point, dtype)
    step = max(1, BLOCK_BYTES // (8 * rows.shape[1]))
    parts = []
    for start in range(0, len(rows), step):
        difference = mindspore.Tensor(np.ascontiguousarray(rows[start:start + step])).astype(dtype) - target
        parts.append((difference * difference).sum(axis=1).sqrt().asnumpy().astype(np.float64))
    return np.concatenate(parts)


def product(left, right):
    """left (a, d) times right (b, d) transposed, (a, b), in ``float_type``, as float64."""
    mindspore = _mindspore()
    dtype = float_type()
    tensors = [mindspore.Tensor(np.ascontiguousarray(rows), dtype) for rows in (left, right)]
    return mindspore.ops.matmul(tensors[0], tensors[1].T).asnumpy().astype(np.float64)


def gradient_gram(left, right):
    """<G_i, G_j> of two sets of ``LastLayerGradients``: (a, b) float64, (P P^T) * (1 + E E^T)."""
    return product(left.errors, right.errors) * (1 + product(left.features, right.features))
