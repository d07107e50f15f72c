"""Settings of all tests."""

import os
import signal

from hypothesis import settings

# What a shell starts in the background ignores Ctrl-C, and so would all that tests start, and press it on.
signal.signal(signal.SIGINT, signal.default_int_handler)

# Where a run decides whether a change lands, it tries the same examples each time; elsewhere always new ones.
settings.register_profile("fixed", derandomize=True, deadline=None)
settings.register_profile("fresh", deadline=None)
settings.load_profile("fixed" if os.environ.get("CI") else "fresh")
