"""Row S4: a bit of a file is another one than was written. It is found, or it changed nothing; what can be read stays.

Events: the check at opening, the chain and the mark outside the file find it. Policy: the last good one is in force, or
none, and none denies.
"""

import asyncio
import contextlib
import random
import shutil
import tempfile
import zlib
from collections import Counter
from pathlib import Path

import pytest
from power_cut_work import change_to, event_of, open_log, policy_of
from storage_scenes import WAIT_S, digest_of

from edge.policies import POLICY_ERRORS, Policies
from edge.storage.errors import StorageError
from edge.storage.policy_store import PolicyStore
from edge.storage.state_store import StateStore

FULL = (pytest.mark.full, pytest.mark.timeout(3600))
EVENTS, ACKED = 160, 40
REVISION = 6
NOT_OPENED = (StorageError, UnicodeDecodeError)  # the second: a flipped word of the tables, in SQLite's own message


@pytest.fixture
def folder():
    """In memory where the machine has such a place: a thousand copies are made."""
    made = Path(tempfile.mkdtemp(prefix="flip", dir="/dev/shm" if Path("/dev/shm").is_dir() else None)).resolve()
    yield made
    shutil.rmtree(made)


def left_by_a_killed_agent(folder):
    """A log whose last third stands in the write-ahead log alone, with pruned pages; its files as they are."""
    work = folder / "work"
    work.mkdir()
    log = open_log(work)
    for number in range(1, 101):
        log.record([event_of(number)], 1, keep={"count": b"%d" % number}).result(WAIT_S)
    log.acknowledge(ACKED).result(WAIT_S)
    log.prune(0).result(WAIT_S)
    log.close()
    log = open_log(work)
    for number in range(101, EVENTS + 1):
        log.record([event_of(number)], 1, keep={"count": b"%d" % number}).result(WAIT_S)
    files = {path.name: path.read_bytes() for path in work.iterdir()}
    log.close()
    assert files.keys() == {"events.db", "events.db-wal", "mark"}
    return files


def policy_files(folder):
    """A policy store that was closed in order, and its image."""
    work = folder / "policy"
    work.mkdir()

    async def make():
        policies = Policies(PolicyStore.open(work / "policy.db"))
        for revision in range(1, REVISION + 1):
            await policies.apply(change_to(revision))
        await policies.rebuild()
        policies.close()

    asyncio.run(make())
    return {path.name: path.read_bytes() for path in work.iterdir()}


def flipped(files, choice):
    """The files with one bit of one of them turned; where: in words."""
    name = choice.choices(sorted(files), [1 if name == "mark" else 5 for name in sorted(files)])[0]
    data = bytearray(files[name])
    # Headers of files, pages and frames are small, and decide much; so are words, and mean much.
    page = choice.randrange(0, len(data), 4096)
    word = max(0, data.find(b"passage", page))
    at = choice.choice((choice.randrange(100), page + choice.randrange(16), word + choice.randrange(20), page))
    if at == page:
        at = choice.randrange(len(data))
    at = min(at, len(data) - 1)
    data[at] ^= 1 << choice.randrange(8)
    return files | {name: bytes(data)}, f"{name} at {at}"


