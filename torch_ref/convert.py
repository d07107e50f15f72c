"""Weights between torch's and MindSpore's parameter names.

Only the names of BatchNorm differ; a BatchNorm has a running mean. torch also counts batches, for an averaging that is
not used here: the counter is dropped, and restored as 0.
"""

import numpy as np
import torch

_TO_MINDSPORE = {"weight": "gamma", "bias": "beta", "running_mean": "moving_mean", "running_var": "moving_variance"}
_TO_TORCH = {theirs: ours for ours, theirs in _TO_MINDSPORE.items()}


def to_mindspore_names(state_dict: dict[str, torch.Tensor]) -> dict[str, np.ndarray]:
    """A torch state dict -> arrays under MindSpore's names."""
    arrays = {name: tensor.detach().cpu().numpy() for name, tensor in state_dict.items()
              if _leaf(name) != "num_batches_tracked"}
    return _rename(arrays, "running_mean", _TO_MINDSPORE)


def from_mindspore_names(arrays: dict[str, np.ndarray]) -> dict[str, torch.Tensor]:
    """Arrays under MindSpore's names -> a torch state dict."""
    renamed = _rename(arrays, "moving_mean", _TO_TORCH)
    tensors = {name: torch.tensor(np.asarray(array)) for name, array in renamed.items()}
    counters = {_prefix(name) + "num_batches_tracked": torch.tensor(0) for name in renamed
                if _leaf(name) == "running_mean"}
    return {**tensors, **counters}


def _rename(arrays: dict[str, np.ndarray], mark: str, leaves: dict[str, str]) -> dict[str, np.ndarray]:
    """Rename the parameters of every layer that has one called ``mark``."""
    normalizations = {_prefix(name) for name in arrays if _leaf(name) == mark}
    return {_prefix(name) + leaves[_leaf(name)] if _prefix(name) in normalizations else name: array
            for name, array in arrays.items()}


def _prefix(name: str) -> str:
    return name[:len(name) - len(_leaf(name))]


def _leaf(name: str) -> str:
    return name.rpartition(".")[2]
