"""SENet-18 (Hu et al. 2018): pre-activation blocks with squeeze-and-excitation."""

from functools import partial
from typing import Any

from mindspore import Tensor, nn

from ms_coreset.kinds import Shapes
from ms_coreset.networks.initialization import initialize
from ms_coreset.networks.layers import choose_variant, conv2d, excite
from ms_coreset.networks.preact_resnet import PreActBlock
from ms_coreset.networks.resnet import ResNet, is_residual, recognize_residual, require_width

_REDUCTION = 16


class ExcitedBlock(PreActBlock):
    """A pre-activation block that scales each channel of its branch by a gate in (0, 1)."""

    def __init__(self, in_channels: int, channels: int, stride: int) -> None:
        super().__init__(in_channels, channels, stride)
        squeezed = max(1, channels // _REDUCTION)
        self.fc1 = conv2d(channels, squeezed, 1, bias=True)
        self.fc2 = conv2d(squeezed, channels, 1, bias=True)

    def branch(self, y: Tensor) -> Tensor:
        return excite(super().branch(y), self.fc1, self.fc2)


def senet(block: type[nn.Cell], depths: tuple[int, ...], num_classes: int, in_channels: int, image_size: int,
          width: int = 64, variant: str | None = None, seed: int = 0) -> nn.Cell:
    """A ResNet of ``width`` channels in its first stage whose blocks squeeze and excite, for images of any size.

    The embedding has 8 x width dimensions; a gate has a sixteenth of its channels inside. Weights start as torch's do.
    Departure: the Moderate repository takes 32 pixels only; here the last map, of any size, is averaged.

    Args:
        block: class of the blocks.
        depths: blocks of each stage.
        num_classes: number of logits.
        in_channels: channels of an image.
        image_size: side of the images in pixels.
        width: channels of the first stage, 1 or more.
        variant: "cifar", the Moderate repository's (3x3 convolution, stride 1), or "imagenet", the same with ResNet's
            stem for large images (7x7, stride 2, then 3x3 max-pooling); by default "imagenet" from 65 pixels on.
        seed: of the first weights.

    Returns:
        The network.

    Raises:
        MsCoresetError: for another variant or a width below 1.
    """
    require_width(width)
    variant = choose_variant(variant, image_size)
    return initialize(ResNet(block, depths, num_classes, in_channels, width, variant), seed)


_BLOCKS = {"senet18": (ExcitedBlock, (2, 2, 2, 2))}
senet18 = partial(senet, *_BLOCKS["senet18"])


def recognize(shapes: Shapes) -> dict[str, Any] | None:
    """``create_network``'s arguments for a SENet with weights of these ``shapes``, or None for another network."""
    if not {"bn1.gamma", "layer1.0.fc1.weight"} <= shapes.keys() or not is_residual(shapes):
        return None
    return recognize_residual(shapes, ExcitedBlock, _BLOCKS)
