"""The chain on its way to the manager: what it costs on the wire, and what is refused. With a real log behind it."""

import random

import pytest
import uplink_world as world

from edge.decision import chain
from edge.storage import stretches
from edge.storage.chain_rows import HASHES
from edge.storage.chaining import LogKeys
from edge.storage.event_log import EventLog
from edge.uplink import sealing, signing, sync, wire
from edge.uplink.sync import Acknowledged, NeedEvents, Publish, Refused

WAIT_S = 30
NOW = 5_000_000
SEAL_PRIVATE = bytes(range(100, 132))
SEAL_PUBLIC = sealing.seal_public(SEAL_PRIVATE)
BOOT = "6f3ab6a4-3f4c-4d6e-9d0e-0c3b9f6d1a2e"


def sealed_for_manager(key, log_id, first):
    return sealing.seal_log_key(SEAL_PUBLIC, key, log_id, first)


def unsealed(sealed, log_id, first):
    return sealing.unseal_log_key(SEAL_PRIVATE, sealed, log_id, first)


@pytest.fixture
def log(tmp_path):
    keys = LogKeys(b"k" * 32, sealed_for_manager, sealing.seal_name(SEAL_PUBLIC))
    log = EventLog.open(tmp_path / "events.db", boot_id=BOOT, keys=keys)
    yield log
    log.close()


def recorded(log, count, seed=1):
    """A day's events in the log."""
    log.record([entry[3] for entry in world.day_of_events(count, seed)], 7).result(WAIT_S)


def follower(log):
    return chain.Follower(HASHES, log.log_id, 0, b"", b"", unsealed)


def sent(log, first, limit=640):
    """A batch as it arrives at the manager."""
    stretch = log.stretch(first, limit).result(WAIT_S)
    raw, count = signing.encode_events(log.log_id, stretch, world.EDGE_TRUST, world.DEVICE_KEY)
    return signing.verify_events(raw, world.CLOUD_TRUST), raw, count


def test_640_chained_events_take_at_most_6_bytes_each(log):
    """Row P5, chain, day secrets, boot and signature counted: every batch but the first, which begins the chain."""
    recorded(log, 6500)
    sizes = [len(sent(log, first)[1]) / 640 for first in range(1, 5121, 640)]
    print("bytes an event:", " ".join(f"{size:.2f}" for size in sizes))
    assert max(sizes[1:]) <= 6
    assert sum(sizes) / len(sizes) <= 6


def test_what_arrives_gives_the_head_that_it_names(log):
    """Batches of several sizes, sent again and overlapping: the manager has the log's head, and believed nothing."""
    recorded(log, 1200)
    manager, chance = follower(log), random.Random(5)
    while manager.seq < 1200:
        first = max(1, manager.seq + 1 - chance.randrange(30))
        batch, _, _ = sent(log, first, chance.randrange(40, 500))
        assert manager.takes(batch.stretch)
        manager.follow(batch.stretch)
        assert manager.is_proven
    assert manager.head == log.stretch(1200, 1).result(WAIT_S).heads[-1]


def test_a_stranger_cannot_open_the_first_key(log):
    """The sealed key is for the manager, this log and this event; touched, or for others, it opens nothing."""
    recorded(log, 1)
    (start,) = log.stretch(1, 1).result(WAIT_S).starts
    assert len(unsealed(start.sealed, log.log_id, 1)) == 32
    assert sealing.unseal_log_key(bytes(range(32)), start.sealed, log.log_id, 1) == b""
    assert unsealed(start.sealed, bytes(16), 1) == b""
    assert unsealed(start.sealed, log.log_id, 2) == b""
    for at in (0, 40, 79):
        touched = bytearray(start.sealed)
        touched[at] ^= 1
        assert unsealed(bytes(touched), log.log_id, 1) == b""
    assert unsealed(b"", log.log_id, 1) == b""


