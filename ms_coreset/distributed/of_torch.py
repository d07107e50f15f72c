"""PyTorch's collectives, ``torch.distributed``: gloo for what lies on the host, NCCL for what lies on CUDA."""

from __future__ import annotations

import os
from datetime import timedelta

import numpy as np
import torch
from torch import distributed


class TorchCollectives:
    """See ``ranks.Collectives``; whoever makes one has joined the others.

    Arrays go through a group of gloo's that is made here, over all ranks; so do tensors on a CPU. Tensors on CUDA go
    through the default group: the program's, where it is initialized, or one of NCCL where PyTorch has that.

    Args:
        patience: seconds that a rank waits for a slower one.

    Raises:
        RuntimeError: where they can't be joined.
        ValueError: likewise.
    """

    framework = "torch"

    def __init__(self, patience: int) -> None:
        self._own = not distributed.is_initialized()
        if self._own:
            distributed.init_process_group(_backend())
        self.rank, self.size = distributed.get_rank(), distributed.get_world_size()
        self.local_size = int(os.environ.get("LOCAL_WORLD_SIZE", self.size))
        self._host = distributed.new_group(backend="gloo", timeout=timedelta(seconds=patience))

    def gather(self, array: np.ndarray) -> np.ndarray:
        own = torch.from_numpy(array)
        parts = [torch.empty_like(own) for _ in range(self.size)]
        distributed.all_gather(parts, own, group=self._host)
        return torch.stack(parts).numpy()

    def sum(self, tensor: torch.Tensor) -> torch.Tensor:
        total = tensor.clone()
        distributed.all_reduce(total, group=None if total.is_cuda else self._host)
        return total

    def end(self) -> None:
        distributed.destroy_process_group(self._host)
        if self._own:
            distributed.destroy_process_group()


def _backend() -> str:
    return "cpu:gloo,cuda:nccl" if torch.cuda.is_available() and distributed.is_nccl_available() else "gloo"
