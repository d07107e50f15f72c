"""Settings of all tests."""

import os

from hypothesis import settings

# Where a run decides whether a change lands, it tries the same examples each time; elsewhere always new ones.
settings.register_profile("fixed", derandomize=True, deadline=None)
settings.register_profile("fresh", deadline=None)
settings.load_profile("fixed" if os.environ.get("CI") else "fresh")
