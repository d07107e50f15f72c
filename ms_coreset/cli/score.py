"""``score``: every score of every sample, in one file."""

from pathlib import Path

import numpy as np

from ms_coreset.cli.common.options import (
    PATCHES,
    add,
    add_data_options,
    add_evidence_options,
    add_network_options,
    add_run_options,
    dataset_in_files,
    new_parser,
    note,
)
from ms_coreset.cli.common.patches import is_of_patches, require_evidence
from ms_coreset.cli.common.steps import Steps
from ms_coreset.cli.common.trust import tell_if_poor, trust_in
from ms_coreset.distributed import current
from ms_coreset.errors import MsCoresetError
from ms_coreset.evidence import EXTRACTED
from ms_coreset.selectors import SCORES, list_scores
from ms_coreset.terminal import say

_EXAMPLES = """examples:
  score --dataset digitsN
  score --dataset CIFAR10 --evidence patches
  score --dataset CIFAR10 --arch resnet18 --scores el2n forgetting aum
"""
_COSTLY = ("deepfool",)  # many backward passes a sample: only when it is asked for


def parser(typed):
    """The command's options."""
    options = new_parser(typed, "Write the scores of every training sample, high = keep.", _EXAMPLES)
    group = options.add_argument_group("scores")
    add(group, "--scores", nargs="+", metavar="NAME", help=f"of {', '.join(list_scores())} (default: all that can be "
        f"had, but {', '.join(_COSTLY)})")
    add(group, "--pool", type=int, metavar="N", help="work on a seeded, class-balanced part of the training split")
    add(group, "--save", default="scores", metavar="DIR", help="folder of the result (default: scores)")
    add_evidence_options(group)
    add_data_options(options)
    add_network_options(options)
    add_run_options(options)
    return options


def run(arguments):
    """Run the command."""
    from ms_coreset.cli.common.evidence import gather, load_pool
    from ms_coreset.selectors import score

    dataset = dataset_in_files(arguments)
    names = [SCORES.canonical(name) for name in arguments.scores or ()]
    require_evidence(arguments, {name: SCORES[name].needs for name in names})
    steps = Steps()
    device, whole, pool, split = load_pool(arguments, steps)
    names = names or _possible(arguments, split)
    needs = dict.fromkeys(need for name in names for need in SCORES[name].needs)
    evidence, checkpoint = gather(arguments, dataset, split, device, steps, tuple(needs))
    with steps("score"):
        values = {name: score(name, evidence) for name in names}
    rows = np.arange(len(whole)) if pool is None else pool
    asked = checkpoint.parent.name if checkpoint else PATCHES if is_of_patches(evidence) else None
    stem = Path(arguments.save) / (f"{dataset}-{asked}" if asked else dataset)
    if current().first:
        _save(stem, rows, split, values)
    trusted = trust_in(arguments, split, evidence, checkpoint, device)
    say(f"{len(values)} scores of {len(rows):,} samples of {dataset}, high = keep, by "
        f"{trusted or checkpoint or arguments.data}")
    tell_if_poor(trusted)
    for name, line in [*steps.lines(), ("wrote", f"{stem}.npz, {stem}.csv")]:
        say(f"  {name:<10} {line}")


def _possible(arguments, split):
    """The scores to be had without being asked for: all but costly ones; without images, those of what is known; of
    patches, those that need no training's dynamics."""
    names = [name for name in list_scores() if name not in _COSTLY]
    if arguments.evidence == PATCHES:
        names = [name for name in names if set(SCORES[name].needs) <= {*EXTRACTED}]
    if split.images is not None:
        return names
    possible = [name for name in names if set(SCORES[name].needs) <= split.known.keys()]
    if not possible:
        raise MsCoresetError(f"{split.name} brings no images, features or logits: there is nothing to score by")
    note(f"{split.name} brings {', '.join(split.known)} and no images: {len(possible)} of {len(names)} scores")
    return possible


def _save(stem, rows, split, values):
    """The same table twice: arrays by name, and text with a line a sample."""
    from ms_coreset.files import atomic_write

    known = {"index": rows, "label": split.labels}
    if split.bad is not None:
        known |= {"clean_label": split.clean_labels, "bad": split.bad.astype(int)}
    with atomic_write(f"{stem}.npz") as arrays, atomic_write(f"{stem}.csv", "w", encoding="utf-8") as text:
        np.savez_compressed(arrays, **known, **values)
        text.write(",".join((*known, *values)) + "\n")
        columns = [column.tolist() for column in (*known.values(), *values.values())]
        text.writelines(",".join(map(repr, row)) + "\n" for row in zip(*columns, strict=True))
        text.flush()
