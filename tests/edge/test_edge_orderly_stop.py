"""An agent that is told to stop while its disk refused records: they are written before the log is closed."""

import asyncio
import errno

from edge_controller import DEADLINE_S, RESIDENT_B, until
from test_edge_disk_failures import on_failing_disk

from edge import recorder as recorders
from edge.storage.event_log import EventLog


def test_a_passage_that_waits_in_memory_is_written_at_the_stop(folder, monkeypatch):
    """A resident got in while every write failed; the disk is well again, the next try an hour away, the agent is
    stopped: the passage is on record, late."""
    monkeypatch.setattr(recorders, "RETRY_S", 3600)

    async def play():
        async with on_failing_disk(folder, errno.ENOSPC) as (at, faults):
            faults.is_on = True
            at.board.present("hall-b-in", "badge", RESIDENT_B)
            await at.board.barrier(DEADLINE_S)
            await until(lambda: at.agent.recorder._backlog, "the passage waits in memory")
            assert len(at.pulses()) == 1
            faults.is_on = False

    asyncio.run(play())
    log = EventLog.open(folder / "data" / "events.db")
    found = log.query(medium="badge").result(DEADLINE_S)
    log.close()
    assert [(entry.event.credential, entry.late) for entry in found] == [(int(RESIDENT_B), True)]
