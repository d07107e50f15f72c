"""The commands: parsing, calling, printing. One file a command, imported when it is called."""

import importlib
import os
import sys

from ms_coreset.errors import MsCoresetError

COMMANDS = {
    "train": "train a network on a data set, or on a coreset of it",
    "select": "choose the part of a data set that is worth keeping",
    "score": "write every score of every sample",
    "experiment": "select by many methods, train on every coreset, keep the results",
    "coreset": "show what a coreset file holds, compare two",
    "report": "write a study's results as one HTML page",
    "label-noise": "make the label noise of a data set's ...N",
    "corrupt": "make the corrupted images of a data set's ...C",
    "attack": "make the attacked images of a data set's ...A",
    "convert-tiny": "sort Tiny ImageNet's val into a folder a class",
    "convert-checkpoint": "turn a .pth checkpoint into .ckpt, or back",
}
USER_ERROR, INTERRUPTED = 2, 130


def main(arguments=None, command=None):
    """Run a command and return its exit code: 0, 2 for a user's mistake (one line on stderr), 130 after Ctrl-C.

    arguments: as typed after the command; by default the process's
    command: one of ``COMMANDS``, or None to take it from the arguments
    """
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    typed = f"python {sys.argv[0]}" if command else f"ms-coreset {arguments[0] if arguments else ''}"
    try:
        if command is None:
            command, arguments = _command(arguments)
        module = importlib.import_module(f"ms_coreset.cli.{command.replace('-', '_')}")
        return module.run(module.parser(typed.strip()).parse_args(arguments)) or 0
    except MsCoresetError as error:
        print(f"error: {error}", file=sys.stderr)
        return USER_ERROR
    except KeyboardInterrupt:
        print("interrupted; what was finished is kept, and the same command goes on from there (train: with --resume)",
              file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        # The reader (head, less) has gone: not worth a word, but Python would print one when it closes stdout.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def _command(arguments):
    if arguments and arguments[0] in COMMANDS:
        return arguments[0], arguments[1:]
    lines = "\n".join(f"  {name:<20}{what}" for name, what in COMMANDS.items())
    usage = f"usage: ms-coreset COMMAND [options]\n\n{lines}\n\nms-coreset COMMAND --help shows a command's options."
    if arguments and arguments[0] in ("-h", "--help"):
        print(usage)
        raise SystemExit(0)
    raise MsCoresetError((f"unknown command {arguments[0]!r}; " if arguments else "no command given; ") + usage)
