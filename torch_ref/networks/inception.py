"""Inception V3 (Szegedy et al. 2016): DeepCore's, under torchvision's names, and torchvision's."""

import torch
from torch import nn
from torch.nn import functional as F

from torch_ref.networks.initialization import TORCH, Built, normal, uniform_fan_in
from torch_ref.networks.layers import Dropout, border, variant_for


class BasicConv2d(nn.Module):
    """Convolution, BatchNorm, ReLU."""

    def __init__(self, in_channels: int, out_channels: int, kernel: int | tuple[int, int], stride: int = 1,
                 padding: int | tuple[int, int] = 0, eps: float = 1e-3) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, kernel, stride, padding, bias=False)
        self.bn = nn.BatchNorm2d(out_channels, eps)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.relu(self.bn(self.conv(x)))


def _mean3(x: torch.Tensor) -> torch.Tensor:
    return F.avg_pool2d(x, 3, stride=1, padding=1)


class InceptionA(nn.Module):
    """Figure 5 of the paper."""

    def __init__(self, in_channels: int, pool_features: int, small: bool, eps: float) -> None:
        super().__init__()
        self.branch1x1 = BasicConv2d(in_channels, 64, 1, eps=eps)
        self.branch5x5_1 = BasicConv2d(in_channels, 48, 1, eps=eps)
        self.branch5x5_2 = BasicConv2d(48, 64, 5, padding=2, eps=eps)
        self.branch3x3dbl_1 = BasicConv2d(in_channels, 64, 1, eps=eps)
        self.branch3x3dbl_2 = BasicConv2d(64, 96, 3, padding=1, eps=eps)
        self.branch3x3dbl_3 = BasicConv2d(96, 96, 3, padding=1, eps=eps)
        self.branch_pool = BasicConv2d(in_channels, pool_features, 3 if small else 1, 1, int(small), eps)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        five = self.branch5x5_2(self.branch5x5_1(x))
        double = self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(x)))
        return torch.cat([self.branch1x1(x), five, double, self.branch_pool(_mean3(x))], dim=1)


class InceptionB(nn.Module):
    """Figure 10 of the paper, at the first reduction."""

    def __init__(self, in_channels: int, eps: float) -> None:
        super().__init__()
        self.branch3x3 = BasicConv2d(in_channels, 384, 3, 2, eps=eps)
        self.branch3x3dbl_1 = BasicConv2d(in_channels, 64, 1, eps=eps)
        self.branch3x3dbl_2 = BasicConv2d(64, 96, 3, padding=1, eps=eps)
        self.branch3x3dbl_3 = BasicConv2d(96, 96, 3, 2, eps=eps)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        double = self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(x)))
        return torch.cat([self.branch3x3(x), double, F.max_pool2d(x, 3, stride=2)], dim=1)


def _conv_1x7(in_channels: int, out_channels: int, eps: float) -> BasicConv2d:
    return BasicConv2d(in_channels, out_channels, (1, 7), padding=(0, 3), eps=eps)


def _conv_7x1(in_channels: int, out_channels: int, eps: float) -> BasicConv2d:
    return BasicConv2d(in_channels, out_channels, (7, 1), padding=(3, 0), eps=eps)


class InceptionC(nn.Module):
    """Figure 6 of the paper with n = 7; in DeepCore's the two convolutions of the shorter branch change places."""

    def __init__(self, in_channels: int, inner: nn.Module, small: bool, eps: float) -> None:
        super().__init__()
        first, second = (_conv_7x1, _conv_1x7) if small else (_conv_1x7, _conv_7x1)
        self.branch1x1 = BasicConv2d(in_channels, 192, 1, eps=eps)
        self.branch7x7_1 = BasicConv2d(in_channels, inner, 1, eps=eps)
        self.branch7x7_2 = first(inner, inner, eps)
        self.branch7x7_3 = second(inner, 192, eps)
        self.branch7x7dbl_1 = BasicConv2d(in_channels, inner, 1, eps=eps)
        self.branch7x7dbl_2 = _conv_7x1(inner, inner, eps)
        self.branch7x7dbl_3 = _conv_1x7(inner, inner, eps)
        self.branch7x7dbl_4 = _conv_7x1(inner, inner, eps)
        self.branch7x7dbl_5 = _conv_1x7(inner, 192, eps)
        self.branch_pool = BasicConv2d(in_channels, 192, 1, eps=eps)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        seven = self.branch7x7_3(self.branch7x7_2(self.branch7x7_1(x)))
        double = self.branch7x7dbl_3(self.branch7x7dbl_2(self.branch7x7dbl_1(x)))
        double = self.branch7x7dbl_5(self.branch7x7dbl_4(double))
        return torch.cat([self.branch1x1(x), seven, double, self.branch_pool(_mean3(x))], dim=1)


