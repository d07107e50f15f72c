"""Training recipes: network, length, optimizer and augmentation, as YAML in ``configs/``."""

import dataclasses
import difflib
import math
import os
from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ms_coreset.errors import MsCoresetError, require_kind, require_number
from ms_coreset.yaml_files import read_yaml

SCHEDULES = ("multistep", "cosine", "linear", "constant")
PADDING_MODES = ("zeros", "reflect")
ALTERNATE = "alternate"


@dataclass(frozen=True)
class Recipe:
    """How a network is trained: SGD with a learning-rate schedule and augmentation.

    Attributes:
        arch: the network of ``create_network``.
        width: of the network, as in ``create_network``.
        epochs: passes over the data; either this or ``iterations`` is given.
        iterations: number of updates, rounded up to whole passes; with a sampler exact, the last pass is cut short.
        batch_size: samples of a batch; the last, smaller batch of a pass is kept.
        lr: learning rate of SGD as torch defines it; so are momentum, nesterov and weight_decay.
        momentum: of SGD.
        nesterov: whether it is Nesterov's momentum.
        weight_decay: on all parameters.
        schedule: "multistep" (lr x gamma at each of ``milestones``, in epochs), "cosine" or "linear" (to ``min_lr``,
            per update) or "constant".
        milestones: epochs at which the rate falls.
        gamma: factor at a milestone.
        min_lr: rate at the end.
        warmup: share of all updates in which the rate rises linearly to ``lr``; "cosine" and "linear" then fall over
            the rest.
        warmup_from: share of ``lr`` at which the warmup begins.
        clip_norm: largest norm of the whole gradient, or None.
        crop_padding: pixels of padding before a random crop to the image's size; 0: no crop.
        padding_mode: of that padding, "zeros" or "reflect".
        flip: horizontal mirroring: at random, or "alternate" (Jordan's airbench): it begins at random, and a sample
            that is mirrored in one epoch is not mirrored in the next.
        crop_scale: least share of the image's area in a random resized crop (``crops.crop_box``), which replaces
            padding; None: no such crop.
        crop_size: pixels that a resized crop is first resized to, before the data set's image size; None: not.
        test_resize: pixels of the shorter side of the images, before the central crop, when the network is tested;
            None: as the data set has them. It is not used when evidence is extracted.
        whiten: whether the first convolution whitens the images' patches and is then fixed (see ``whitening.whiten``).
        amp: whether training computes in mixed precision (float16 by ``step.lower``; by PyTorch bfloat16).
        validation: share of the training samples that is held out to choose the best epoch; 0: the last epoch is the
            best.
        eval_every: epochs between two tests.

    Raises:
        MsCoresetError: for values that make no sense, naming them.
    """

    arch: str = "resnet50"
    width: int | None = None
    epochs: int | None = None
    _: KW_ONLY
    iterations: int | None = None
    batch_size: int = 128
    lr: float = 0.1
    momentum: float = 0.9
    nesterov: bool = False
    weight_decay: float = 5e-4
    schedule: str = "constant"
    milestones: tuple = ()
    gamma: float = 0.1
    min_lr: float = 0.0
    warmup: float = 0.0
    warmup_from: float = 0.0
    clip_norm: float | None = None
    crop_padding: int = 0
    padding_mode: str = "zeros"
    flip: bool | str = False
    crop_scale: float | None = None
    crop_size: int | None = None
    test_resize: int | None = None
    whiten: bool = False
    amp: bool = False
    validation: float = 0.0
    eval_every: int = 1

    def __post_init__(self) -> None:
        require_kind("recipe: milestones", self.milestones, list, tuple)
        object.__setattr__(self, "milestones", tuple(self.milestones))
        for epoch in self.milestones:
            require_number("recipe: a milestone,", epoch, 0, allowed="an epoch, a number of at least 0")
        require_kind("recipe: arch", self.arch, str)
        if (self.epochs is None) == (self.iterations is None):
            raise MsCoresetError("a recipe states either epochs or iterations")
        for name in ("epochs", "iterations", "batch_size", "eval_every", "width", "crop_size", "test_resize"):
            self._require(name, int, lambda value: value >= 1, "a whole number of at least 1")
        for name in ("lr", "gamma", "clip_norm"):
            self._require(name, (int, float), lambda value: 0 < value < math.inf, "a number above 0")
        for name in ("momentum", "weight_decay", "min_lr"):
            self._require(name, (int, float), lambda value: 0 <= value < math.inf, "a number of at least 0")
        self._require("crop_scale", (int, float), lambda value: 0 < value <= 1, "a share above 0 and at most 1")
        for name in ("validation", "warmup"):
            self._require(name, (int, float), lambda value: 0 <= value < 1, "a share from 0 to below 1")
        self._require("warmup_from", (int, float), lambda value: 0 <= value <= 1, "a share from 0 to 1")
        self._require("crop_padding", int, lambda value: value >= 0, "a whole number of at least 0")
        self._require("schedule", str, SCHEDULES.__contains__, f"one of {', '.join(SCHEDULES)}")
        self._require("padding_mode", str, PADDING_MODES.__contains__, f"one of {', '.join(PADDING_MODES)}")
        for name in ("nesterov", "whiten", "amp"):
            self._require(name, bool, lambda value: True, "true or false")
        if self.flip != ALTERNATE:
            self._require("flip", bool, lambda value: True, f"true, false or {ALTERNATE}")
        if self.crop_scale is not None and self.crop_padding:
            raise MsCoresetError(f"recipe: crop_scale is {self.crop_scale} and crop_padding {self.crop_padding}: crop "
                                 "in one of the two ways")
        if self.crop_size is not None and self.crop_scale is None:
            raise MsCoresetError(f"recipe: crop_size is {self.crop_size}, but without crop_scale nothing is cropped")

    def _require(self, name: str, kind: type | tuple[type, ...], admits: Callable[[Any], bool], allowed: str) -> None:
        value = getattr(self, name)
        if value is None and type(self).__dataclass_fields__[name].default is None:
            return
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool) or not admits(value):
            raise MsCoresetError(f"recipe: {name} is {value!r}, must be {allowed}")

    def num_epochs(self, updates_per_epoch: int) -> int:
        """Number of passes over the data: ``epochs``, or enough for ``iterations`` updates.

        Args:
            updates_per_epoch: number of batches of a pass.

        Returns:
            The number of passes: ``epochs``, or ``ceil(iterations / updates_per_epoch)``.
        """
        if self.epochs is not None:
            return self.epochs
        assert self.iterations is not None  # one of the two is there
        return math.ceil(self.iterations / updates_per_epoch)

    def learning_rate(self, update: int, updates_per_epoch: int, total: int | None = None) -> float:
        """The learning rate of an update.

        With t = ``update`` of T in all, w = ``warmup`` T and s = ``warmup_from``: lr (s + (1 - s) t / w) for t < w.
        From then on, with x = (t - w) / (T - w): min_lr + (lr - min_lr) times (1 + cos(pi x)) / 2 (cosine) or 1 - x
        (linear).

        Args:
            update: t, counted from 0 over all epochs.
            updates_per_epoch: number of batches of an epoch.
            total: T; None: of ``num_epochs`` whole epochs.

        Returns:
            The learning rate.
        """
        total = total or self.num_epochs(updates_per_epoch) * updates_per_epoch
        rising = self.warmup * total
        if update < rising:
            return self.lr * (self.warmup_from + (1 - self.warmup_from) * update / rising)
        if self.schedule == "constant":
            return self.lr
        if self.schedule == "multistep":
            return self.lr * self.gamma ** sum(update / updates_per_epoch >= epoch for epoch in self.milestones)
        passed = (update - rising) / (total - rising)
        left = 1 - passed if self.schedule == "linear" else (1 + float(np.cos(np.pi * passed))) / 2
        return self.min_lr + (self.lr - self.min_lr) * left

    def override(self, **values: Any) -> "Recipe":
        """Return a copy with the given values that are not None.

        Another number of epochs moves the milestones in proportion. A way of cropping replaces the other one.

        Args:
            **values: fields of the recipe, by name.

        Returns:
            The new recipe.

        Raises:
            MsCoresetError: for values that make no sense, naming them.
        """
        values = {name: value for name, value in values.items() if value is not None}
        if "crop_scale" in values:
            values.setdefault("crop_padding", 0)
        elif values.get("crop_padding"):
            values |= {"crop_scale": None, "crop_size": None}
        if "epochs" in values and self.epochs and "milestones" not in values:
            values["milestones"] = tuple(round(epoch * values["epochs"] / self.epochs) for epoch in self.milestones)
        if "epochs" in values:
            values.setdefault("iterations", None)
        if values.get("iterations"):
            values.setdefault("epochs", None)
        return dataclasses.replace(self, **values)

    def as_dict(self) -> dict:
        """The recipe as plain values.

        Returns:
            A dict: name of the field -> value. ``amp`` is in it only if true, as in older files.
        """
        values = {**dataclasses.asdict(self), "milestones": list(self.milestones)}
        return values if self.amp else {name: value for name, value in values.items() if name != "amp"}


