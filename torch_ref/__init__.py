"""An independent reference of the coreset selection in PyTorch: plain, slow and obvious.

It shares no code with the MindSpore package and exists to be compared with it. What decides a selection is computed in
float64. Functions have the names, arguments and meaning of those of the MindSpore package.
"""

from torch_ref.attack import gradient_sign, projected_gradient
from torch_ref.convert import from_mindspore_names, to_mindspore_names
from torch_ref.deepfool import deepfool_distances
from torch_ref.evidence import Evidence
from torch_ref.extraction import extract
from torch_ref.networks import NETWORKS, create_network
from torch_ref.random_patches import patch_evidence, patch_features, ridge_left_out
from torch_ref.rules import RULES
from torch_ref.scores import SCORES, score
from torch_ref.selectors import METHODS, Coreset, select, select_by
from torch_ref.training import Recipe, TrainingResult, evaluate, train

__all__ = [
    "METHODS",
    "NETWORKS",
    "RULES",
    "SCORES",
    "Coreset",
    "Evidence",
    "Recipe",
    "TrainingResult",
    "create_network",
    "deepfool_distances",
    "evaluate",
    "extract",
    "from_mindspore_names",
    "gradient_sign",
    "patch_evidence",
    "patch_features",
    "projected_gradient",
    "ridge_left_out",
    "score",
    "select",
    "select_by",
    "to_mindspore_names",
    "train",
]
