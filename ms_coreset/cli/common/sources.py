"""From the options of a command to what the jobs take: the one place where that is done."""

from ms_coreset.errors import MsCoresetError
from ms_coreset.jobs.sources import DataSource, EvidenceSource, NetworkSource, Runtime, Sources

# Options that go over the recipe's fields of the same name.
_RECIPE = ("arch", "width", "epochs", "iterations", "batch_size", "lr", "momentum", "weight_decay", "nesterov",
           "schedule", "clip_norm", "crop_padding", "padding_mode", "flip", "crop_scale", "crop_size", "test_resize",
           "validation", "eval_every")


def sources_of(arguments, dataset=None):
    """The ``Sources`` that a command's options describe, as far as it has them.

    dataset: the data set's name, where there is no one option that says it
    """
    return Sources(data_of(arguments, dataset), network_of(arguments), evidence_of(arguments),
                   getattr(arguments, "pool", None), getattr(arguments, "seed", 0))


def data_of(arguments, dataset=None):
    """The ``DataSource`` that a command's options describe; raises ``MsCoresetError`` for an unknown data set."""
    name = arguments.dataset if dataset is None else dataset
    if name is None:
        raise MsCoresetError("--dataset is missing; --help shows what there is")
    return DataSource(name, arguments.data, arguments.image_size, arguments.bits, arguments.skip_broken,
                      not arguments.no_download, arguments.verify, getattr(arguments, "probabilities", False))


def network_of(arguments):
    """The ``NetworkSource`` that a command's options describe; one of which nothing is said where it has none."""
    if not hasattr(arguments, "recipe"):
        return NetworkSource()
    return NetworkSource(arguments.recipe, {name: getattr(arguments, name, None) for name in _RECIPE},
                         getattr(arguments, "ckpt", None), arguments.model_dir)


def evidence_of(arguments):
    """The ``EvidenceSource`` that a command's options describe; one of which nothing is said where it has none.

    Where several kinds may be given, the kind is left open.
    """
    if not hasattr(arguments, "evidence"):
        return EvidenceSource()
    kind = arguments.evidence if isinstance(arguments.evidence, str) else None
    return EvidenceSource(kind, arguments.filters, arguments.runs, arguments.top_m, arguments.cache,
                          getattr(arguments, "memory", None))


def runtime_of(arguments):
    """The ``Runtime`` that a command's options describe."""
    return Runtime(arguments.device, arguments.precision)
