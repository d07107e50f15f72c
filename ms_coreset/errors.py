"""The error that every user's mistake raises, and the checks that many arguments share."""

from __future__ import annotations

import math
import numbers
import os
import sys
import warnings
from typing import TYPE_CHECKING, Any

from ms_coreset.kinds import Network
from ms_coreset.terminal import one_line

if TYPE_CHECKING:
    from ms_coreset.datasets.split import Split


class MsCoresetError(ValueError):
    """An argument, a name or a file of the user can't be used.

    The message is one line: what is wrong, with the value, and what to do next. The commands print it without a stack
    trace and exit with code 2.
    """

    def __init__(self, message: object = "") -> None:
        super().__init__(one_line(message))


class MsCoresetWarning(UserWarning):
    """An argument or a file can be used, but is probably not what the user meant. Commands print it as a note."""


def warn(message: str, category: type[Warning] = MsCoresetWarning) -> None:
    """Warn whoever called this package; the warning names the line of their call."""
    warnings.warn(message, category, stacklevel=_frames_to_caller())


def _frames_to_caller() -> int:
    """Number of frames from the caller of this function up to the first outside this package and ``contextlib``."""
    frame, level = sys._getframe(1), 1
    while frame.f_back and frame.f_globals.get("__name__", "").partition(".")[0] in ("ms_coreset", "contextlib"):
        frame, level = frame.f_back, level + 1
    return level


def require_kind(name: str, value: Any, *kinds: type) -> None:
    """Raise ``MsCoresetError`` unless the argument ``name`` is an instance of one of the classes ``kinds``."""
    if not isinstance(value, kinds):
        wanted = " or ".join(kind.__name__ for kind in kinds)
        raise MsCoresetError(f"{name} must be of type {wanted}, got {type(value).__name__}")


def require_path(name: str, value: Any) -> None:
    """Raise ``MsCoresetError`` unless ``value`` can be a file's name: a text or a ``Path``."""
    if not isinstance(value, str | os.PathLike):
        raise MsCoresetError(f"{name} must be the name of a file or folder, got {type(value).__name__}")


def require_network(network: object, *parts: str) -> None:
    """Raise ``MsCoresetError`` unless ``network`` is a callable with ``set_train`` and the attributes ``parts``."""
    missing = [part for part in ("set_train", *parts) if not hasattr(network, part)]
    if missing or isinstance(network, type) or not callable(network):
        raise MsCoresetError(f"network must be one of create_network's, or have as much of it, got "
                             f"{type(network).__name__} {'without ' + missing[0] if missing else ''}")


def require_same_classes(network: Network, split: Split, what: str) -> None:
    """Raise ``MsCoresetError`` unless ``network`` has as many classes as ``split``.

    ``what`` names, for the message, the answers that are compared with the labels.
    """
    classes = network.head.out_channels
    if classes != split.num_classes:
        raise MsCoresetError(f"the network tells {classes:,} classes apart, {split.name} has {split.num_classes:,}: "
                             f"its {what} can't be compared with the labels; its features serve: choose by a method "
                             "or score that needs features alone, such as moderate or k_center")


def require_number(option: str, value: Any, least: float | None = None, most: float | None = None,
                   allowed: str = "a finite number") -> None:
    """Raise ``MsCoresetError`` unless ``value`` is a finite number, not a bool, from ``least`` to ``most``.

    ``allowed`` describes the allowed values in the message.
    """
    fits = isinstance(value, numbers.Real) and not isinstance(value, bool) and math.isfinite(value)
    if not fits or (least is not None and value < least) or (most is not None and value > most):
        raise MsCoresetError(f"{option} {value}: must be {allowed}")


def require_whole(option: str, value: Any, least: int = 1, most: int | None = None) -> None:
    """Raise ``MsCoresetError`` unless ``value`` is a whole number, not a bool, from ``least`` to ``most``."""
    fits = isinstance(value, numbers.Integral) and not isinstance(value, bool)
    if not fits or value < least or (most is not None and value > most):
        allowed = f"{least} or more" if most is None else f"{least} to {most:,}"
        raise MsCoresetError(f"{option} {value}: must be a whole number, {allowed}")
