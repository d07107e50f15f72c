"""One run on several processes, devices or machines: who takes part, and how they exchange their results."""

from ms_coreset.distributed.launchers import MSRUN, TORCHRUN, launcher, launcher_of, local_rank
from ms_coreset.distributed.ranks import (
    Alone,
    alone,
    connect,
    current,
    failing_together,
    first_before_others,
    process_group,
    take_part,
)

__all__ = ["MSRUN", "TORCHRUN", "Alone", "alone", "connect", "current", "failing_together", "first_before_others",
           "launcher", "launcher_of", "local_rank", "process_group", "take_part"]
