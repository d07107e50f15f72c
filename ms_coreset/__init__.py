"""Coreset selection in MindSpore: which part of a data set is worth keeping.

    split    = mc.load_dataset("CIFAR100N", root="data", train=True)
    network  = mc.create_network("resnet18", num_classes=100, in_channels=3, image_size=32)
    result   = mc.train(network, split, mc.load_recipe("deepcore"))
    evidence = mc.extract(network, split)
    coreset  = mc.select("moderate", evidence, rate=0.2)

Names are imported when they are first used. MindSpore is loaded when a network, an accelerator or several processes are
used; selection from arrays on a CPU works without it, whether it is installed or not.
"""

import importlib
from typing import Any

__version__ = "0.2.0"

_HOMES = {
    "ms_coreset.coreset": ("Coreset",),
    "ms_coreset.datasets": ("Split", "list_datasets", "load_dataset", "make_attack", "make_corruption",
                            "make_label_noise", "register_dataset"),
    "ms_coreset.device": ("available_devices", "set_device"),
    "ms_coreset.errors": ("MsCoresetError", "MsCoresetWarning"),
    "ms_coreset.estimator": ("CoresetSelector",),
    "ms_coreset.evidence": ("Evidence",),
    "ms_coreset.experiment.report": ("Report", "write_report"),
    "ms_coreset.experiment.run_study": ("StudyResult", "run_study"),
    "ms_coreset.extraction": ("extract",),
    "ms_coreset.extraction.any_model": ("extract_from",),
    "ms_coreset.extraction.deepfool": ("deepfool_distances",),
    "ms_coreset.extraction.random_patches": ("PatchEvidence", "patch_evidence"),
    "ms_coreset.experiment.report.duplicates": ("DuplicatesFiles", "write_duplicates"),
    "ms_coreset.jobs.duplicates": ("Duplicates", "duplicates"),
    "ms_coreset.jobs.kept_files": ("KeptFiles", "link_kept"),
    "ms_coreset.jobs.selection": ("SelectionResult", "run_selection"),
    "ms_coreset.networks": ("create_network", "list_networks", "register_network"),
    "ms_coreset.networks.layers": ("Classifier",),
    "ms_coreset.networks.initialization": ("initialize",),
    "ms_coreset.networks.weights": ("load_weights", "network_from_weights", "save_weights"),
    "ms_coreset.perturbations.attack": ("attack", "gradient_sign", "on_pixels", "projected_gradient"),
    "ms_coreset.perturbations.corruption": ("corrupt",),
    "ms_coreset.perturbations.label_noise": ("asymmetric_noise", "symmetric_noise"),
    "ms_coreset.samplers": ("Sampler", "Updates", "create_sampler", "list_samplers", "register_sampler"),
    "ms_coreset.selectors": ("Selection", "describe", "estimate", "list_methods", "list_rules", "list_scores",
                             "pick_by_group", "register_method", "register_rule", "register_score", "score", "select",
                             "select_by"),
    "ms_coreset.selectors.agreement": ("Agreement", "agreement"),
    "ms_coreset.selectors.nested": ("truncate",),
    "ms_coreset.selectors.label_quality": ("LabelNoise", "estimate_label_noise"),
    "ms_coreset.selectors.submodular.sieve": ("Sieve",),
    "ms_coreset.training.adaptive": ("Reselection",),
    "ms_coreset.training.dynamics": ("TrainingDynamics",),
    "ms_coreset.training.loop": ("evaluate", "predict", "train"),
    "ms_coreset.training.record_size": ("RecordSize", "estimate_record"),
    "ms_coreset.training.streams": ("StreamedDynamics",),
    "ms_coreset.training.recorder": ("Recorder",),
    "ms_coreset.training.sampling": ("Sampling",),
    "ms_coreset.training.recipe": ("Recipe", "list_recipes", "load_recipe"),
}
_OF_MINDSPORE = ("ms_coreset.networks.layers", "ms_coreset.networks.initialization")  # can't be imported without it
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}
_RENAMED = {"initialise": "initialize"}  # old names, which still work and warn

__all__ = sorted(_HOME_OF)


def __getattr__(name: str) -> Any:
    if name in _RENAMED:
        new, errors = _RENAMED[name], importlib.import_module("ms_coreset.errors")
        errors.warn(f"mc.{name} is deprecated: it is now mc.{new}", DeprecationWarning)
        return __getattr__(new)
    if name not in _HOME_OF:
        raise AttributeError(f"module 'ms_coreset' has no attribute {name!r}")
    if _HOME_OF[name] in _OF_MINDSPORE:
        importlib.import_module("ms_coreset.device").require_mindspore()
    value = getattr(importlib.import_module(_HOME_OF[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
