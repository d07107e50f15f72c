"""The sweep: every run once, by any number of processes, even if some of them end."""

import time
from collections.abc import Callable, Mapping, Sequence

from ms_coreset.experiment.runs import Run
from ms_coreset.experiment.store import Claims, Record, Store

Perform = Callable[[Run, Record | None], Record]
Finish = Callable[[Run, Record], None]
WAIT = 1.0  # seconds until work that other processes have in hand is looked at again


class Busy(Exception):
    """Another process is making something that a run needs."""


def sweep(runs: Sequence[Run], store: Store, claims: Claims, perform: Perform, finish: Finish,
          retry: bool = False) -> None:
    """Do all ``runs`` that are not recorded, in their order; runs that other processes work on come last.

    Args:
        runs: of the study
        store: of their records
        claims: of runs, which other processes may hold
        perform: ``(run, twin) -> record``; the twin is a finished record of equal work, or None. It raises only
            ``Busy`` and what ends the sweep
        finish: called as ``finish(run, record)`` after a record is on disk
        retry: whether failed runs are done again
    """
    pending = [run for run in runs if not _is_settled(store.record_of(run), retry)]
    settled_before = store.records.copy() if retry else {}
    while pending:
        left = [run for run in pending if not _try(run, store, claims, perform, finish, settled_before)]
        if len(left) == len(pending):
            time.sleep(WAIT)
        pending = left


def _is_settled(record: Record | None, retry: bool = False) -> bool:
    return record is not None and not (retry and record["status"] == "failed")


def _try(run: Run, store: Store, claims: Claims, perform: Perform, finish: Finish,
         outdated: Mapping[str, Record]) -> bool:
    """Whether ``run`` is settled now, by this process or by another. ``outdated``: records that do not count."""
    work = run.work()
    with claims.claim(work) as mine:
        if not mine:
            return False
        store.refresh()
        known = store.record_of(run)
        if known is not None and known is not outdated.get(known["key"]):
            return True
        twin = next((record for record in store.records.values()
                     if record.get("work") == work and record["status"] == "done"), None)
        try:
            record = perform(run, twin)
        except Busy:
            return False
        store.append(record)
    finish(run, record)
    return True
