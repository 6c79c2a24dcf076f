"""What a DAT file brings counts as a whole or not at all, and what it takes away stays until it is acknowledged."""

import asyncio
import base64
import contextlib
import shutil

import pytest
from dat_desk import EPOCH, Correspondents, Desk, event, policy_rows

from edge.console.api import ApiServer, BadRequestError, call
from edge.decision import rows
from edge.storage.event_log import EventLog
from edge.uplink import signing, wire
from edge.uplink.transfer_file import Item

ENDS = Correspondents()


@contextlib.contextmanager
def opened(folder):
    """A desk in the running loop."""
    desk = Desk(folder, ENDS)
    try:
        yield desk
    finally:
        desk.close()


def play(folder, scene):
    """`scene(desk)` to its end; what it returns."""

    async def once():
        with opened(folder) as desk:
            return await scene(desk)

    return asyncio.run(once())


def test_a_policy_comes_into_force_as_a_whole(folder):
    """Version, rows and what decides are the new ones; the same again says that it was here."""

    async def scene(desk):
        done = await desk.apply(ENDS.policy(policy_rows(1), 1))
        assert done["policy"] == {"before": (0, 0), "after": (EPOCH, 1), "outcome": "applied", "why": ""}
        assert sorted(await asyncio.wrap_future(desk.store.rows())) == sorted(policy_rows(1))
        assert [type(each).__name__ for each in desk.said] == ["PolicyReplaced"]
        again = await desk.apply(ENDS.policy(policy_rows(1), 1))
        assert again["policy"]["outcome"] == "in-force"

    play(folder, scene)


OTHER = Correspondents()
REFUSED = {
    "signature": lambda: OTHER.policy(policy_rows(9), 9),
    "foreign-site": lambda: ENDS.policy(policy_rows(9), 9, site_uid=bytes(16)),
    "foreign-controller": lambda: ENDS.policy(policy_rows(9), 9, controller=OTHER.cloud.controller),
    "epoch": lambda: ENDS.policy(policy_rows(9), 9, epoch=EPOCH + 1),
    "sealed": lambda: ENDS.policy(policy_rows(9), 9, seal_to=OTHER.cloud.seal_to),
    "version": lambda: ENDS.policy(policy_rows(1), 1),
    "frame": lambda: [Item("policy", b"no message")],
    "oversized": lambda: [Item("policy", bytes(wire.MAX_RAW + 1))],
}


@pytest.mark.parametrize("reason", REFUSED)
def test_what_is_not_right_changes_nothing(folder, reason):
    """An acknowledgement that is right goes before it, and does not count either: nothing of that file does."""

    async def scene(desk):
        await desk.apply(ENDS.policy(policy_rows(2), 2))
        desk.record(5)
        before = desk.store.version(), desk.store.digest(), desk.log.acked
        right = ENDS.ack(desk.log.log_id, 5, (await head_after(desk, 5)))
        refused = await desk.take([right, *REFUSED[reason]()])
        assert (refused["kind"], refused["reason"]) == ("policy", reason)
        with pytest.raises(BadRequestError, match="apply it again"):
            await desk.ask("dat-settle", transfer="t")
        assert (desk.store.version(), desk.store.digest(), desk.log.acked) == before
        assert [said for said in desk.refusals() if said.startswith(f"{reason}: by file")]
        done = await desk.apply([right, *ENDS.policy(policy_rows(3), 3)])  # the control
        assert done["policy"]["outcome"] == "applied"
        assert desk.log.acked == 5

    play(folder, scene)


async def head_after(desk, seq):
    stretch = await asyncio.wrap_future(desk.log.stretch(seq, 1))
    return stretch.heads[-1]


def test_a_refusal_is_written_down_once_in_a_while(folder):
    """Somebody who tries the same wrong file again and again does not fill the log."""

    async def scene(desk):
        for _ in range(20):
            assert (await desk.take([Item("policy", b"no message")]))["reason"] == "frame"
        assert len(desk.refusals()) == 1

    play(folder, scene)


def test_a_policy_of_which_a_part_is_missing_is_not_taken(folder):
    """Ten thousand rows have several parts; without one of them nothing happens, with all of them everything."""
    parts = ENDS.policy(policy_rows(1, 10_000), 1)
    assert len(parts) > 5

    async def scene(desk):
        done = await desk.apply(parts[:3] + parts[4:])
        assert (done["policy"]["outcome"], done["policy"]["why"]) == ("refused", "1 parts of the policy are missing")
        assert desk.store.version() == (0, 0)
        done = await desk.apply(parts[::-1])
        assert done["policy"]["outcome"] == "applied"
        assert len(await asyncio.wrap_future(desk.store.rows())) == 10_003

    play(folder, scene)


