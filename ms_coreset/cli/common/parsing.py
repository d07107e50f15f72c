"""What all commands' parsers are made of."""

import argparse

from ms_coreset.terminal import one_line, printable


class OneLineParser(argparse.ArgumentParser):
    """A parser whose errors are of one line, whatever was typed."""

    def error(self, message):
        """As ever: usage and the message on stderr, exit code 2."""
        super().error(one_line(message))

    def _print_message(self, message, file=None):
        super()._print_message(printable(message) if message else message, file)
