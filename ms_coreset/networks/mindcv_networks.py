"""Networks of mindcv, as they are, with what selection needs beside: features, and a seed for all draws."""

from __future__ import annotations

import numpy as np
from mindspore import Tensor, nn, ops

from ms_coreset.errors import MsCoresetError
from ms_coreset.networks.layers import Classifier, Dropout

_FOR_ONE_SIZE = ("swinv2",)  # families that are built for one size of images, and whose builders can be told it


def names(library: str) -> list[str]:
    """The networks of mindcv by name."""
    from mindcv.models.registry import list_models

    return list_models()


def build(library: str, model: str, num_classes: int, in_channels: int, image_size: int, *,
          seed: int = 0) -> MindcvNetwork:
    """A network of mindcv with first weights by its own distributions, drawn for ``seed``.

    Args:
        library: "mindcv".
        model: one of its ``names``.
        num_classes: number of logits.
        in_channels: channels of an image.
        image_size: side of the images in pixels.
        seed: of the first weights.

    Returns:
        The network.

    Raises:
        MsCoresetError: for a network that can't have images of this size, and for one whose logits are not what a dense
            layer makes of one vector for each image.
    """
    from mindcv.models import create_model

    name = f"{library}:{model}"
    size = {"image_size": image_size} if model.startswith(_FOR_ONE_SIZE) else {}
    former = np.random.get_state()  # of NumPy's own generator, from which MindSpore's initializers draw
    np.random.seed(seed)
    try:
        cell = create_model(model, num_classes=num_classes, in_channels=in_channels, **size)
        head = _last_dense(cell, ops.zeros((1, in_channels, image_size, image_size)))
    except (AssertionError, IndexError, RuntimeError, TypeError, ValueError) as error:
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        raise MsCoresetError(f"network {name} can't have images of {image_size} x {image_size} pixels and "
                             f"{in_channels} channels: {reason}") from error
    finally:
        np.random.set_state(former)
    if head is None:
        raise MsCoresetError(f"network {name} does not end with a dense layer of one vector for each image, whose "
                             "input would be its features")
    return MindcvNetwork(cell, head)


def _last_dense(cell: nn.Cell, images: Tensor) -> str | None:
    """Name of the dense layer whose output (B, C), of an input (B, d), is what the network returns."""
    passed: list[tuple[str, Tensor, Tensor]] = []
    dense = {name: layer for name, layer in cell.cells_and_names() if isinstance(layer, nn.Dense)}
    handles = [layer.register_forward_hook(lambda _, inputs, output, name=name: passed.append(
        (name, inputs[0], output))) for name, layer in dense.items()]
    logits = cell.set_train(False)(images)
    for handle in handles:
        handle.remove()
    if not passed or not isinstance(logits, Tensor):
        return None
    name, features, output = passed[-1]
    return name if features.ndim == 2 and np.array_equal(output.asnumpy(), logits.asnumpy()) else None


class MindcvNetwork(Classifier):
    """A cell of mindcv whose last dense layer stands beside it; weights keep mindcv's names.

    Dropout, which stochastic depth is made of, too, is ours: it can be repeated, and be part of a graph.

    Args:
        cell: of mindcv.
        head_name: mindcv's name of the last dense layer.
    """

    def __init__(self, cell: nn.Cell, head_name: str) -> None:
        super().__init__()
        layers = dict(cell.cells_and_names())
        for name, layer in layers.items():
            if isinstance(layer, nn.Dropout):
                _put(layers, name, Dropout(layer.p))
        _put(layers, head_name, nn.Identity())
        self.head_name = head_name
        # Not as attributes, which would put their names before those of the weights.
        self._cells |= {"body": cell, "last": layers[head_name]}

    @property
    def body(self) -> nn.Cell:
        """The cell of mindcv, without its last layer."""
        return self._cells["body"]

    @property
    def head(self) -> nn.Cell:
        return self._cells["last"]

    def features(self, x: Tensor) -> Tensor:
        return self.body(x)


def _put(layers: dict[str, nn.Cell], name: str, layer: nn.Cell) -> None:
    """Put another layer in the place of the one called ``name``."""
    parent, _, place = name.rpartition(".")
    holder = layers[parent]
    if isinstance(holder, nn.SequentialCell | nn.CellList):
        holder[int(place)] = layer
    else:
        setattr(holder, place, layer)
