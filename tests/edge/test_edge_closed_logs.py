"""What a restore closed is sent and purged like the open log."""

import asyncio
import shutil
import threading

from edge_controller import NOW_MS

from edge import closed_logs
from edge.closed_logs import ClosedLogs
from edge.decision import model
from edge.storage import restoring
from edge.storage.event_log import EventLog

DAY_MS = 86_400_000


def event(number: int) -> model.Event:
    return model.Event(NOW_MS, True, "hall-b", "hall-b-in", "badge", 4_600_000_000 + number, "open", "", "door", "")


class Carrier:
    """In place of a Synchroniser: acknowledges what the log holds, a few events at a time."""

    def __init__(self, log: EventLog, sent: list[tuple[bytes, int]]) -> None:
        self._log, self._sent = log, sent

    def status(self) -> dict[str, object]:
        return {"connected": True}

    async def run(self) -> None:
        while True:
            up_to = min(self._log.acked + 3, self._log.last_seq)
            await asyncio.wrap_future(self._log.acknowledge(up_to))
            self._sent.append((self._log.log_id, up_to))
            await asyncio.sleep(0)


class Away:
    """In place of a Synchroniser whose cloud is away."""

    is_there = False

    def status(self) -> dict[str, object]:
        return {"connected": self.is_there}

    async def run(self) -> None:
        await asyncio.Event().wait()


class Deaf(Away):
    """One whose cloud is there and takes nothing."""

    is_there = True


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
        await ClosedLogs(folder, lambda: 0, print).send(lambda log: Carrier(log, sent))  # type: ignore[arg-type,return-value]

    asyncio.run(start())
    assert dict(sent) == {ids[0]: 10, ids[1]: 4}
    assert [log_id for log_id, _ in sent] == sorted((log_id for log_id, _ in sent), key=ids.index)
    before = len(sent)
    asyncio.run(start())
    assert len(sent) == before


def test_of_two_copies_of_a_log_the_longer_one_is_sent(folder) -> None:
    """A backup's log, and the same one as it went on until the backup was restored: sent once, to its end; for the
    shorter copy an acknowledgement up to there would be one of events that it never had."""
    log_id = closed(folder, 1, 4)
    later = folder / "before-restore-2"
    later.mkdir()
    shutil.copy(folder / "events.db.closed-1", later / "events.db")
    log = EventLog.open(later / "events.db")
    log.record([event(at) for at in range(4, 7)], 1).result()
    log.close()
    sent: list[tuple[bytes, int]] = []
    alarms: list[str] = []
    logs = ClosedLogs(folder, lambda: 0, alarms.append)
    asyncio.run(logs.send(lambda log: Carrier(log, sent)))
    assert list(dict.fromkeys(sent)) == [(log_id, 3), (log_id, 6), (log_id, 7)]
    assert alarms == []


def test_nobody_stays_named_in_a_closed_log(folder) -> None:
    """Neither in one that waits for the cloud nor in one that is done; a damaged one beside them changes nothing."""
    closed(folder, 1, 5)
    (folder / "events.db.closed-2").write_bytes(b"no database" * 1000)
    assert b"4600000003" in (folder / "events.db.closed-1").read_bytes()

    said: list[str] = []

    async def start() -> None:
        logs = ClosedLogs(folder, lambda: NOW_MS + DAY_MS, said.append)
        purging = asyncio.ensure_future(logs.keep_purging())
        async with asyncio.timeout(30):
            while b"4600000003" in (folder / "events.db.closed-1").read_bytes():
                await asyncio.sleep(0.02)
            while not said:
                await asyncio.sleep(0.02)
        purging.cancel()

    asyncio.run(start())
    assert "events.db.closed-2: it was damaged" in said[0]
    assert [path.name for path in folder.glob("*.damaged*")] == ["events.db.closed-2.damaged-1"]


def test_one_person_is_erased_from_closed_logs_too(folder) -> None:
    """Also from one that waits for the cloud meanwhile; the tenth comes after the second."""
    for number in (1, 2, 10):
        closed(folder, number, 4)
    assert [path.name[-2:] for path in restoring.closed_logs(folder)] == ["-1", "-2", "10"]

    async def play() -> None:
        logs = ClosedLogs(folder, lambda: 0, print)
        waiting = asyncio.ensure_future(logs.send(lambda log: Away()))  # type: ignore[arg-type,return-value]
        await asyncio.sleep(0)
        assert await logs.erase(4_600_000_002, None) == 3
        assert not waiting.done()
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)

    asyncio.run(play())
    for number in (1, 2, 10):
        assert b"4600000002" not in (folder / f"events.db.closed-{number}").read_bytes()
        assert b"4600000001" in (folder / f"events.db.closed-{number}").read_bytes()


def test_a_log_of_which_the_cloud_takes_no_more_keeps_nobody_waiting(folder, monkeypatch) -> None:
    """A cloud that is there and acknowledges nothing: an alarm, and the next log's turn."""
    monkeypatch.setattr(closed_logs, "STUCK_S", 0.3)
    closed(folder, 1, 4)
    closed(folder, 2, 4)
    said: list[str] = []

    async def play() -> None:
        async with asyncio.timeout(30):
            await ClosedLogs(folder, lambda: 0, said.append).send(lambda log: Deaf())  # type: ignore[arg-type,return-value]

    asyncio.run(play())
    assert [line.partition(":")[0] for line in said] == ["events.db.closed-1", "events.db.closed-2"]


def test_who_stops_waiting_for_a_closed_log_leaves_it_to_others(folder, monkeypatch) -> None:
    """The line to the cloud changes while a closed log is being opened: it is closed again, and the next one to ask
    finds it free."""
    closed(folder, 1, 4)
    path = folder / "events.db.closed-1"
    reached, release, given = threading.Event(), threading.Event(), []
    real = closed_logs._open

    def slowly(path):
        reached.set()
        release.wait(30)
        given.append(real(path))
        return given[-1]

    async def play() -> None:
        said: list[str] = []
        logs = ClosedLogs(folder, lambda: 0, said.append)
        with monkeypatch.context() as patch:
            patch.setattr(closed_logs, "_open", slowly)
            waiting = asyncio.ensure_future(logs._opened(path))
            await asyncio.to_thread(reached.wait, 30)
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)
            release.set()
            async with asyncio.timeout(30):
                while not given or given[0].database.is_alive:
                    await asyncio.sleep(0.01)
        assert logs._open == {}
        assert await logs.erase(4_600_000_002, None) == 1
        assert said == []

    asyncio.run(play())


def test_damaged_logs_are_looked_through_once_at_a_time(folder, monkeypatch) -> None:
    """Who waits for it is cancelled and comes again, while the thread of before is still at it."""
    reached, release = threading.Event(), threading.Event()
    at_once: list[int] = []
    running = 0

    def slowly(data):
        nonlocal running
        running += 1
        at_once.append(running)
        reached.set()
        release.wait(30)
        running -= 1
        return []

    monkeypatch.setattr(closed_logs, "salvage", slowly)

    async def play() -> None:
        logs = ClosedLogs(folder, lambda: 0, print)
        first = asyncio.ensure_future(logs.send(lambda log: Away()))  # type: ignore[arg-type,return-value]
        await asyncio.to_thread(reached.wait, 30)
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
        second = asyncio.ensure_future(logs.send(lambda log: Away()))  # type: ignore[arg-type,return-value]
        done, _ = await asyncio.wait([second], timeout=0.2)  # long enough for a second thread to begin, were it let
        assert not done
        release.set()
        await second

    asyncio.run(play())
    assert at_once == [1, 1]
