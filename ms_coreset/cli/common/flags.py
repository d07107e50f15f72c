"""How the options of methods are spelt on the command line."""

NOT_FOR_USERS = ("already_selected", "seed")  # places, which nobody types; --seed is every command's
# --batch-size, which DeepCore has both names for, and --epochs are training's.
_FLAGS = {"batch_size": "--selection-batch", "epochs": "--score-epochs"}


def flag_of(name: str) -> str:
    """The flag of a method's option."""
    return _FLAGS.get(name, f"--{name.replace('_', '-')}")