class InceptionD(nn.Module):
    """The second reduction; in DeepCore's with an average in place of the maximum."""

    def __init__(self, in_channels: int, small: bool, eps: float) -> None:
        super().__init__()
        self.pool = F.avg_pool2d if small else F.max_pool2d
        self.branch3x3_1 = BasicConv2d(in_channels, 192, 1, eps=eps)
        self.branch3x3_2 = BasicConv2d(192, 320, 3, 2, eps=eps)
        self.branch7x7x3_1 = BasicConv2d(in_channels, 192, 1, eps=eps)
        self.branch7x7x3_2 = _conv_1x7(192, 192, eps)
        self.branch7x7x3_3 = _conv_7x1(192, 192, eps)
        self.branch7x7x3_4 = BasicConv2d(192, 192, 3, 2, eps=eps)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        three = self.branch3x3_2(self.branch3x3_1(x))
        seven = self.branch7x7x3_4(self.branch7x7x3_3(self.branch7x7x3_2(self.branch7x7x3_1(x))))
        return torch.cat([three, seven, self.pool(x, 3, stride=2)], dim=1)


class InceptionE(nn.Module):
    """Figure 7 of the paper."""

    def __init__(self, in_channels: int, eps: float) -> None:
        super().__init__()
        self.branch1x1 = BasicConv2d(in_channels, 320, 1, eps=eps)
        self.branch3x3_1 = BasicConv2d(in_channels, 384, 1, eps=eps)
        self.branch3x3_2a = BasicConv2d(384, 384, (1, 3), padding=(0, 1), eps=eps)
        self.branch3x3_2b = BasicConv2d(384, 384, (3, 1), padding=(1, 0), eps=eps)
        self.branch3x3dbl_1 = BasicConv2d(in_channels, 448, 1, eps=eps)
        self.branch3x3dbl_2 = BasicConv2d(448, 384, 3, padding=1, eps=eps)
        self.branch3x3dbl_3a = BasicConv2d(384, 384, (1, 3), padding=(0, 1), eps=eps)
        self.branch3x3dbl_3b = BasicConv2d(384, 384, (3, 1), padding=(1, 0), eps=eps)
        self.branch_pool = BasicConv2d(in_channels, 192, 1, eps=eps)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        three = self.branch3x3_1(x)
        double = self.branch3x3dbl_2(self.branch3x3dbl_1(x))
        return torch.cat([self.branch1x1(x), self.branch3x3_2a(three), self.branch3x3_2b(three),
                          self.branch3x3dbl_3a(double), self.branch3x3dbl_3b(double), self.branch_pool(_mean3(x))],
                         dim=1)


class InceptionAux(nn.Module):
    """The auxiliary classifier's weights, which do nothing here."""

    def __init__(self, in_channels: int, num_classes: int) -> None:
        super().__init__()
        self.conv0 = BasicConv2d(in_channels, 128, 1)
        self.conv1 = BasicConv2d(128, 768, 5)
        self.fc = nn.Linear(768, num_classes)
        self.fc.scheme = (normal(0.001), uniform_fan_in)
        self.requires_grad_(False)


