"""Many doors at once: each waits for its own record before it opens, and all of them share the flushes of one disk."""

import asyncio
import time
from pathlib import Path
from typing import NamedTuple

from record_sides import passage

from edge.recorder import Recorder
from edge.storage.event_log import EventLog


class Together(NamedTuple):
    """What so many doors did at once: passages and commits a second, and the passages that came late."""

    a_second: float
    commits_a_second: float
    late: int


def doors_at_once(path: Path, doors: int, seconds: float) -> Together:
    """`doors` tasks that each record a passage, wait for it as the agent does, and begin the next one."""
    log = EventLog.open(path, boot_id="benchmark", max_unsent=10_000_000)
    try:
        return asyncio.run(_together(log, doors, seconds))
    finally:
        log.close()


async def _together(log: EventLog, doors: int, seconds: float) -> Together:
    recorder = Recorder(log, lambda detail: None, lambda late: None, lambda seqs, events: None)
    began_with, first_commit = log.last_seq, log.commits
    end = time.perf_counter() + seconds

    async def door(name: str) -> None:
        number = 0
        while time.perf_counter() < end:
            number += 1
            await recorder.record([passage(number, name)], {}, 1, waits=True)

    started = time.perf_counter()
    await asyncio.gather(*(door(f"door-{number}") for number in range(doors)))
    took = time.perf_counter() - started
    return Together((log.last_seq - began_with) / took, (log.commits - first_commit) / took, recorder.late)
