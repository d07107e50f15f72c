"""One run on several processes, devices or machines: who takes part, and how they exchange their results."""

from ms_coreset.distributed.ranks import (
    Alone,
    alone,
    connect,
    current,
    failing_together,
    first_before_others,
    launched,
    take_part,
)

__all__ = ["Alone", "alone", "connect", "current", "failing_together", "first_before_others", "launched", "take_part"]