def test_two_files_at_once_do_not_mix(folder):
    """Half of one policy and half of another: who comes later begins anew, and the first is told."""
    first, second = ENDS.policy(policy_rows(1, 3000), 1), ENDS.policy(policy_rows(1, 3000), 1)

    async def scene(desk):
        assert await desk.take(first[:1], "one") is None
        assert await desk.take(second[1:], "two") is None
        with pytest.raises(BadRequestError, match="alone"):
            await desk.ask("dat-settle", transfer="one")
        assert desk.store.version() == (0, 0)

    play(folder, scene)


def test_rows_that_make_no_policy_are_refused_in_words(folder):
    """Well signed, but of another format than this program knows: the old policy stays, and the answer says why."""

    async def scene(desk):
        await desk.apply(ENDS.policy(policy_rows(1), 1))
        wrong = [row for row in policy_rows(2) if row[0] != rows.SITE]
        done = await desk.apply(ENDS.policy(wrong, 2))
        assert done["policy"]["outcome"] == "refused"
        assert done["policy"]["why"]
        assert desk.store.version() == (EPOCH, 1)

    play(folder, scene)


def test_an_acknowledgement_of_other_events_is_refused(folder):
    """Another head, or more than there is: nothing may be pruned for it. One of a log that is not here is no matter."""

    async def scene(desk):
        desk.record(10)
        head = await head_after(desk, 10)
        for ack in (ENDS.ack(desk.log.log_id, 10, bytes(32)), ENDS.ack(desk.log.log_id, 11, head)):
            [log] = (await desk.apply([ack]))["logs"]
            assert (log["outcome"], log["after"], desk.log.acked) == ("refused", 0, 0)
        [log] = (await desk.apply([ENDS.ack(bytes(16), 10, head)]))["logs"]
        assert log["outcome"] == "absent"
        [log] = (await desk.apply([ENDS.ack(desk.log.log_id, 10, head)]))["logs"]
        assert (log["outcome"], log["before"], log["after"]) == ("taken", 0, 10)
        for up_to in (10, 4):  # the same file again, and an older one
            [log] = (await desk.apply([ENDS.ack(desk.log.log_id, up_to, head)]))["logs"]
            assert (log["outcome"], desk.log.acked) == ("known", 10)

    play(folder, scene)


def read_batches(items):
    """(hello, its batches) of each log, verified with the manager's keys."""
    found = []
    for item in items:
        if item.kind == wire.HELLO:
            found.append((signing.verify_hello(item.message, ENDS.cloud), []))
        else:
            found[-1][1].append(signing.verify_events(item.message, ENDS.cloud))
    return found


def seqs(batches):
    return [entry[0] for batch in batches for entry in batch.stretch.events]


def test_closed_logs_go_first_and_are_acknowledged_too(folder):
    """Two logs that restores closed, and the open one: each with a hello, in order, whole; each is acknowledged."""
    ids = []
    for number in (1, 2):
        log = EventLog.open(folder / f"events.db.closed-{number}", keys=ENDS.keyring.log_keys)
        log.record([event(i) for i in range(700 * number)], 1).result()
        ids.append(log.log_id)
        log.close()

    async def scene(desk):
        desk.record(30)
        found = read_batches(await desk.collect())
        assert [hello.log_id for hello, _ in found] == [*ids, desk.log.log_id]
        assert [seqs(batches) for _, batches in found] == [list(range(1, n + 1)) for n in (700, 1400, 30)]
        acks = [ENDS.ack(hello.log_id, hello.last_seq, batches[-1].stretch.heads[-1]) for hello, batches in found]
        logs = (await desk.apply(acks))["logs"]
        assert [(log["outcome"], log["after"]) for log in logs] == [("taken", n) for n in (700, 1400, 30)]
        [(hello, batches)] = read_batches(await desk.collect())
        assert (hello.log_id, hello.acked, batches) == (desk.log.log_id, 30, [])
        assert desk.alarms == []

    play(folder, scene)


def test_of_two_copies_of_a_closed_log_the_longer_one_counts(folder):
    """A restore leaves the backup's log and the one that went on from there, of one id: nothing is sent twice, nothing
    is left behind, and the acknowledgement goes to the one that has it."""
    aside = folder / "before-restore-1"
    aside.mkdir()
    for path, last in ((folder / "events.db.closed-1", 20), (aside / "events.db", 30)):
        log = EventLog.open(aside / "events.db", keys=ENDS.keyring.log_keys)
        log.record([event(i) for i in range(log.last_seq, last)], 1).result()
        log_id = log.log_id
        log.close()
        if path.parent == folder:
            shutil.copy(aside / "events.db", path)

    async def scene(desk):
        (hello, batches), (_, none) = read_batches(await desk.collect())
        assert (hello.log_id, hello.last_seq, seqs(batches), none) == (log_id, 30, list(range(1, 31)), [])
        [log] = (await desk.apply([ENDS.ack(log_id, 30, batches[-1].stretch.heads[-1])]))["logs"]
        assert (log["outcome"], log["after"]) == ("taken", 30)
        assert len(read_batches(await desk.collect())) == 1

    play(folder, scene)


