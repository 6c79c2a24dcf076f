"""What a restore closed is sent and purged like the open log."""

import asyncio

from edge_controller import NOW_MS

from edge.closed_logs import ClosedLogs
from edge.decision import model
from edge.storage.event_log import EventLog

DAY_MS = 86_400_000


def event(number: int) -> model.Event:
    return model.Event(NOW_MS, True, "hall-b", "hall-b-in", "badge", 4_600_000_000 + number, "open", "", "door", "")


class Carrier:
    """In place of a Synchroniser: acknowledges what the log holds, a few events at a time."""

    def __init__(self, log: EventLog, sent: list[tuple[bytes, int]]) -> None:
        self._log, self._sent = log, sent

    async def run(self) -> None:
        while True:
            up_to = min(self._log.acked + 3, self._log.last_seq)
            await asyncio.wrap_future(self._log.acknowledge(up_to))
            self._sent.append((self._log.log_id, up_to))
            await asyncio.sleep(0)


def closed(folder, number: int, events: int) -> bytes:
    log = EventLog.open(folder / f"events.db.closed-{number}")
    log.record([event(at) for at in range(events)], 1).result()
    log.close()
    return log.log_id


def test_closed_logs_are_sent_the_oldest_first_and_once(folder) -> None:
    """Each under its own id, to its end; another start finds nothing left to send."""
    ids = [closed(folder, 1, 10), closed(folder, 2, 4)]
    sent: list[tuple[bytes, int]] = []

    async def start() -> None:
        await ClosedLogs(folder, lambda: 0).send(lambda log: Carrier(log, sent))  # type: ignore[arg-type,return-value]

    asyncio.run(start())
    assert dict(sent) == {ids[0]: 10, ids[1]: 4}
    assert [log_id for log_id, _ in sent] == sorted((log_id for log_id, _ in sent), key=ids.index)
    before = len(sent)
    asyncio.run(start())
    assert len(sent) == before


def test_nobody_stays_named_in_a_closed_log(folder) -> None:
    """Neither in one that waits for the cloud nor in one that is done; a damaged one beside them changes nothing."""
    closed(folder, 1, 5)
    (folder / "events.db.closed-2").write_bytes(b"no database" * 1000)
    assert b"4600000003" in (folder / "events.db.closed-1").read_bytes()

    async def start() -> None:
        logs = ClosedLogs(folder, lambda: NOW_MS + DAY_MS)
        purging = asyncio.ensure_future(logs.keep_purging())
        async with asyncio.timeout(30):
            while b"4600000003" in (folder / "events.db.closed-1").read_bytes():
                await asyncio.sleep(0.02)
        purging.cancel()

    asyncio.run(start())
    assert (folder / "events.db.closed-2").exists() or list(folder.glob("events.db.closed-2.damaged*"))
