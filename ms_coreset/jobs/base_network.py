"""The base network, which gives the evidence: loaded from its folder or a file, or trained first."""

import contextlib
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ms_coreset.checksums import array_digest
from ms_coreset.coreset import Coreset
from ms_coreset.datasets.split import Split
from ms_coreset.device import require_mindspore
from ms_coreset.distributed import current
from ms_coreset.engines import engine_of
from ms_coreset.engines.frameworks import MINDSPORE, TORCH
from ms_coreset.errors import MsCoresetError
from ms_coreset.files import atomic_write
from ms_coreset.identity import contents_digest, normalization, tell_missing
from ms_coreset.jobs.default_recipe import recipe_of
from ms_coreset.jobs.sources import NetworkSource, Sources
from ms_coreset.jobs.steps import Steps
from ms_coreset.kinds import FilePath, Log, Network
from ms_coreset.locks import try_lock
from ms_coreset.networks import canonical_network, create_network
from ms_coreset.networks.weights import network_from_weights, read_checkpoint
from ms_coreset.terminal import note
from ms_coreset.training.loop import BEST, LAST, checkpoint_file, is_finished, train
from ms_coreset.training.recipe import Recipe
from ms_coreset.training.recorder_state import drop_states_below


def checkpoint_folder(sources: Sources, recipe: Recipe, what: str | None = None) -> Path:
    """``<folder of networks>/<dataset>[-among<checksum>][-pool<N>]/<arch>[-w<width>][-torch][-<what>]``."""
    among = "" if sources.among is None else f"-among{array_digest(Coreset.load(sources.among).sort_by_index()[0])[:8]}"
    dataset = sources.data.name_in_files + among + (f"-pool{sources.pool}" if sources.pool else "")
    by_torch = sources.network.framework == TORCH  # whose network is another one, and has other files
    name = recipe.arch.lower().replace(":", "-")  # of a library's network: Windows has no colon in a file's name
    arch = name + (f"-w{recipe.width}" if recipe.width else "") + ("-torch" if by_torch else "") + (
        f"-{what}" if what else "")
    return Path(sources.network.folder) / dataset / arch


def build_network(recipe: Recipe, split: Split, seed: int, framework: str = MINDSPORE) -> Network:
    """The recipe's network for the images of ``split``, with its first weights."""
    split.require_labels("training")
    return create_network(recipe.arch, split.num_classes, split.in_channels, image_size=split.image_size,
                          width=recipe.width, seed=seed, framework=framework)


def base_network(sources: Sources, split: Split, device: str, steps: Steps, run: int = 0) -> tuple[Network, Path]:
    """The user's own network, or the base network from its folder, whose training is begun or finished if needed.

    Args:
        sources: the data set and the network that is asked for
        split: the training split
        device: its name, by which the default recipe is chosen
        steps: where time and memory of loading and training are noted
        run: 0, or the number of a further network, which is added to the training's seed

    Returns:
        (network, path of its checkpoint).
    """
    if sources.network.checkpoint and not run:
        with steps("load"):
            network = _given_network(sources.network, split, note)
        return network, Path(sources.network.checkpoint)
    _require_trainable(split)
    recipe = recipe_of(sources.network, sources.data.name, device, split.image_size)
    seed = sources.seed + run
    folder = checkpoint_folder(sources, recipe, f"seed{seed}" if run else None)
    return trained_network(sources, split, recipe, folder, seed, steps, sources.network.record)


def fold_network(sources: Sources, split: Split, device: str, steps: Steps, fold: int,
                 run: int = 0) -> tuple[Network, Path]:
    """The network that is trained on ``split``, the samples outside a fold.

    Args:
        sources: the data set, the network that is asked for, and the number of folds
        split: the samples outside the fold
        device: its name, by which the default recipe is chosen
        steps: where time and memory of loading and training are noted
        fold: its number, from 0
        run: as in ``base_network``

    Returns:
        (network, path of its checkpoint).
    """
    recipe = recipe_of(sources.network, sources.data.name, device, split.image_size)
    seed = sources.seed + run
    what = f"fold{fold + 1}of{sources.evidence.folds}-seed{seed}"
    return trained_network(sources, split, recipe, checkpoint_folder(sources, recipe, what), seed, steps, ())


def first_network(sources: Sources, split: Split, device: str) -> Network:
    """An untrained network of the kind that ``base_network`` returns."""
    if sources.network.checkpoint:
        return _given_network(sources.network, split, log=lambda line: None)  # all there is to tell comes when asked
    _require_trainable(split)
    return build_network(recipe_of(sources.network, sources.data.name, device, split.image_size), split, sources.seed,
                         sources.network.framework)


def _require_trainable(split: Split) -> None:
    """Raise ``MsCoresetError`` where no labels are known to train a base network by."""
    split.require_labels("training a base network", "give one that was trained, --ckpt FILE")