def test_events_that_lost_their_person_are_proven_too(log):
    """Purged or erased before they were sent: commitments and salts travel in their place, and all of it is proven."""
    recorded(log, 400)
    someone = log.stretch(1, 400).result(WAIT_S).events[0][3].credential
    assert log.erase(someone).result(WAIT_S) > 0
    at_ms = [entry[3].at_ms for entry in log.stretch(1, 400).result(WAIT_S).events]
    assert log.purge(at_ms[100]).result(WAIT_S) > 0
    manager = follower(log)
    batch, _, _ = sent(log, 1)
    manager.follow(batch.stretch)
    assert manager.is_proven
    assert {len(proof) for proof in batch.stretch.proofs} == {0, 16, 32}
    assert all(entry[3].credential is None for entry in batch.events[:100])


def test_a_batch_with_many_proofs_takes_what_fits(log):
    """500 events of which nothing but commitments is left still fit a message."""
    recorded(log, 500)
    log.purge(2**50).result(WAIT_S)
    batch, raw, count = sent(log, 1)
    assert len(raw) <= wire.MAX_BATCH
    assert len(batch.events) == count


def machine(log):
    return sync.Sync(
        world.EDGE_TRUST, world.DEVICE_KEY, log_id=log.log_id, last_seq=log.last_seq, acked=log.acked,
        version=(world.EPOCH, 7), digest=bytes(32), boot_id="b", software="s", acked_head=log.acked_head,
        start=log.start, session=b"session1",
    )  # fmt: skip


def ack(log, up_to, head):
    return signing.encode_ack(log.log_id, up_to, world.CLOUD_TRUST, world.MANAGER_KEY, head)


def test_an_ack_of_other_events_is_refused_and_said(log):
    """The right number with another head acknowledges nothing; the right one is handed on with its bytes to keep."""
    recorded(log, 10)
    one = machine(log)
    one.connected(NOW)
    stretch = log.stretch(1, 10).result(WAIT_S)
    one.events_read(1, stretch, NOW)
    (refused,) = one.received("down/ack", ack(log, 10, bytes(32)), NOW)
    assert isinstance(refused, Refused)
    assert (refused.reason, one.pending) == ("head", 10)
    right = ack(log, 10, stretch.heads[-1])
    assert one.received("down/ack", right, NOW) == [Acknowledged(10, stretch.heads[-1], right)]


def test_an_ack_that_the_log_refuses_is_taken_back(log):
    """Of events that this connection did not send, only the log knows the head: it refuses, and they are sent again;
    the same acknowledgement does not start it all over."""
    recorded(log, 10)
    one = machine(log)
    one.connected(NOW)
    wrong = ack(log, 8, b"\1" * 32)
    acknowledged = one.received("down/ack", wrong, NOW)[0]
    with pytest.raises(Exception, match="other events"):
        log.acknowledge(acknowledged.up_to, acknowledged.head, acknowledged.message).result(WAIT_S)
    (refused,) = one.ack_refused(log.acked, log.acked_head, acknowledged, NOW)
    assert (refused.reason, one.pending) == ("head", 10)
    assert one.received("down/ack", wrong, NOW) == []
    assert NeedEvents(1, 10) in one.tick(NOW + 1_000)


def test_a_hello_says_where_the_acknowledged_chain_began(log):
    """After a restart, too: a manager without a database gets the head and the sealed key with it."""
    recorded(log, 10)
    one = machine(log)
    assert hello(one.connected(NOW)).start is None
    stretch = log.stretch(1, 10).result(WAIT_S)
    one.events_read(1, stretch, NOW)
    one.received("down/ack", ack(log, 10, stretch.heads[-1]), NOW)
    said = hello(one.tick(NOW + 20_000))
    log.acknowledge(10, stretch.heads[-1]).result(WAIT_S)
    log.start = log.database.read(lambda connection: stretches.start_of(connection, 10)).result(WAIT_S)
    again = hello(machine(log).connected(NOW))
    assert said.start == again.start == (1, stretch.starts[0].sealed)
    assert said.head == again.head == stretch.heads[-1]
    assert said.number > again.number
    key = unsealed(said.start[1], log.log_id, 1)
    manager = chain.Follower(HASHES, log.log_id, 10, said.head, chain.key_after(HASHES, key, 10), unsealed)
    recorded(log, 10, seed=2)
    manager.follow(sent(log, 11)[0].stretch)
    assert manager.is_proven


def hello(actions):
    (raw,) = [action.payload for action in actions if isinstance(action, Publish) and action.suffix == "up/hello"]
    return signing.verify_hello(raw, world.CLOUD_TRUST)
