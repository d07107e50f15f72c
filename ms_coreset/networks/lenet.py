"""LeNet-5 as DeepCore builds it, for images of any size."""

from typing import Any

from mindspore import Tensor, nn, ops

from ms_coreset.kinds import Shapes
from ms_coreset.networks.initialization import initialize
from ms_coreset.networks.layers import Classifier, conv2d, fill_up, linear, max_pool


class LeNet(Classifier):
    """Two 5x5 convolutions (6, 16 channels), each with ReLU and 2x2 max-pooling, then dense 120 - 84 - classes."""

    def __init__(self, num_classes: int, in_channels: int, image_size: int) -> None:
        super().__init__()
        padding = fill_up(image_size)
        side = ((image_size + 2 * padding - 4) // 2 - 4) // 2
        self.conv1 = conv2d(in_channels, 6, 5, padding=padding, bias=True)
        self.conv2 = conv2d(6, 16, 5, bias=True)
        self.pool = max_pool(2, 2)
        self.flatten = nn.Flatten()
        self.fc1 = linear(16 * side**2, 120)
        self.fc2 = linear(120, 84)
        self.fc3 = linear(84, num_classes)

    @property
    def head(self) -> nn.Cell:
        return self.fc3

    def features(self, x: Tensor) -> Tensor:
        # The two change places without changing a value or a gradient; so ReLU has a quarter of the work.
        x = ops.relu(self.pool(self.conv1(x)))
        x = ops.relu(self.pool(self.conv2(x)))
        x = ops.relu(self.fc1(self.flatten(x)))
        return ops.relu(self.fc2(x))


def lenet(num_classes: int, in_channels: int, image_size: int, seed: int = 0) -> nn.Cell:
    """DeepCore's LeNet; the embedding has 84 dimensions.

    Departure: DeepCore pads grey images instead of small ones, and takes 28, 32 and coloured 224 pixels only. Here
    images below 32 pixels are padded to 32, and the input of the first dense layer depends on the image size.

    Args:
        num_classes: number of logits.
        in_channels: channels of an image.
        image_size: side of the images in pixels.
        seed: of the first weights.

    Returns:
        The network.
    """
    return initialize(LeNet(num_classes, in_channels, image_size), seed)


def recognize(shapes: Shapes) -> dict[str, Any] | None:
    """``create_network``'s arguments for a LeNet with weights of these ``shapes``, or None for another network."""
    if not {"conv1.weight", "conv2.weight", "fc1.weight", "fc3.weight"} <= shapes.keys():
        return None
    return {"arch": "lenet", "in_channels": shapes["conv1.weight"][1], "num_classes": shapes["fc3.weight"][0]}
