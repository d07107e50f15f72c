"""MindSpore's collectives: HCCL on Ascend, NCCL on GPU, MCCL (sockets) on CPU."""

from __future__ import annotations

import os

import numpy as np
from mindspore import Tensor, communication, ops


class MindSporeCollectives:
    """See ``ranks.Collectives``; whoever makes one has joined the others.

    Args:
        patience: seconds that MCCL waits for a slower rank, instead of 30.

    Raises:
        RuntimeError: where they can't be joined.
        ValueError: likewise.
    """

    framework = "mindspore"

    def __init__(self, patience: int) -> None:
        os.environ.setdefault("MS_CPU_COMM_OP_TIMEOUT", str(patience))  # read when MCCL is first used
        communication.init()
        self.rank, self.size = communication.get_rank(), communication.get_group_size()
        self.local_size = communication.get_local_rank_size()
        self._all_gather, self._all_reduce = ops.AllGather(), ops.AllReduce()

    def gather(self, array: np.ndarray) -> np.ndarray:
        return self._all_gather(Tensor(array)).asnumpy()

    def sum(self, tensor: Tensor) -> Tensor:
        return self._all_reduce(tensor)

    def end(self) -> None:
        communication.release()


def schedule() -> None:
    """Be the scheduler, by which the workers find each other, until all of them have ended.

    Raises:
        RuntimeError: if one has gone without a word.
    """
    communication.init()
