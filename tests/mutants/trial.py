"""One mutant on trial: a forked process that imports the changed module and runs tests until one fails."""

import importlib.machinery
import os
import resource
import signal
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LIBRARY = ROOT / "ms_coreset"
TESTS = {  # package or module -> its quick tests: those that know it best first, the comparison with the twin last
    "selectors": "scores geometry submodular selectors estimate parity/methods",
    "selectors/estimate": "estimate selectors",
    "selectors/herding": "geometry selectors estimate parity/methods",
    "selectors/k_center": "geometry selectors estimate parity/methods",
    "selectors/contextual_diversity": "geometry selectors estimate parity/methods",
    "selectors/farthest_first": "geometry selectors estimate parity/methods",
    "selectors/centers": "gm_matching selectors parity/methods",
    "selectors/gm_matching": "gm_matching estimate parity/methods",
    "selectors/d2": "d2 estimate parity/methods",
    "selectors/message_passing": "d2 estimate parity/methods",
    "selectors/prune4rel": "prune4rel estimate parity/methods",
    "selectors/gradmatch": "gradient selectors estimate parity/methods",
    "selectors/glister": "gradient selectors estimate parity/methods",
    "selectors/gradient_task": "gradient selectors parity/methods",
    "selectors/last_layer_gradients": "gradient submodular scores parity/methods",
    "selectors/distances": "geometry gradient submodular boundary selectors parity/methods",
    "selectors/divergences": "geometry boundary parity/methods",
    "selectors/neighbors": "imported_scores boundary submodular scores selectors parity/methods",
    "selectors/near_duplicates": "duplicates",
    "selectors/norms": "geometry gradient submodular boundary scores selectors parity/methods",
    "selectors/processors": "selectors reproducible geometry parity/methods",
    "selectors/products": "geometry gradient submodular boundary scores selectors parity/methods",
    "selectors/row_blocks": "geometry gradient submodular boundary scores selectors parity/methods",
    "selectors/memory": "estimate on_ranks selectors",
    "selectors/drawing": "rules scores selectors parity/methods",
    "selectors/beta": "rules parity/methods",
    "selectors/offset": "rules parity/methods",
    "selectors/best_window": "rules parity/methods",
    "selectors/class_quotas": "class_quotas parity/methods",
    "selectors/normalization": "class_quotas parity/methods",
    "selectors/scores": "scores boundary selectors estimate parity/methods",
    "selectors/scores/zcore": "zcore estimate parity/methods",
    "selectors/on_ranks": "on_ranks selectors parity/methods",
    "selectors/submodular": "submodular on_ranks selectors estimate parity/methods",
    "selectors/submodular/lcmat": "lcmat estimate parity/methods",
    "selectors/prototype": "prototype selectors estimate parity/methods",
    "selectors/feature_groups": "prototype semdedup estimate parity/methods",
    "selectors/scores/prototype": "prototype estimate parity/methods",
    "selectors/semdedup": "semdedup estimate parity/methods",
    "selectors/scores/semdedup": "semdedup estimate parity/methods",
    "selectors/submodular/subzero": "subzero estimate parity/methods",
    "training": "training adaptive held_out parity/training",
    "training/adaptive": "adaptive training",
    "training/crops": "image_folders training parity/training",
    "training/parallel": "training distributed",
    "training/pipeline": "training image_folders adaptive parity/training",
    "training/whitening": "training parity/training",
    "batches": "training image_folders parity/training",
    "extraction": "extraction reproducible parity/pipeline",
    "extraction/any_model": "any_model",
    "extraction/deepfool": "boundary",
    "extraction/growing": "any_model",
    "extraction/models": "any_model",
    "extraction/picture_features": "duplicates",
    "extraction/random_patches": "patches parity/patches",
    "extraction/ridge": "patches parity/patches extraction",
    "datasets": "datasets image_folders array_datasets overlays parity/readers",
    "datasets/array_files": "array_datasets",
    "datasets/download": "download datasets",
    "datasets/hugging_face": "records",
    "datasets/mind_records": "records",
    "datasets/readers/records": "records",
    "datasets/web_shards": "records",
    "datasets/family": "datasets array_datasets image_folders overlays extending",
    "datasets/overlays": "overlays label_noise corruption robust_cli",
    "datasets/overlays/noisy_labels": "datasets label_noise overlays robust_cli",
    "datasets/readers/matlab": "array_datasets fuzz/hostile parity/readers_arrays",
    "datasets/split": "datasets image_folders array_datasets coreset overlays",
    "datasets/svhn": "array_datasets parity/readers_arrays",
    "jobs": "jobs cli trust default_selection estimate reproducible robust_cli",
    "jobs/attacked": "robust_cli overlays",
    "jobs/default_recipe": "image_folders cli",
    "jobs/base_network": "cli identity held_out experiment",
    "jobs/gather_evidence": "jobs array_datasets estimate cli patches trust default_selection",
    "jobs/duplicates": "duplicates",
    "jobs/kept_files": "kept_files",
    "jobs/options": "jobs image_folders cli",
    "jobs/patch_evidence": "patches trust default_selection",
    "jobs/provenance": "reproducible",
    "jobs/reselection": "adaptive sampling",
    "jobs/score_files": "imported_scores",
    "jobs/scoring": "cli patches array_datasets trust estimate",
    "jobs/selection": "jobs cli default_selection reproducible held_out estimate",
    "jobs/training": "cli adaptive robust_cli",
    "jobs/trust": "trust",
    "jobs/default_selection": "default_selection",
    "experiment": "experiment report",
    "experiment/bench": "experiment patches report",
    "experiment/run_study": "experiment jobs",
    "experiment/study_plan": "experiment report held_out",
    "cli": "cli estimate held_out reproducible robust_cli experiment",
    "cli/attack": "robust_cli overlays",
    "cli/common/reselection_options": "adaptive sampling",
    "cli/common/common_options": "image_folders cli robust_cli experiment",
    "cli/common/overlay": "robust_cli overlays",
    "cli/common/plugins": "extending",
    "cli/common/repeat": "reproducible",
    "cli/convert_tiny": "image_folders",
    "cli/coreset": "experiment identity adaptive kept_files",
    "cli/corrupt": "robust_cli overlays",
    "cli/duplicates": "duplicates",
    "cli/experiment": "experiment held_out extending",
    "cli/label_noise": "robust_cli cli",
    "cli/report": "report",
    "cli/select": "cli default_selection reproducible held_out estimate",
    "cli/train": "cli adaptive robust_cli experiment"}
