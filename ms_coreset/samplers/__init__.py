"""Samplers: what each epoch of a training presents, for our loop and for anyone's; see ``sampler``."""

from ms_coreset.samplers import full, infobatch, rcap, reselect, rho, rs2  # noqa: F401  they register themselves
from ms_coreset.samplers.sampler import (
    SAMPLERS,
    Epoch,
    Order,
    Sampler,
    Training,
    Updates,
    create_sampler,
    list_samplers,
    register_sampler,
)

__all__ = ["SAMPLERS", "Epoch", "Order", "Sampler", "Training", "Updates", "create_sampler", "list_samplers",
           "register_sampler"]
