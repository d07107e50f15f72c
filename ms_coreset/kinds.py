"""Types that several packages use: what they require of a network, file names, and the user's log."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from mindspore import Parameter, Tensor, nn

FilePath = str | os.PathLike[str]
Shapes = Mapping[str, tuple[int, ...]]  # of a network's parameters, by MindSpore's names
Log = Callable[[str], object]  # called with each line for the user


class Trainable(Protocol):
    """What training requires of a network: a part of the interface of MindSpore's Cell."""

    def __call__(self, x: Tensor, /) -> Tensor:
        """Logits (B, C) of normalised images (B, channels, height, width) float32."""

    def set_train(self, mode: bool = True) -> object:
        """Training mode, or evaluation mode."""

    def get_parameters(self) -> Iterator[Parameter]:
        """Weights and running statistics, in their order."""

    def trainable_params(self) -> Iterable[Parameter]:
        """The weights that training changes."""

    def cells_and_names(self) -> Iterable[tuple[str, nn.Cell]]:
        """All layers with their names."""


class Network(Trainable, Protocol):
    """What extraction requires of a network as well: a ``networks.layers.Classifier``, or one of the user's."""

    variant: str | None

    @property
    def head(self) -> Any:
        """The last dense layer."""

    @property
    def num_features(self) -> int:
        """Width of the embedding."""

    def features(self, x: Tensor, /) -> Tensor:
        """The exact input of the last dense layer, (B, d)."""
