"""Gathering what a method needs to know of the samples: networks trained or found, asked, and their answers kept."""

import dataclasses

from ms_coreset.cli.base_network import base_network
from ms_coreset.cli.options import note
from ms_coreset.errors import MsCoresetError

EXTRACTED = ("features", "logits")


def gather(arguments, dataset, split, device, steps, needs):
    """(evidence, path of the base network's checkpoint or None) with the fields ``needs``.

    A network is trained or loaded only if something is needed of it; further ones for --runs.
    """
    from ms_coreset.evidence import Evidence

    if arguments.runs < 1:
        raise MsCoresetError(f"runs {arguments.runs}: must be at least 1")
    if not needs:
        return Evidence(labels=split.labels), None
    first, checkpoint = _ask(arguments, dataset, split, device, steps, needs, run=0)
    if arguments.runs == 1:
        return first, checkpoint
    others = [_ask(arguments, dataset, split, device, steps, needs, run)[0] for run in range(1, arguments.runs)]
    return _with(first, runs=(first, *others)), checkpoint


def _ask(arguments, dataset, split, device, steps, needs, run):
    from ms_coreset.evidence import Evidence
    from ms_coreset.extraction import extract

    network, checkpoint = base_network(arguments, dataset, split, device, steps, run)
    with steps("extract"):
        asked = [name for name in EXTRACTED if name in needs]
        evidence = extract(network, split, asked, cache=arguments.cache) if asked else Evidence(labels=split.labels)
        if "dynamics" in needs:
            evidence = _with(evidence, dynamics=_dynamics(checkpoint, len(split)))
        if "boundary" in needs:
            evidence = _with(evidence, boundary=_boundary(network, split, arguments.top_m))
    return evidence, checkpoint


def _dynamics(checkpoint, n):
    from ms_coreset.training.dynamics import TrainingDynamics

    dynamics = TrainingDynamics.load(checkpoint.parent / "dynamics")
    if dynamics.loss is not None and dynamics.loss.shape[1] != n:
        raise MsCoresetError(f"the training dynamics in {checkpoint.parent} are of {dynamics.loss.shape[1]} samples, "
                             f"not {n}: train the base network on this data")
    return dynamics


def _boundary(network, split, top_m):
    from ms_coreset.extraction.boundary import deepfool_distances

    classes = f"{top_m} classes" if top_m else f"all {split.num_classes} classes (fewer: --top-m)"
    note(f"distances to the decision boundary of {len(split):,} samples against {classes}")
    return deepfool_distances(network, split, top_m=top_m)


def _with(evidence, **fields):
    return dataclasses.replace(evidence, **fields)
