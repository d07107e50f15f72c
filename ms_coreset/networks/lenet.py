"""LeNet-5 as DeepCore builds it, and a version for 8x8 images."""

from mindspore import nn, ops

from ms_coreset.errors import MsCoresetError
from ms_coreset.networks.blocks import Classifier, conv2d, initialise, linear

# Image size: (kernel, padding of the first convolution, padding of the second, side of the last feature map).
_GEOMETRY = {8: (3, 1, 1, 2), 28: (5, 2, 0, 5), 32: (5, 0, 0, 5)}


class LeNet(Classifier):
    """Two convolutions (6 and 16 channels), each with ReLU and 2x2 max-pooling, then dense 120 - 84 - classes."""

    def __init__(self, num_classes, in_channels, image_size):
        super().__init__()
        kernel, first, second, side = _GEOMETRY[image_size]
        self.conv1 = conv2d(in_channels, 6, kernel, padding=first, bias=True)
        self.conv2 = conv2d(6, 16, kernel, padding=second, bias=True)
        self.pool = nn.MaxPool2d(2, 2)
        self.flatten = nn.Flatten()
        self.fc1 = linear(16 * side**2, 120)
        self.fc2 = linear(120, 84)
        self.fc3 = linear(84, num_classes)

    @property
    def head(self):
        return self.fc3

    def features(self, x):
        x = self.pool(ops.relu(self.conv1(x)))
        x = self.pool(ops.relu(self.conv2(x)))
        x = ops.relu(self.fc1(self.flatten(x)))
        return ops.relu(self.fc2(x))


def lenet(num_classes, in_channels, image_size, width=None, seed=0):
    """DeepCore's LeNet, embedding of 84 dimensions, for images of 28 or 32 pixels.

    Departure: 8-pixel images get 3x3 kernels with padding 1. Raises ``MsCoresetError`` for other sizes, and for a
    ``width``, which LeNet does not have.
    """
    if image_size not in _GEOMETRY:
        raise MsCoresetError(f"lenet takes images of {', '.join(map(str, _GEOMETRY))} pixels, not {image_size}")
    if width is not None:
        raise MsCoresetError(f"lenet has no width option (got {width})")
    return initialise(LeNet(num_classes, in_channels, image_size), seed)
