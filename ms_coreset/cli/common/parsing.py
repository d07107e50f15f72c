"""What all commands' parsers are made of."""

import argparse

from ms_coreset.errors import one_line


class OneLineParser(argparse.ArgumentParser):
    """A parser whose errors are of one line, whatever was typed."""

    def error(self, message):
        """As ever: usage and the message on stderr, exit code 2."""
        super().error(one_line(message))
