"""A flipped bit in an unsent event never holds up the uplink: what is impossible is mended, the rest goes as it is."""

import random
import sqlite3

import pytest
import uplink_world as world

from edge.decision import chain
from edge.decision.chain import Note, Start
from edge.decision.model import Event
from edge.storage.event_log import EventLog
from edge.uplink import columns, fields, mending, signing
from edge.uplink.wire import WireError

BAD = 5  # the event that is damaged
FAR = 9 * 10**18
NOBODY = b"\x00" * 16  # as long as a commitment

# name: (what happened to the file, which field of event BAD is then another, and what it is)
IN_THE_FILE = {
    "result": ("UPDATE event SET result = 'opdn' WHERE seq = 5", "result", "info"),
    "at_ms low": (f"UPDATE event SET at_ms = -{FAR} WHERE seq = 5", "at_ms", -fields.MAX_TIME),
    "at_ms high": (f"UPDATE event SET at_ms = {FAR} WHERE seq = 5", "at_ms", fields.MAX_TIME),
    "credential": ("UPDATE event SET credential = '46p0123456' WHERE seq = 5", "credential", None),
    "credential -1": ("UPDATE event SET credential = '-1' WHERE seq = 5", "credential", None),
    "credential 2^64": (f"UPDATE event SET credential = '{1 << 64}' WHERE seq = 5", "credential", None),
    "NUL": ("UPDATE event SET door = 'ha' || char(0) || 'l' WHERE seq = 5", "door", "ha\ufffdl"),
    "no UTF-8": ("UPDATE event SET door = CAST(x'68ff6c6c' AS TEXT) WHERE seq = 5", None, None),
    "long": ("UPDATE event SET detail = printf('%300d', 7) WHERE seq = 5", "detail", " " * 200),
    "policy_revision": ("UPDATE event SET policy_revision = -1 WHERE seq = 5", None, None),
    "boot": ("UPDATE event SET boot = 77 WHERE seq = 5", None, None),
    "boot NUL": ("UPDATE boot SET boot_id = 'b' || char(0)", None, None),
    "late": ("UPDATE event SET late = 77 WHERE seq = 5", None, None),
    "trusted": ("UPDATE event SET trusted = 77 WHERE seq = 5", None, None),
    "chain": ("UPDATE event SET chain = x'00'", None, None),
    "salt": ("UPDATE event SET salt = x'00' WHERE seq = 5", None, None),
    "commitment size": ("UPDATE event SET commitment = x'00' WHERE seq = 5", None, None),
    "commitment": ("UPDATE event SET commitment = zeroblob(16) WHERE seq = 5", None, None),
    "secret": ("UPDATE secret SET secret = x'00'", None, None),
    "secret first": ("UPDATE secret SET first = -1", None, None),
    "note kind": ("UPDATE note SET kind = 9", None, None),
    "note is BEGIN": ("UPDATE note SET kind = 4", None, None),
    "note is LATE": ("UPDATE note SET kind = 1", None, None),
    "note order": ("UPDATE note SET after = 9 WHERE id = 1", None, None),
    "note numbers": ("UPDATE note SET first = -1", None, None),
    "start first": ("UPDATE start SET first = -1", None, None),
    "start head": ("UPDATE start SET head = x'00'", None, None),
    "start sealed": ("UPDATE start SET sealed = x'00'", None, None),
}
STOPPED_ALL = {
    "result", "at_ms low", "at_ms high", "policy_revision", "salt", "commitment size", "commitment", "secret",
    "secret first", "note kind", "note is BEGIN", "note order", "note numbers", "start head", "start sealed",
}  # fmt: skip


def _event(i):
    return Event(1763800000000 + i, True, "hall", "in", "badge", 4640123456 + i % 3, "open", "", "strike", "")


def _corrupted(path, sql):
    """(the events of a log as recorded, its stretch after `sql` was done to the file)."""
    recorded = [_event(i) for i in range(10)]
    log = EventLog.open(path, boot_id="b")
    log.record(recorded[:4], 7).result()
    log.close()
    with sqlite3.connect(path) as connection:
        connection.execute(
            "INSERT INTO note (after, kind, first, last, chain) VALUES (4, 1, 2, 2, zeroblob(56)), "
            "(4, 2, 0, 3, zeroblob(56))"
        )
    connection.close()
    log = EventLog.open(path, boot_id="b")
    log.record(recorded[4:], 7).result()
    log.close()
    connection = sqlite3.connect(path)
    assert connection.execute(sql).rowcount
    connection.commit()
    connection.close()
    log = EventLog.open(path, boot_id="b")
    try:
        assert log.report.set_aside is None
        return recorded, log.stretch(1, 640).result()
    finally:
        log.close()


def _sent(stretch):
    """What the manager understands of a stretch, all of which has to go."""
    raw, count = signing.encode_events(world.LOG_ID, stretch, world.EDGE_TRUST, world.DEVICE_KEY)
    assert count == len(stretch.events)
    return signing.verify_events(raw, world.CLOUD_TRUST)


@pytest.mark.parametrize("name", IN_THE_FILE)
def test_a_damaged_column_is_mended_and_the_rest_goes_as_it_was(tmp_path, name):
    """Whatever column of the log's file was hit, the manager takes the batch, and every other event is as recorded."""
    sql, field, value = IN_THE_FILE[name]
    recorded, stretch = _corrupted(tmp_path / "events.db", sql)
    got = [event for _, _, _, event in _sent(stretch).events]
    assert [each for i, each in enumerate(got) if i != BAD - 1] == [
        each for i, each in enumerate(recorded) if i != BAD - 1
    ]
    if field is not None:
        assert getattr(got[BAD - 1], field) == value


