"""What test_distributed lets two ranks do together, and one process alone: every score and every method.

    msrun ... tests/distributed_job.py FILE        writes what came of it to FILE (.npz)
    msrun ... tests/distributed_job.py --die       rank 1 goes without a word while rank 0 waits for it

The same by torchrun, with PyTorch's networks.
"""

import importlib
import os
import sys
from pathlib import Path

import numpy as np

import ms_coreset as mc
from ms_coreset.distributed import current, failing_together, launcher, take_part
from ms_coreset.selectors.last_layer_gradients import LastLayerGradients
from ms_coreset.training.dynamics import RECORDS, TrainingDynamics

RATE = 0.1
OPTIONS = {"cal": [{}, {"within_class": False}], "grand": [{}, {"variant": "deepcore"}],
           "facility_location": [{}, {"kernel": "features", "greedy": "stochastic"}],
           "ccs": [{"mis_ratio": 0.1}], "k_center": [{}, {"already_selected": (3, 5)}],
           "craig": [{}, {"variant": "deepcore"}], "prototype": [{}, {"groups": "labels"}],
           "semdedup": [{}, {"clusters": 7, "reading": "components"}, {"groups": "labels", "reading": "kept"}]}


def evidence():
    """500 generated samples of classes of 2 to 168, the smallest of which the rate keeps none of."""
    rng = np.random.RandomState(5)
    labels = rng.permutation(np.repeat(np.arange(6), (168, 120, 100, 80, 30, 2)))
    features = (rng.randn(6, 12)[labels] + 0.7 * rng.randn(500, 12)).astype(np.float32)
    logits = (2 * rng.randn(500, 6) + 3 * np.eye(6)[labels]).astype(np.float32)
    dynamics = TrainingDynamics(**{name: rng.rand(5, 500).astype(np.float32) for name in RECORDS if name != "correct"},
                                correct=rng.rand(5, 500) > 0.5)
    return mc.Evidence(labels, features, logits, dynamics=dynamics, boundary=rng.rand(500),
                       imported=rng.rand(500))


def worth(method, picks):
    """The value of f(picks), written out, by the similarities of the gradients of ``evidence``."""
    gradients = LastLayerGradients.of(evidence())
    flat = np.einsum("ic,id->icd", gradients.errors, np.insert(gradients.features, 0, 1, axis=1)).reshape(500, -1)
    flat /= np.linalg.norm(flat, axis=1, keepdims=True)
    similarity = 0.5 + 0.5 * flat @ flat.T
    within = similarity[np.ix_(picks, picks)]
    return {"facility_location": similarity[:, picks].max(axis=1).sum(),
            "graph_cut": similarity[:, picks].sum() - within.sum(),
            # Volumes are compared by their k-th root: the geometric mean of the eigenvalues.
            "log_determinant": np.exp(np.linalg.slogdet(within + 1e-6 * np.eye(len(picks)))[1] / len(picks))}[method]


def ask(folder, framework):
    """Name -> array: what a network with its first weights says of 100 digits, seven batches in several rounds."""
    importlib.import_module("ms_coreset.extraction.extract").ROUND = 1
    split = mc.load_dataset("digits", folder).subset(np.arange(100))
    network, found = mc.create_network("mlp", 10, 1, image_size=8, seed=2, framework=framework), {}
    for place, cache in enumerate((None, folder / "cache")):
        answers = mc.extract(network, split, batch_size=16, cache=cache)
        found |= {f"asked.{place}.features": np.array(answers.features), f"asked.{place}.logits": answers.logits}
    return found | {"asked.0.boundary": mc.deepfool_distances(network, split, max_iter=3, batch_size=64),
                    "asked.0.predicted": mc.predict(network, split, batch_size=16)}


def everything(folder, framework="mindspore"):
    """Name -> array: ``ask``, and ``by_arrays``."""
    return ask(folder, framework) | by_arrays()


def require_same(several, one):
    """Check that several ranks' ``everything`` is one's to the last bit, but for what says that it is not exact."""
    assert several.keys() == one.keys()
    inexact = {kind.removesuffix(".exact") for kind, value in several.items()
               if kind.endswith(".exact") and not value}
    assert inexact == {f"{name}.0.all" for name in (
        "facility_location", "graph_cut", "log_determinant", "k_center", "saturated_coverage", "sum_redundancy",
        "feature_based", "max_coverage", "set_coverage")}
    different = {kind for kind, value in one.items() if not kind.endswith(".exact")
                 and value.tobytes() != several[kind].tobytes()}
    assert {kind.rsplit(".", 1)[0] for kind in different} <= inexact
    for kind in inexact:
        assert len(set(several[f"{kind}.indices"].tolist())) == round(RATE * 500)


def by_arrays():
    """Name -> array: all scores, and what all methods choose, over all samples and balanced."""
    known, found = evidence(), {}
    for name in mc.list_scores():
        for place, options in enumerate(OPTIONS.get(name, [{}])):
            found[f"{name}.{place}.score"] = mc.score(name, known, **options)
    for name in mc.list_methods():
        for place, options in enumerate(OPTIONS.get(name, [{}])):
            for balance in (False, True):
                coreset = mc.select(name, known, RATE, balance=balance, seed=3, **options)
                kind = f"{name}.{place}.{'balanced' if balance else 'all'}"
                found |= {f"{kind}.{what}": value for what in ("indices", "weights", "scores")
                          if (value := getattr(coreset, what)) is not None}
                found[f"{kind}.exact"] = np.array(coreset.manifest.get("exact", True))
    return found


def _run(arguments):
    with failing_together():
        mc.set_device("CPU")
        if arguments == ["--die"]:
            if not current().first:
                os._exit(9)
            current().wait()
        found = everything(Path(arguments[0]).parent, launcher().framework)
        if current().first:
            np.savez(arguments[0], **found)
    return 0


if __name__ == "__main__":
    sys.exit(take_part(lambda: _run(sys.argv[1:])))
