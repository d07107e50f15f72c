"""The two-layer perceptron of DeepCore."""

from mindspore import nn, ops

from ms_coreset.networks.blocks import Classifier, initialise, linear


class MLP(Classifier):
    """Dense ``width`` - ReLU - dense ``width`` - ReLU - dense classes, on flattened images of any size."""

    def __init__(self, num_classes, in_channels, image_size, width=128):
        super().__init__()
        self.flatten = nn.Flatten()
        self.fc1 = linear(in_channels * image_size**2, width)
        self.fc2 = linear(width, width)
        self.fc3 = linear(width, num_classes)

    @property
    def head(self):
        return self.fc3

    def features(self, x):
        x = ops.relu(self.fc1(self.flatten(x)))
        return ops.relu(self.fc2(x))


def mlp(num_classes, in_channels, image_size, width=None, seed=0):
    """DeepCore's MLP; the embedding has ``width`` (default 128) dimensions. Any image size."""
    return initialise(MLP(num_classes, in_channels, image_size, width or 128), seed)
