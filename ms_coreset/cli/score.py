"""``score``: every score of every sample, in one file."""

from pathlib import Path

import numpy as np

from ms_coreset.cli.options import (
    add,
    add_data_options,
    add_evidence_options,
    add_network_options,
    add_run_options,
    canonical_dataset,
    draw_pool,
    load_split,
    new_parser,
)
from ms_coreset.cli.steps import Steps
from ms_coreset.selectors import SCORES, list_scores

_EXAMPLES = """examples:
  score --dataset digitsN
  score --dataset CIFAR10 --arch resnet18 --scores el2n forgetting aum
"""
_COSTLY = ("deepfool",)  # many backward passes a sample: only when it is asked for


def parser(typed):
    """The command's options."""
    options = new_parser(typed, "Write the scores of every training sample, high = keep.", _EXAMPLES)
    group = options.add_argument_group("scores")
    add(group, "--scores", nargs="+", metavar="NAME", help=f"of {', '.join(list_scores())} (default: all but "
        f"{', '.join(_COSTLY)})")
    add(group, "--pool", type=int, metavar="N", help="work on a seeded, class-balanced part of the training split")
    add(group, "--save", default="scores", metavar="DIR", help="folder of the result (default: scores)")
    add_evidence_options(group)
    add_data_options(options)
    add_network_options(options)
    add_run_options(options)
    return options


def run(arguments):
    """Run the command."""
    from ms_coreset.cli.base_network import require_writable
    from ms_coreset.cli.evidence import gather
    from ms_coreset.device import set_device
    from ms_coreset.selectors import score

    dataset = canonical_dataset(arguments)
    names = [SCORES.canonical(name) for name in arguments.scores or list_scores() if arguments.scores
             or name not in _COSTLY]
    needs = dict.fromkeys(need for name in names for need in SCORES[name].needs)
    require_writable(arguments.save)
    steps = Steps()
    with steps("load"):
        device = set_device(arguments.device)
        whole = load_split(arguments, train=True)
        pool, split = draw_pool(whole, arguments.pool, arguments.seed)
    evidence, checkpoint = gather(arguments, dataset, split, device, steps, tuple(needs))
    with steps("score"):
        values = {name: score(name, evidence) for name in names}
    rows = np.arange(len(whole)) if pool is None else pool
    stem = Path(arguments.save) / f"{dataset}-{checkpoint.parent.name}"
    _save(stem, rows, split, values)
    print(f"{len(values)} scores of {len(rows):,} samples of {dataset}, high = keep, by {checkpoint}")
    for name, line in [*steps.lines(), ("wrote", f"{stem}.npz, {stem}.csv")]:
        print(f"  {name:<10} {line}")


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
