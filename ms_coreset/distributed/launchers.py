"""What started this process as one of several: MindSpore's msrun, or PyTorch's torchrun."""

from __future__ import annotations

import os
from typing import NamedTuple


class Launcher(NamedTuple):
    """A launcher, and the framework whose collectives connect the processes that it starts.

    Attributes:
        command: its name.
        framework: the framework, as ``--framework`` and the extras of the package call it.
        title: the framework's own spelling of its name.
        variables: of the environment, that tell a process its rank; the first that is set counts.
    """

    command: str
    framework: str
    title: str
    variables: tuple[str, ...]

    @property
    def is_of_first(self) -> bool:
        """Whether this process is to be rank 0, as far as its environment tells."""
        return next((os.environ[name] for name in self.variables if name in os.environ), "") in ("", "0")


MSRUN = Launcher("msrun", "mindspore", "MindSpore", ("MS_NODE_ID", "RANK_ID"))
TORCHRUN = Launcher("torchrun", "torch", "PyTorch", ("RANK",))


def launcher() -> Launcher | None:
    """What started this process as one of several, itself or by the same variables; None: nothing did.

    Clusters set WORLD_SIZE and RANK of a machine for what is to be launched there; the launcher adds LOCAL_RANK.
    """
    if "MS_ROLE" in os.environ or _several("RANK_SIZE"):
        return MSRUN
    return TORCHRUN if _several("WORLD_SIZE") and {"RANK", "LOCAL_RANK"} <= os.environ.keys() else None


def local_rank() -> int:
    """The number of this process among those that torchrun started on this machine; 0 where it did not."""
    return int(os.environ["LOCAL_RANK"]) if launcher() is TORCHRUN else 0


def launcher_of(framework: str) -> Launcher:
    """The launcher of a framework."""
    return next(each for each in (MSRUN, TORCHRUN) if each.framework == framework)


def _several(variable: str) -> bool:
    return os.environ.get(variable, "1") not in ("", "1")
