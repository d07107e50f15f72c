"""Searches for neighbors in a job: long ones are kept beside the evidence, and of approximate ones it is told."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ms_coreset.extraction.neighbor_files import NeighborFiles
from ms_coreset.kinds import FilePath
from ms_coreset.selectors import searches
from ms_coreset.terminal import note


@contextmanager
def keep_neighbors(cache: FilePath) -> Iterator[None]:
    """Within the block, long searches are kept in the folder of the evidence; approximate ones are told of after it."""
    with searches.kept_in(NeighborFiles(Path(cache) / "neighbors")), searches.collect_notes() as found:
        yield
    if found:
        worst = min(found, key=lambda search: search["recall"])
        note(f"neighbors, sought in {worst['probes']} of {worst['cells']} cells: {worst['recall']:.1%} of the nearest "
             f"{worst['k']} found" + (f", at least, in {len(found)} searches" if len(found) > 1 else ""))
