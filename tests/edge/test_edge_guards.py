"""Small guards beside the agent, each with what would stay readable, be lost or come into force without it."""

import asyncio
import os
import time
import zlib
from concurrent.futures import Future

from edge_controller import NOW_MS, make
from storage_scenes import fail_commits_of, held_up, make_event
from test_edge_closed_logs import Carrier, closed
from test_edge_housekeeping import at_work
from test_edge_policies import Site, badge
from test_edge_recorder import FailingLog

from edge import recorder as recorders
from edge.closed_logs import ClosedLogs
from edge.decision import rows
from edge.decision.model import BADGE
from edge.policies import Policies
from edge.recorder import Recorder
from edge.storage.backup import COPIES
from edge.storage.event_log import EventLog
from edge.storage.policy_store import PolicyStore
from firmware_sim.driven_clock import DrivenClock

DEADLINE_S = 30


async def until(holds, what):
    async with asyncio.timeout(DEADLINE_S):
        while not holds():
            await asyncio.sleep(0.005)
    assert holds(), what


# --- logs that a restore closed ---------------------------------------------------------------------------------


def test_a_closed_log_that_is_broken_keeps_no_other_from_being_sent(folder) -> None:
    """The oldest is no database any more: that is said, and the next one's events go to the cloud."""
    (folder / "events.db.closed-1").write_bytes(b"no database" * 1000)
    log_id = closed(folder, 2, 4)
    sent: list[tuple[bytes, int]] = []
    said: list[str] = []

    async def play() -> None:
        async with asyncio.timeout(DEADLINE_S):
            await ClosedLogs(folder, lambda: 0, said.append).send(lambda log: Carrier(log, sent))  # type: ignore[arg-type,return-value]

    asyncio.run(play())
    assert dict(sent) == {log_id: 4}
    assert ["events.db.closed-1: it was damaged" in line for line in said] == [True]


def test_who_is_erased_goes_from_closed_logs_by_the_same_command(folder) -> None:
    """One request by the local API: the open log and the closed one, and the answer counts both."""
    made = make(folder)
    closed(folder / "data", 1, 4)
    path = folder / "data" / "events.db.closed-1"
    assert b"4600000002" in path.read_bytes()

    async def play() -> None:
        async with at_work(made, DrivenClock(NOW_MS)) as (_, ops):
            assert await ops["erase"]({"op": "erase", "credential": 4_600_000_002}) == {"erased": 1}

    asyncio.run(play())
    left = b"".join(each.read_bytes() for each in (folder / "data").glob("events.db.closed-1*"))
    assert b"4600000002" not in left
    assert b"4600000001" in left


def test_copies_that_a_backup_left_go_with_the_next_purge(folder) -> None:
    """They hold everybody's passages, and no purge would reach into them; those of a backup at work stay."""
    made = make(folder)
    old, fresh = (folder / "data" / f"{COPIES}{name}" for name in ("old", "fresh"))

    async def play() -> None:
        async with at_work(made, DrivenClock(NOW_MS)) as (agent, _):
            for each in (old, fresh):
                each.mkdir()
                (each / "events.db").write_bytes(b"4600000002")
            os.utime(old, times=(time.time() - 7200,) * 2)
            await agent.housekeeping.purge()

    asyncio.run(play())
    assert not old.exists()
    assert fresh.exists()


# --- the policy in force ----------------------------------------------------------------------------------------


def test_of_two_changes_at_once_the_later_index_has_both(tmp_path) -> None:
    """A badge is reported lost while another one is issued: neither change hides the other, before any rebuild."""

    async def play() -> None:
        site, policies = Site(), Policies(PolicyStore.open(tmp_path / "policy.db"))
        await policies.apply(site.snapshot())
        lost = rows.pack(rows.Credential(BADGE, 5, 1, 0, 0, rows.STATE_LOST, 0, "", "x"))
        first, second = site.change([lost]), site.change([badge(1000)])
        _, index = await asyncio.gather(policies.apply(first), policies.apply(second))
        assert index.entitlement(BADGE, 5)[3] == rows.STATE_LOST
        assert index.entitlement(BADGE, 1000) is not None
        policies.close()

    asyncio.run(play())