def config_folder() -> Path:
    """The folder of the YAML recipes: in the repository, or in the installed package."""
    package = Path(__file__).resolve().parents[1]
    installed = package / "configs"
    return installed if installed.is_dir() else package.parent / "configs"


def list_recipes() -> list[str]:
    """List the names of the recipes in ``configs/``.

    Returns:
        The names, sorted.
    """
    return sorted(path.stem for path in config_folder().glob("*.yaml"))


def load_recipe(name: str | os.PathLike, **overrides: Any) -> Recipe:
    """Read a recipe by its name in ``configs/``, or from a YAML file.

    Args:
        name: name of a recipe (see ``list_recipes``), or path of a YAML file.
        **overrides: fields that replace those of the file; see ``Recipe.override``.

    Returns:
        The recipe.

    Raises:
        MsCoresetError: for an unknown name, a file that is no YAML mapping, unknown fields, and values out of range.
    """
    path = Path(name) if str(name).endswith((".yaml", ".yml")) else config_folder() / f"{name}.yaml"
    if not os.path.isfile(path):
        raise MsCoresetError(f"unknown recipe {str(name)!r}: there are {', '.join(list_recipes())}, or give a YAML "
                             "file")
    values = read_yaml(path)
    if not isinstance(values, dict):
        raise MsCoresetError(f"{path} holds no recipe: expected lines of 'key: value'")
    known = [field.name for field in dataclasses.fields(Recipe)]
    for key in values:
        if key not in known:
            near = difflib.get_close_matches(str(key), known, n=1)
            raise MsCoresetError(f"{path}: unknown key {key!r}" + (f", did you mean {near[0]!r}?" if near else ""))
    unknown = [key for key in overrides if key not in known]
    if unknown:
        raise MsCoresetError(f"a recipe has no {unknown[0]!r}: its keys are {', '.join(known)}")
    return Recipe(**values).override(**overrides)
