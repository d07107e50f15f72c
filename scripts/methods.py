"""The command ``ms-coreset methods``, also from a checkout that is not installed."""

import os
import sys

# This folder comes first on sys.path, where "import select" (the standard library's, which subprocess and asyncio
# need) would find select.py; the checkout takes its place. Child processes must not add the folder again.
sys.path[0] = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
os.environ["PYTHONSAFEPATH"] = "1"

from ms_coreset.cli import main  # noqa: E402

if __name__ == "__main__":
    sys.exit(main(command="methods"))