@pytest.mark.parametrize("name", sorted(STOPPED_ALL))
def test_without_mending_the_batch_is_refused(tmp_path, monkeypatch, name):
    """Negative control: these are refused as they come from the file."""
    _, stretch = _corrupted(tmp_path / "events.db", IN_THE_FILE[name][0])
    monkeypatch.setattr(mending, "mend", lambda same: same)
    with pytest.raises(WireError, match=r"^malformed"):
        _sent(stretch)


def test_a_healthy_stretch_is_not_touched():
    """What is mended of a healthy stretch is nothing, whether the chain covers it or not."""
    for stretch in (world.FEW_CHAINED, world.FEW_PLAIN, chain.plain(world.day_of_events(640))):
        assert mending.mend(stretch) == stretch


@pytest.mark.parametrize("number", [-1, -(2**63), 2**64, 1.5, "7"])
def test_a_number_that_cannot_be_is_nobodys(number):
    """A credential is never cut to one that somebody may have: -1 would be 255's."""
    events = [_event(1), _event(2)._replace(credential=number)]
    got = _sent(chain.plain([(1, False, 7, events[0]), (2, False, 7, events[1])])).events
    assert [each[3].credential for each in got] == [events[0].credential, None]


def test_a_begin_and_its_start_go_together():
    """A note that cannot be goes with its start; a start that cannot be is one that is sealed to nobody."""
    starts = (Start(1, bytes(32), b""), Start(2, b"x" * 32, b""), Start(-1, b"?", b"?"), Start(4, b"h" * 32, b"s" * 80))
    notes = tuple(Note(i, chain.BEGIN, i + 1, 0) for i in range(4))
    bad = notes[1]._replace(last=-1)
    events = [(i + 1, False, 7, _event(i)) for i in range(5)]
    got = _sent(chain.plain(events)._replace(notes=(notes[0], bad, *notes[2:]), starts=starts)).stretch
    assert got.notes == (notes[0], *notes[2:])
    assert got.starts == (starts[0], Start(0, bytes(32), b""), starts[3])


def test_more_notes_than_fit_before_one_event_are_left_out():
    """Also where nothing is left to cut."""
    starts = tuple(Start(1, bytes(32), b"") for _ in range(20))
    begins = tuple(Note(0, chain.BEGIN, 1, 0) for _ in starts)
    late = tuple(Note(0, chain.LATE, 1, 1) for _ in range(3000))
    plain = chain.plain([(1, False, 7, _event(1))])
    assert len(_sent(plain._replace(notes=begins, starts=starts)).stretch.starts) == fields.MAX_STARTS
    assert len(_sent(plain._replace(notes=late)).stretch.notes) == columns.MAX_NOTES


def _wild(chance, value):
    """What a bit may have made of a value: another one, a far one, or one of another type."""
    numbers = (-1, -FAR, FAR, 2**63, 2**64, 2**64 - 1, -(2**60) - 1, 2**60 + 1, 0, 1.5, chance.randrange(2**64))
    texts = ("", "opdn", "a\0b", "\ud800", "x" * 300, "open", "info", "call", "漢字")
    blobs = (b"", b"\0", NOBODY, bytes(32), bytes(33), bytes(80), b"open")
    if type(value) is int and chance.random() < 0.5:
        flipped = value & fields.MAX_UINT ^ 1 << chance.randrange(64)
        return flipped - (flipped >> 63 << 64)
    return chance.choice(chance.choice((numbers, texts, blobs, (None,))))


def _hit(chance, values, odds=0.1):
    return tuple(_wild(chance, value) if chance.random() < odds else value for value in values)


def _wild_stretch(chance):
    """A stretch of some events with damage of every kind; its numbers alone are contiguous."""
    count, first = chance.randrange(1, 12), chance.choice((1, 41, 2**40))
    events = [
        (seq, chance.random() < 0.1, *_hit(chance, (7,)), Event(*_hit(chance, _event(seq)._replace(detail="d"))))
        for seq in range(first, first + count)
    ]
    notes = [
        Note(chance.randrange(first - 1, first + count), *_hit(chance, (chance.choice((1, 2, 3, 4)), seq, seq)))
        for seq in range(first, first + chance.randrange(4))
    ]
    starts = [Start(*_hit(chance, (first, bytes(32), bytes(80)))) for note in notes if note.kind == chain.BEGIN]
    proofs = [chance.choice((b"", bytes(32), NOBODY)) for _ in events]
    secrets = [(seq, *_hit(chance, (bytes(32),))) for seq in (-1, first) if chance.random() < 0.5]
    return chain.Stretch(
        tuple(events), _hit(chance, ("boot",) * count), _hit(chance, proofs), tuple(notes), tuple(secrets),
        tuple(starts), _hit(chance, (bytes(32),) * count),
    )  # fmt: skip


def test_whatever_is_damaged_the_manager_takes_it(monkeypatch):
    """2,000 stretches with wild values, wild types too: each encodes, each is accepted, no event is missing; as they
    are, most would be refused."""
    seed = 20261122
    print("seed", seed)
    chance = random.Random(seed)
    wild = [_wild_stretch(chance) for _ in range(2000)]
    for stretch in wild:
        got = _sent(stretch)
        assert [each[0] for each in got.events] == [each[0] for each in stretch.events]
    monkeypatch.setattr(mending, "mend", lambda same: same)
    refused = sum(_is_refused(stretch) for stretch in wild[:200])
    assert refused > 100


def _is_refused(stretch):
    try:
        _sent(stretch)
    except (WireError, TypeError, AttributeError, ValueError, OverflowError):
        return True
    return False