def _given_network(source: NetworkSource, split: Split, log: Log) -> Network:
    assert source.checkpoint is not None  # whoever calls has looked
    arch = source.arch and canonical_network(source.arch, source.framework)
    return network_from_weights(source.checkpoint, split.image_size, split.in_channels, arch=arch,
                                framework=source.framework, log=log)


def trained_network(sources: Sources, split: Split, recipe: Recipe, folder: Path, seed: int, steps: Steps,
                    record: Sequence[str] | str | None = None) -> tuple[Network, Path]:
    """The network of the training in ``folder``, which is begun or finished if needed.

    Args:
        sources: of its test split, and the framework
        split: what it is trained on
        recipe: by which it is trained
        folder: of its checkpoints
        seed: of the training
        steps: where time and memory of loading and training are noted
        record: see ``train``

    Returns:
        (network, path of its checkpoint).
    """
    if not current().agree(is_finished(folder)):
        with steps("train"), at_work_in(folder):
            if not current().agree(is_finished(folder)):  # by another process meanwhile
                _train_base(sources, split, recipe, folder, seed, record)
    if current().first:
        drop_states_below(folder)
    path = checkpoint_file(folder, BEST)
    with steps("load"):
        network = network_from_weights(path, split.image_size, split.in_channels, arch=canonical_network(recipe.arch),
                                       framework=sources.network.framework)
    _tell_of_base(path, {**recipe.as_dict(), "amp": recipe.amp, "seed": seed}, split)
    return network, path


@contextlib.contextmanager
def at_work_in(folder: FilePath) -> Iterator[None]:
    """Let one process at a time train in ``folder`` while others wait; of several ranks the first holds the lock."""
    with contextlib.ExitStack() as held:
        lock = Path(folder) / ".lock"
        if current().first and not held.enter_context(try_lock(lock, wait=False)):
            note(f"another process is at work in {folder}: waiting for it")
            held.enter_context(try_lock(lock))
        yield


def _train_base(sources: Sources, split: Split, recipe: Recipe, folder: Path, seed: int,
                record: Sequence[str] | str | None) -> None:
    framework = sources.network.framework
    if framework == MINDSPORE:
        require_mindspore()  # before it says that it trains
    # Of training that ended, of which best.ckpt is gone, nothing is left to go on with.
    notes = training_notes(folder / LAST)
    resume = bool(current().agree(bool(notes) and notes.get("epoch") != notes.get("epochs")))
    length = f"{recipe.epochs} epochs" if recipe.epochs else f"{recipe.iterations} updates"
    note(f"no base network in {folder}: " + ("going on with its training" if resume else
         f"training {recipe.arch} first ({length} on {len(split)} samples; other: --arch, --recipe, --epoch, --ckpt)"))
    network = build_network(recipe, split, seed, framework)
    _note_ranks(network)
    train(network, split, recipe, seed=seed, record=record, folder=folder, resume=resume,
          test=sources.data.load(train=False))


def _note_ranks(network: Network) -> None:
    """Tell the user how training this network on several ranks differs from training on one."""
    ranks = current()
    if ranks.size == 1:
        return
    kinds = {kind.__name__ for layer in engine_of(network).layers(network) for kind in type(layer).mro()}
    apart = [name for name, kind in (("batch normalisation", "BatchNorm2d"), ("dropout", "Dropout")) if kind in kinds]
    departure = f"; by share go {' and '.join(apart)}: not the network that one process trains" if apart else ""
    note(f"{ranks.size} ranks share every batch{departure}")


def _tell_of_base(path: Path, wanted: Mapping[str, Any], split: Split) -> None:
    """Tell the user which network is used, and how it differs from the one that the options describe."""
    notes = training_notes(path)
    trained = notes.get("run", {})
    epochs = f" ({notes['epoch']} epochs, seed {trained.get('seed')})" if trained else ""
    note(f"base network: {path}{epochs}")
    trained = trained and {"amp": False, **trained}
    wanted = {**wanted, **normalization(split)}
    others = [f"{name} {trained[name]}, not {value}" for name, value in wanted.items()
              if name in trained and trained[name] != value]
    if trained and trained.get("data") != contents_digest(split):
        others.append("other images or labels")
    if others:
        note(f"it was trained with {'; '.join(others)}: delete {path.parent} to train anew")
    if trained:
        tell_missing(trained, normalization(split), checkpoint_file(path.parent, LAST), note)


def training_notes(path: FilePath) -> dict[str, Any]:
    """The notes of last.ckpt beside the checkpoint ``path``: "run", "epoch", ...; empty without one."""
    last = checkpoint_file(Path(path).parent, LAST)
    return read_checkpoint(last)[1] if last.is_file() else {}


def require_writable(folder: FilePath) -> None:
    """Raise ``MsCoresetError`` unless files can be made in ``folder``: before hours of work rather than after."""
    probe = Path(folder) / f".probe-{os.getpid()}"
    with atomic_write(probe) as stream:
        stream.write(b"0")
    try:
        probe.unlink()
    except OSError as error:
        raise MsCoresetError(f"can't write in {folder}: {error.strerror}") from error