class Inception3(nn.Module):
    """Table 1 of the paper; in DeepCore's small one without the stem's strides and poolings."""

    def __init__(self, num_classes: int, in_channels: int, image_size: int, small: bool, dropout: float, aux: bool,
                 transform_input: bool) -> None:
        super().__init__()
        self.small, self.transform_input = small, transform_input
        eps = 1e-5 if small else 1e-3
        first, second = ((1, 1 + border(image_size)), 1) if small else ((2, border(image_size, 75)), 0)
        self.Conv2d_1a_3x3 = BasicConv2d(in_channels, 32, 3, *first, eps=eps)
        self.Conv2d_2a_3x3 = BasicConv2d(32, 32, 3, padding=second, eps=eps)
        self.Conv2d_2b_3x3 = BasicConv2d(32, 64, 3, padding=1, eps=eps)
        self.Conv2d_3b_1x1 = BasicConv2d(64, 80, 1, eps=eps)
        self.Conv2d_4a_3x3 = BasicConv2d(80, 192, 3, eps=eps)
        self.Mixed_5b = InceptionA(192, 32, small, eps)
        self.Mixed_5c = InceptionA(256, 64, small, eps)
        self.Mixed_5d = InceptionA(288, 64, small, eps)
        self.Mixed_6a = InceptionB(288, eps)
        self.Mixed_6b = InceptionC(768, 128, small, eps)
        self.Mixed_6c = InceptionC(768, 160, small, eps)
        self.Mixed_6d = InceptionC(768, 160, small, eps)
        self.Mixed_6e = InceptionC(768, 192, small, eps)
        if aux:
            self.AuxLogits = InceptionAux(768, num_classes)
        self.Mixed_7a = InceptionD(768, small, eps)
        self.Mixed_7b = InceptionE(1280, eps)
        self.Mixed_7c = InceptionE(2048, eps)
        self.dropout = Dropout(dropout)
        self.fc = nn.Linear(2048, num_classes)

    def features(self, x: torch.Tensor) -> torch.Tensor:
        """(B, channels, height, width) -> (B, 2048), the input of ``fc``."""
        x = recenter(x) if self.transform_input else x
        x = self.Conv2d_2b_3x3(self.Conv2d_2a_3x3(self.Conv2d_1a_3x3(x)))
        x = x if self.small else F.max_pool2d(x, 3, stride=2)
        x = self.Conv2d_4a_3x3(self.Conv2d_3b_1x1(x))
        x = x if self.small else F.max_pool2d(x, 3, stride=2)
        x = self.Mixed_5d(self.Mixed_5c(self.Mixed_5b(x)))
        x = self.Mixed_6e(self.Mixed_6d(self.Mixed_6c(self.Mixed_6b(self.Mixed_6a(x)))))
        x = self.Mixed_7c(self.Mixed_7b(self.Mixed_7a(x)))
        return self.dropout(x.mean(dim=(2, 3)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(self.features(x))


def recenter(x: torch.Tensor) -> torch.Tensor:
    """Pixels (p - mean) / std, of ImageNet, to (p - 0.5) / 0.5."""
    mean, std = torch.tensor([[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]])[:, None, :, None, None]
    return (x * std + mean - 0.5) / 0.5


def refuse_options(variant: str, in_channels: int, aux: bool, transform_input: bool) -> None:
    """Raise ``ValueError`` for an option that only torchvision's network has, or that needs three channels."""
    if variant == "cifar" and (aux or transform_input):
        raise ValueError("aux and transform_input are of the imagenet variant alone")
    if transform_input and in_channels != 3:
        raise ValueError(f"transform_input needs 3 channels, not {in_channels}")


def inception_v3(num_classes: int, in_channels: int, image_size: int, variant: str | None = None, dropout: float = 0.5,
                 aux: bool = False, transform_input: bool = False) -> Built:
    """An Inception V3, above 64 pixels torchvision's.

    torchvision cuts the normal distributions of first weights off at +-2, which is 20 deviations and more.

    Args:
        num_classes: number of logits.
        in_channels: channels of the images.
        image_size: height and width of the images, in pixels.
        variant: "cifar" for small images or "imagenet"; None: chosen by ``image_size``.
        dropout: chance of dropout before the last layer, in [0, 1).
        aux: whether there are the auxiliary classifier's weights, which do nothing here.
        transform_input: whether pixels (p - mean) / std, of ImageNet, become (p - 0.5) / 0.5 first.

    Returns:
        (network, initial distributions of its layers).
    """
    variant = variant_for(image_size, variant)
    refuse_options(variant, in_channels, aux, transform_input)
    small = variant == "cifar"
    scheme = TORCH if small else (normal(0.1), uniform_fan_in)
    return (Inception3(num_classes, in_channels, image_size, small, dropout, aux, transform_input),
            {"convolution": scheme, "linear": scheme})
