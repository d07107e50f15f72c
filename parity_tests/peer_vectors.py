"""Where the peers' own results lie: arrays that their code computed, a folder a set. Needs neither framework.

The environment variable MS_CORESET_VECTORS names the folder, by default shared/vectors beside the repository; without
it, tests that compare with the peers skip, saying why.
"""

import os
from pathlib import Path

import pytest

FOLDER = Path(os.environ.get("MS_CORESET_VECTORS") or Path(__file__).resolve().parents[2] / "shared" / "vectors")
SETS = sorted(path.parent for path in FOLDER.glob("*/inputs.npz"))
_ABSENT = pytest.param(None, marks=pytest.mark.skip(reason=f"no peer vectors in {FOLDER}; set MS_CORESET_VECTORS"))

# Mark of a test with an argument ``folder``: runs it once for each set.
with_peers = pytest.mark.parametrize("folder", SETS or [_ABSENT], ids=lambda folder: getattr(folder, "name", "absent"))