def put(files, folder):
    """Make a new folder of that name with the files in it."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for name, data in files.items():
        (folder / name).write_bytes(data)
    return folder


def outcome_of_log(files, folder, where):
    """How it was found, in a word, "nothing" where nothing changed. Fails where it was missed, or took more with it
    than it must."""
    try:
        log = open_log(put(files, folder))
    except NOT_OPENED as error:
        assert_left_alone(error, files, folder, where)
        return "not opened"
    try:
        if log.report.set_aside is not None:
            assert log.report.reason, where
            assert_kept_aside(folder, files, where)
            return "set aside"
        right = [seq for seq in range(1, EVENTS + 2) if reads_right(log, seq)]
        found = found_by_chain(log)
        if found or log.doubt:
            # Behind a broken frame SQLite reads nothing of the journal: of what stands there alone the rest is lost.
            there = range(ACKED + 1, 101 if where.startswith("events.db-wal") else EVENTS + 1)
            assert len(set(there) - set(right)) <= 1, where
            return "doubt" if log.doubt else found
        assert right == list(range(ACKED + 1, EVENTS + 1)), f"missed: {where}"
        assert (log.last_seq, log.acked) == (EVENTS, ACKED), f"missed: {where}"
        assert StateStore(log.database).load().result(WAIT_S) == {"count": b"%d" % EVENTS}, f"missed: {where}"
        return "nothing"
    finally:
        log.close()


def assert_left_alone(error, files, folder, where):
    """A version of tables or of a file that this program does not know: it says so, and touches nothing."""
    if isinstance(error, UnicodeDecodeError):
        return
    assert int(where.rpartition(" ")[2]) < 100, (where, error)
    assert str(folder) in str(error)
    assert "\n" not in str(error)
    for name, data in files.items():
        assert (folder / name).read_bytes() == data, (where, name)


def reads_right(log, seq):
    try:
        return [(entry.seq, entry.event) for entry in log.read(seq, 1).result(WAIT_S)] == [(seq, event_of(seq))]
    except StorageError:
        return False


def found_by_chain(log):
    try:
        return "" if log.verify().result(WAIT_S).is_whole else "chain"
    except StorageError:
        return "unreadable"


def assert_kept_aside(folder, files, where):
    """What was set aside still holds the events: their words stand in it."""
    kept = b"".join(path.read_bytes() for path in folder.iterdir() if ".damaged-" in path.name)
    was = b"".join(files.values())
    words = [b"passage %d " % number for number in range(ACKED + 1, EVENTS + 1)]
    missing = [word for word in words if word in was and word not in kept]
    assert not missing, (where, missing)


@pytest.mark.parametrize("flips", [60, pytest.param(1000, marks=FULL)])
def test_a_flipped_bit_of_the_log_is_found_or_changes_nothing(folder, flips):
    """Header, pages, free pages, journal, mark: each flip is set aside, doubted, or named by the chain, unless every
    event, number and state is as it was. Whoever starts the agent hears of it: a report, a doubt, a verification."""
    print("seed 51")
    choice, files = random.Random(51), left_by_a_killed_agent(folder)
    found = Counter(outcome_of_log(*with_folder(flipped(files, choice), folder)) for _ in range(flips))
    print(found)
    assert found["set aside"] > 0
    assert found["chain"] > 0
    assert found["doubt"] > 0


def with_folder(flip, folder):
    files, where = flip
    return files, folder / "try", where


def outcome_of_policy(files, folder, where):
    """What is in force then: "the last good one", or "none"."""
    try:
        store = PolicyStore.open(put(files, folder) / "policy.db")
    except NOT_OPENED as error:
        assert_left_alone(error, files, folder, where)
        return "not opened"
    policies = Policies(store)
    try:
        if store.report.set_aside is not None:
            assert store.report.reason, where
            assert store.report.set_aside.stat().st_size == len(files["policy.db"]), where
        index = None
        with contextlib.suppress(*POLICY_ERRORS):
            index = asyncio.run(policies.load())
        if index is None:
            return "none"
        assert (index.version, index.digest) == ((1, REVISION), digest_of(policy_of(REVISION))), f"missed: {where}"
        assert index.verify(zlib.crc32), f"missed: {where}"
        return "the last good one"
    finally:
        store.close()


@pytest.mark.parametrize("flips", [60, pytest.param(1000, marks=FULL)])
def test_a_flipped_bit_of_the_policy_leaves_the_last_good_one(folder, flips):
    """Rows or image: whatever bit turned, what is in force is the policy that was signed; and where the image is gone
    too, none."""
    print("seed 52")
    choice, files = random.Random(52), policy_files(folder)
    found = Counter(outcome_of_policy(*with_folder(flipped(files, choice), folder)) for _ in range(flips))
    print(found)
    assert set(found) == {"the last good one"}
    files.pop("policy.image")
    without = Counter(outcome_of_policy(*with_folder(flipped(files, choice), folder)) for _ in range(flips))
    print(without)
    assert without["none"] > 0


def test_the_check_at_opening_alone_does_not_see_a_flipped_word(folder):
    """The control: SQLite has no checksum of what it stores; it is the chain that names the event."""
    files = left_by_a_killed_agent(folder)
    for number in range(60, 70):
        at = files["events.db"].index(b"passage %d " % number)
        data = bytearray(files["events.db"])
        data[at] ^= 1
        log = open_log(put(files | {"events.db": bytes(data)}, folder / "try"))
        assert (log.report.set_aside, log.doubt, log.last_seq) == (None, "", EVENTS)
        assert log.read(number, 1).result(WAIT_S)[0].event.detail.startswith("qassage")
        found = log.verify().result(WAIT_S)
        log.close()
        assert (found.is_whole, found.bad_seq) == (False, number)
