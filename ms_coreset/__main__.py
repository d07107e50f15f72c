"""``python -m ms_coreset COMMAND`` is the console command ``ms-coreset``."""

import sys

from ms_coreset.cli import main

if __name__ == "__main__":
    sys.exit(main())