_FOLDERS = {"": "tests", "parity": "parity_tests", "fuzz": "tests/fuzz"}
KILLED, SURVIVED, HUNG = "killed", "survived", "hung"


def prepare():
    """Import what the tests need but ms_coreset's own modules, without a thread's being started."""
    import hypothesis  # noqa: F401
    import mindspore  # noqa: F401
    import pytest  # noqa: F401
    import sklearn.datasets  # noqa: F401
    import torch  # noqa: F401

    if any(name.startswith("ms_coreset") for name in sys.modules):
        raise RuntimeError("the library is imported already: it could not be changed")


def modules_of(packages):
    """Modules, paths below ms_coreset, of packages and of modules that are named so."""
    paths = [LIBRARY / name for name in packages]
    found = {file for path in paths for file in (path.rglob("*.py") if path.is_dir() else [path])}
    return sorted((file.relative_to(LIBRARY) for file in found), key=str)


def tests_for(module):
    """Files of tests for ``module``, a path below ms_coreset: of the innermost in ``TESTS`` of what it is part of."""
    names = next(TESTS[str(part)] for part in (module.with_suffix(""), *module.parents) if str(part) in TESTS)
    found = (name.rpartition("/") for name in names.split())
    return [f"{_FOLDERS[folder]}/test_{name}.py" for folder, _, name in found]


def begin(module, tree, files, limit):
    """Put the mutant ``tree`` of ``module`` (a path below ms_coreset; None: none) on trial by tests in ``files``.

    limit: seconds of a processor after which it counts as hung

    Returns the number of its process, for ``ended``.
    """
    pid = os.fork()
    if not pid:
        _run(module, tree, files, limit)
    return pid


def ended():
    """(process, outcome, seconds of a processor) of the trial that ends next."""
    pid, status, usage = os.wait4(-1, 0)
    code = os.waitstatus_to_exitcode(status)
    return pid, {0: SURVIVED, -signal.SIGXCPU: HUNG}.get(code, KILLED), usage.ru_utime + usage.ru_stime


def _run(module, tree, files, limit):
    code = 99
    try:
        resource.setrlimit(resource.RLIMIT_CPU, (limit, limit + 1))
        null = os.open(os.devnull, os.O_WRONLY)
        for stream in (1, 2):
            os.dup2(null, stream)
        os.chdir(ROOT)
        if module is not None:
            _put_in_place(module, tree)
        import pytest

        code = pytest.main(["-x", "-q", "-p", "no:cacheprovider", *files])
    finally:
        os._exit(int(code))


def _put_in_place(module, tree):
    """Let the import of ``module`` compile ``tree``."""
    path = LIBRARY / module
    code = compile(tree, str(path), "exec")
    original = importlib.machinery.SourceFileLoader.get_code

    def get_code(loader, name):
        return code if Path(loader.path) == path else original(loader, name)

    importlib.machinery.SourceFileLoader.get_code = get_code
