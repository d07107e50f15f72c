"""``--evidence patches``: what takes a network's place where none is trained."""

from ms_coreset.cli.common.options import PATCHES, load_split, note
from ms_coreset.errors import MsCoresetError, require_whole
from ms_coreset.evidence import EXTRACTED


def require_evidence(arguments, wanted):
    """Raise ``MsCoresetError`` where options are not those of the evidence that is asked for, or it lacks what a
    method needs.

    wanted: name -> needs, of each method or score
    """
    kinds = arguments.evidence if isinstance(arguments.evidence, list) else [arguments.evidence]
    if PATCHES not in kinds:
        if arguments.filters is not None:
            raise MsCoresetError(f"--filters {arguments.filters} is about random patches: it goes with --evidence "
                                 f"{PATCHES}")
        return
    if arguments.filters is not None:
        require_whole("--filters", arguments.filters)
    given = [f"--{name}" for name, without in (("ckpt", None), ("runs", 1), ("top_m", None))
             if getattr(arguments, name) != without]
    if given:
        raise MsCoresetError(f"{given[0].replace('_', '-')} is about networks: --evidence {PATCHES} asks none")
    for name, needs in wanted.items():
        lacking = [need for need in needs if need not in EXTRACTED]
        if lacking:
            remedy = ", or --score loss --cutoff-score loss" if name == "ccs" else ""
            raise MsCoresetError(f"{name} needs {', '.join(lacking)}, which only a network has: take --evidence network"
                                 f"{remedy}")


def ask_patches(arguments, split, steps):
    """The ``PatchEvidence`` of a split, with its accuracy on the test split, made or taken from the cache."""
    from ms_coreset.extraction.patches import LARGEST, patch_evidence

    test = load_split(arguments, train=False)
    size = split.image_size
    if size > LARGEST:
        note(f"images of {size} x {size} pixels are reduced to {LARGEST} x {LARGEST} for random patches")
    with steps("patches"):
        return patch_evidence(split, arguments.filters, arguments.seed, test=test,
                              memory=getattr(arguments, "memory", None), cache=arguments.cache)


def is_of_patches(evidence):
    """Whether evidence is a ``PatchEvidence``, told without the import of what makes one."""
    return hasattr(evidence, "test_accuracy")


def base_of_patches(evidence):
    """Notes on the evidence from patches in place of those on a base network; none for a network's."""
    if not is_of_patches(evidence):
        return {}
    return {"base": {"evidence": PATCHES, **evidence.settings, "accuracy": evidence.accuracy}}