def test_what_is_collected_twice_is_the_same(folder):
    """Nothing changes on the controller; the second file's hello is newer, also after a start, of the same session."""

    async def scene(desk):
        if not desk.log.last_seq:
            desk.record(800)
        desk.clock.move_by(60_000 * len(found))
        return read_batches(await desk.collect())

    found = []
    found += play(folder, scene)
    found += play(folder, scene)
    (first, one), (second, other) = found
    assert seqs(one) == seqs(other) == list(range(1, 801))
    assert first.session == second.session
    assert first.number < second.number


def test_what_comes_meanwhile_is_collected_next_time(folder):
    """An acknowledgement in the middle, by whatever way: the next file begins behind it."""

    async def scene(desk):
        desk.record(1000)
        [(_, batches)] = read_batches(await desk.collect())
        up_to = batches[0].stretch.events[-1][0]
        await asyncio.wrap_future(desk.log.acknowledge(up_to, batches[0].stretch.heads[-1]))
        desk.record(5)
        [(hello, later)] = read_batches(await desk.collect())
        assert (hello.acked, hello.head) == (up_to, batches[0].stretch.heads[-1])
        assert seqs(later) == list(range(up_to + 1, 1006))

    play(folder, scene)


@pytest.mark.parametrize("count", [5_000, pytest.param(100_000, marks=pytest.mark.full)])
def test_a_month_fits(folder, count):
    """By the event it costs little more than on the line: 100,000 are far below a megabyte."""

    async def scene(desk):
        desk.record(count)
        items = await desk.collect()
        [(_, batches)] = read_batches(items)
        assert seqs(batches) == list(range(1, count + 1))
        size = sum(len(wire.encode(list(item))) for item in items)
        print(f"{size / count:.2f} bytes an event")
        assert size < 9 * count

    play(folder, scene)


def test_without_a_key_to_seal_to_nothing_leaves(folder):
    """An older manager.toml: it is said what to do."""
    bare = Correspondents()
    manager = bare.manager._replace(seal_key=b"")
    bare.keyring = bare.keyring._replace(manager=manager)

    async def scene():
        desk = Desk(folder, bare)
        try:
            desk.record(3)
            with pytest.raises(BadRequestError, match="provisioned again"):
                await desk.collect()
        finally:
            desk.close()

    asyncio.run(scene())


def test_the_largest_message_fits_the_local_api(folder):
    """As base64 in one line; what is larger is refused by name, not by a closed connection."""

    async def scene(desk):
        server = ApiServer(folder / "api", desk.transferring.answers)
        await server.start()
        try:
            for size, reason in ((wire.MAX_RAW, "frame"), (wire.MAX_RAW + 1, "oversized")):
                message = base64.b64encode(bytes(size)).decode()
                answer = await asyncio.to_thread(
                    call, folder / "api", "dat-take", 10.0, transfer="t" * 64, kind="policy", message=message
                )
                assert answer["refused"]["reason"] == reason
        finally:
            await server.stop()

    play(folder, scene)


@pytest.mark.parametrize(
    ("op", "request_"),
    [
        ("dat-take", {"kind": "policy", "message": ""}),
        ("dat-take", {"transfer": "t", "kind": "command", "message": ""}),
        ("dat-take", {"transfer": "t", "kind": "ack", "message": "no base64!"}),
        ("dat-take", {"transfer": "t" * 65, "kind": "ack", "message": ""}),
        ("dat-settle", {}),
        ("dat-settle", {"transfer": "t"}),
        ("dat-collect", {"log": "xyz", "after": None}),
        ("dat-collect", {"log": "00" * 16, "after": None}),
        ("dat-collect", {"log": "00" * 16, "after": -1}),
        ("dat-collect", {"log": "00" * 16, "after": "1"}),
    ],
)
def test_a_request_that_makes_no_sense_is_refused(folder, op, request_):
    """One line each, and nothing else is raised. A command may not come by file."""

    async def scene(desk):
        with pytest.raises(BadRequestError) as caught:
            await desk.ask(op, **request_)
        assert "\n" not in str(caught.value)

    play(folder, scene)


def test_a_damaged_closed_log_keeps_no_other_waiting(folder):
    """It is left out, with an alarm."""
    (folder / "events.db.closed-1").write_bytes(b"no database" * 1000)

    async def scene(desk):
        desk.record(3)
        [(hello, batches)] = read_batches(await desk.collect())
        assert (hello.log_id, seqs(batches)) == (desk.log.log_id, [1, 2, 3])
        assert desk.alarms

    play(folder, scene)
    shutil.rmtree(folder)
