"""What ``select`` does where no option says anything of method, evidence or network."""

import argparse

from ms_coreset.cli.common.options import NETWORK, PATCHES, note

# Options that say nothing of how to choose: of the data, of places, how much to keep, on what to run.
_BESIDE = {"help", "plugin", "list", "from_manifest", "dataset", "data", "image_size", "bits", "skip_broken",
           "no_download", "verify", "probabilities", "pool", "rate", "balance", "memory", "save", "cache", "model_dir",
           "seed", "device", "precision"}
_BY_PATCHES = {"evidence": PATCHES, "method": "ccs", "option_score": "loss", "option_cutoff_score": "loss",
               "option_mis_ratio": "auto", "balance": True}
TYPED = f"--evidence {PATCHES} --method ccs --score loss --cutoff-score loss --mis-ratio auto --balance"


def nothing_said(parser, arguments):
    """Whether no option was typed that tells how to choose."""
    return all(getattr(arguments, action.dest, action.default) == action.default for action in parser._actions
               if action.dest not in _BESIDE)


def with_defaults(arguments):
    """The options with the method and the evidence that hold everywhere: Moderate as published, of a network."""
    return argparse.Namespace(**{**vars(arguments), "method": arguments.method or "moderate",
                                 "evidence": arguments.evidence or NETWORK})


def goes_by_patches(device, split, needs):
    """Whether a network would be asked for ``needs`` that takes long to train: on a CPU."""
    return device == "CPU" and split.images is not None and not set(needs) <= split.known.keys()


def by_patches(arguments):
    """The options with what is done on a CPU instead, which is said.

    Of all that minutes of a CPU can do, a network did best on what this keeps, see docs/results.md.
    """
    note("nothing says how to choose: the same share of every class, spread over easy and hard, but not what random "
         f"patches take for wrong labels ({TYPED}); Moderate as published, by a network: --method moderate")
    return argparse.Namespace(**{**vars(arguments), **_BY_PATCHES})
