"""The two-layer perceptron of DeepCore."""

from typing import Any

from mindspore import Tensor, nn, ops

from ms_coreset.kinds import Shapes
from ms_coreset.networks.initialization import initialize
from ms_coreset.networks.layers import Classifier, linear


class MLP(Classifier):
    """Dense ``width`` - ReLU - dense ``width`` - ReLU - dense classes, on flattened images of any size."""

    def __init__(self, num_classes: int, in_channels: int, image_size: int, width: int = 128) -> None:
        super().__init__()
        self.flatten = nn.Flatten()
        self.fc1 = linear(in_channels * image_size**2, width)
        self.fc2 = linear(width, width)
        self.fc3 = linear(width, num_classes)

    @property
    def head(self) -> nn.Cell:
        return self.fc3

    def features(self, x: Tensor) -> Tensor:
        x = ops.relu(self.fc1(self.flatten(x)))
        return ops.relu(self.fc2(x))


def mlp(num_classes: int, in_channels: int, image_size: int, width: int = 128, seed: int = 0) -> nn.Cell:
    """DeepCore's MLP for images of any size; the embedding has ``width`` dimensions.

    Args:
        num_classes: number of logits.
        in_channels: channels of an image.
        image_size: side of the images in pixels.
        width: of both hidden layers.
        seed: of the first weights.

    Returns:
        The network.
    """
    return initialize(MLP(num_classes, in_channels, image_size, width), seed)


def recognize(shapes: Shapes) -> dict[str, Any] | None:
    """``create_network``'s arguments for an MLP with weights of these ``shapes``, or None for another network."""
    if not {"fc1.weight", "fc2.weight", "fc3.weight"} <= shapes.keys() or "conv1.weight" in shapes:
        return None
    return {"arch": "mlp", "width": shapes["fc1.weight"][0], "num_classes": shapes["fc3.weight"][0]}
