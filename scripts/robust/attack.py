"""The command ``ms-coreset attack``, also from a checkout that is not installed."""

import os
import sys

sys.path[0] = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from ms_coreset.cli import main  # noqa: E402

if __name__ == "__main__":
    sys.exit(main(command="attack"))