def test_a_change_that_comes_while_rows_are_read_is_not_mixed_into_the_image(tmp_path, monkeypatch) -> None:
    """That round makes no image; the change is in force all the same, and in the next round's image."""

    async def play() -> None:
        site, policies = Site(), Policies(PolicyStore.open(tmp_path / "policy.db"))
        await policies.apply(site.snapshot())
        await policies.apply(site.change([badge(1000)]))
        read = policies.store.rows
        late = site.change([badge(2000)])

        def rows_and_a_change() -> Future:
            answer: Future = Future()

            async def change_then_read() -> None:
                await policies.apply(late)
                answer.set_result(await asyncio.wrap_future(read()))

            tasks.append(asyncio.ensure_future(change_then_read()))
            return answer

        tasks: list[asyncio.Future] = []
        with monkeypatch.context() as patch:
            patch.setattr(policies.store, "rows", rows_and_a_change)
            assert await policies.rebuild() is None
        index = await policies.rebuild()
        assert (index.version, index.overlaid()) == ((1, 3), 0)
        assert index.entitlement(BADGE, 2000) is not None
        policies.close()

    asyncio.run(play())


def test_an_image_with_a_turned_bit_never_comes_into_force(tmp_path) -> None:
    """Whichever bit: it is made anew from the rows, and everybody gets in as before."""

    async def play() -> None:
        site, policies = Site(), Policies(PolicyStore.open(tmp_path / "policy.db"))
        await policies.apply(site.snapshot())
        policies.close()
        path = policies.store.image_path
        whole = path.read_bytes()
        for at in range(0, len(whole), max(1, len(whole) // 40)):
            path.write_bytes(whole[:at] + bytes((whole[at] ^ 4,)) + whole[at + 1 :])
            fresh = Policies(PolicyStore.open(tmp_path / "policy.db"))
            index = await fresh.load()
            assert index is not None
            assert index.verify(zlib.crc32), f"byte {at}"
            assert all(index.entitlement(BADGE, number) is not None for number in range(100))
            fresh.close()

    asyncio.run(play())


def test_an_image_of_before_what_was_in_force_is_not_fallen_back_upon(tmp_path) -> None:
    """policy.db is damaged: its own image opens the doors, one that somebody kept from earlier does not."""

    async def play() -> None:
        site, policies = Site(), Policies(PolicyStore.open(tmp_path / "policy.db"))
        await policies.apply(site.snapshot())
        policies.close()
        for floor, version in (((1, 1), (1, 1)), ((1, 2), None)):
            for companion in tmp_path.glob("policy.db-*"):
                companion.unlink()
            (tmp_path / "policy.db").write_bytes(b"no database" * 1000)
            fallen = Policies(PolicyStore.open(tmp_path / "policy.db"), floor)
            index = await fallen.load()
            assert (None if index is None else index.version) == version
            fresh_image = fallen.store.image_path.exists()
            fallen.close()
            assert fresh_image

    asyncio.run(play())


# --- what could not be recorded in time -------------------------------------------------------------------------


def test_a_record_that_comes_late_and_then_fails_is_held_and_written_later(tmp_path, monkeypatch) -> None:
    """The door has opened for it already: it must not be lost. Once it can be written it is, once, marked late."""
    monkeypatch.setattr(recorders, "RETRY_S", 0.01)
    log = EventLog.open(tmp_path / "events.db")
    fail_commits_of(log, "cursed")

    async def play() -> None:
        recovered: list[int] = []
        recorder = Recorder(log, lambda said: None, recovered.append, lambda seqs, events: None)
        with held_up(log.database):
            assert await recorder.record([make_event(1, detail="cursed")], {}, 1, waits=True)
        rollbacks = log.database.rollbacks
        await until(lambda: log.database.rollbacks > rollbacks, "it was tried again")
        assert (log.last_seq, recorder.dropped, recovered) == (0, 0, [])
        await asyncio.wrap_future(log.database.write(lambda c: c.execute("DROP TRIGGER spring").rowcount))
        await until(lambda: recovered, "it recovers")

    asyncio.run(play())
    assert [(entry.event.detail, entry.late > 0) for entry in log.read(1).result(DEADLINE_S)] == [("cursed", True)]
    log.close()


def test_an_event_that_can_never_be_written_keeps_no_other_waiting(tmp_path, monkeypatch) -> None:
    """It was held while the disk was full; it is dropped and counted, and those behind it are written."""
    monkeypatch.setattr(recorders, "RETRY_S", 0.01)
    log = EventLog.open(tmp_path / "events.db")

    async def play() -> None:
        recovered: list[int] = []
        recorder = Recorder(FailingLog(log, 2), lambda said: None, recovered.append, lambda seqs, events: None)  # type: ignore[arg-type]
        for event in (make_event(1, at_ms=2**70), make_event(2)):
            assert await recorder.record([event], {}, 1, waits=True)
        await until(lambda: recovered, "it recovers")
        assert recorder.dropped == 1

    asyncio.run(play())
    assert [entry.event.credential for entry in log.read(1).result(DEADLINE_S)] == [2]
    log.close()
