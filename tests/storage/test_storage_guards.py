"""Small guards of the log, each with what would be lost, stay readable or go unnoticed without it."""

import os
import shutil

import pytest
from chain_scenes import DAY_MS, KEYS, a_manager, filled, hands_on, opened, sent
from storage_scenes import WAIT_S, make_event

from edge.decision import chain
from edge.storage import personal
from edge.storage.chain_rows import HASHES
from edge.storage.high_water import HighWater, Mark

NOW_MS = 1_700_000_000_000
MARK = Mark(b"l" * 16, 7, 3, b"h" * 32)


def numbers(log):
    return [entry.event.credential for entry in log.read(1).result(WAIT_S)]


# --- personal data ----------------------------------------------------------------------------------------------


def test_an_event_whose_time_nobody_trusts_says_not_how_old_others_are(tmp_path):
    """A power cut, a clock that starts in 2001: what was recorded before that event is not old for it."""
    log = opened(tmp_path)
    log.record([make_event(1, at_ms=NOW_MS, credential=4711)], 1).result(WAIT_S)
    log.record([make_event(2, at_ms=NOW_MS - 900 * DAY_MS, trusted=False, credential=4712)], 1).result(WAIT_S)
    assert log.purge(NOW_MS - 90 * DAY_MS).result(WAIT_S) == 0
    assert numbers(log) == [4711, 4712]
    log.record([make_event(3, at_ms=NOW_MS - 90 * DAY_MS - 1, credential=4713)], 1).result(WAIT_S)
    assert log.purge(NOW_MS - 90 * DAY_MS).result(WAIT_S) == 3
    log.close()


def test_a_secret_that_dies_serves_no_new_event(tmp_path):
    """A power cut between an erasure and the end of its secret: the next event of that day gets another one."""
    log = opened(tmp_path)
    log.record([make_event(1, at_ms=NOW_MS)], 1).result(WAIT_S)
    log.database.write(lambda c: c.execute("UPDATE secret SET is_dying = 1")).result(WAIT_S)
    log.close()
    log = opened(tmp_path)
    log.record([make_event(2, at_ms=NOW_MS)], 1).result(WAIT_S)
    secrets = log.database.read(lambda c: c.execute("SELECT first, is_dying FROM secret ORDER BY first").fetchall())
    assert secrets.result(WAIT_S) == [(1, 1), (2, 0)]
    log.erase(4_640_000_000).result(WAIT_S)  # anybody: what was left undone is done with it
    assert log.verify().result(WAIT_S).is_whole
    log.close()


def test_the_salt_of_who_is_erased_goes_too(tmp_path):
    """After one person's erasure the others have salts of their own; whoever is erased next must not leave it, or all
    numbers could be tried against the commitment."""
    log = opened(tmp_path)
    log.record([make_event(n, at_ms=NOW_MS, credential=4711 + n, detail="") for n in range(3)], 1).result(WAIT_S)
    assert log.erase(4711).result(WAIT_S) == 1
    assert log.erase(4712).result(WAIT_S) == 1
    salts = log.database.read(lambda c: [row[0] for row in c.execute("SELECT salt FROM event ORDER BY seq")])
    first, second, third = salts.result(WAIT_S)
    assert (first, second) == (None, None)
    assert len(third) == chain.SALT
    assert log.verify().result(WAIT_S).is_whole
    log.close()


def test_who_is_never_named_cannot_be_found_by_trying(tmp_path):
    """Where the site names nobody, the commitment's salt is random and kept nowhere: no known salt opens it."""
    event = make_event(1, credential=4711, detail="")
    log = opened(tmp_path, is_nominative=False)
    log.record([event, event], 1).result(WAIT_S)
    found = log.database.read(lambda c: [row[0] for row in c.execute("SELECT commitment FROM event ORDER BY seq")])
    first, second = found.result(WAIT_S)
    log.close()
    assert first != second
    assert chain.commit(HASHES, bytes(chain.SALT), event) not in (first, second)
    assert personal.never_named(event) != personal.never_named(event)


# --- the high-water mark ----------------------------------------------------------------------------------------


def test_a_mark_with_any_other_byte_is_doubted(tmp_path):
    """Whoever puts an older copy of the log there cannot make its mark as well."""
    high_water = HighWater(tmp_path / "mark", b"k" * 32)
    high_water.write(MARK)
    assert high_water.read() == MARK
    raw = bytearray((tmp_path / "mark").read_bytes())
    for at in range(len(raw)):
        raw[at] ^= 1
        (tmp_path / "mark").write_bytes(raw)
        with pytest.raises(ValueError, match="not a mark that this device wrote"):
            high_water.read()
        raw[at] ^= 1
    (tmp_path / "mark").write_bytes(raw)
    with pytest.raises(ValueError, match="not a mark"):
        HighWater(tmp_path / "mark", b"j" * 32).read()  # another device's
    assert high_water.read() == MARK
    high_water.close()


def test_a_mark_is_never_written_through_a_link(tmp_path):
    """A link in its place must not make the agent write over another file; that it fails is counted."""
    other = tmp_path / "other"
    other.write_bytes(b"something else")
    (tmp_path / "mark").symlink_to(other)
    high_water = HighWater(tmp_path / "mark", b"k" * 32)
    high_water.write(MARK)
    assert high_water.failures == 1
    assert other.read_bytes() == b"something else"


def test_a_mark_takes_the_place_of_a_longer_file(tmp_path):
    """What was there goes whole, else the mark would be doubted for ever."""
    (tmp_path / "mark").write_bytes(b"x" * 4096)
    high_water = HighWater(tmp_path / "mark", b"k" * 32)
    high_water.write(MARK)
    assert high_water.read() == MARK
    high_water.close()


def test_another_past_of_the_same_log_is_found_by_the_mark(tmp_path):
    """An older copy that went on by itself, with this device's own keys, is longer than the mark says, and whole; only
    the head that the mark has is nowhere in it."""
    mark = tmp_path / "keys" / "events.mark"
    log = opened(tmp_path)
    filled(log, 5)
    log.close()
    shutil.copy(tmp_path / "events.db", tmp_path / "older")
    log = opened(tmp_path)
    log.record([make_event(n) for n in range(3)], 1).result(WAIT_S)
    log.close()
    kept = mark.read_bytes()
    mark.unlink()
    shutil.copy(tmp_path / "older", tmp_path / "events.db")
    log = opened(tmp_path)
    log.record([make_event(n) for n in range(10, 20)], 1).result(WAIT_S)
    assert log.verify().result(WAIT_S).is_whole  # without the mark nobody could tell
    log.close()
    mark.write_bytes(kept)
    log = opened(tmp_path)
    found = log.verify().result(WAIT_S)
    assert (found.bad_seq, found.reason) == (8, "the records up to here are not those of the high-water mark")
    log.close()


def test_the_mark_of_another_log_is_said(tmp_path):
    """A whole file of the same device with another id in its place: at its opening, and when it is verified."""
    first = opened(tmp_path)
    filled(first, 5)
    first.close()
    os.rename(tmp_path / "events.db", tmp_path / "away")
    log = opened(tmp_path)
    assert log.doubt.startswith(f"a new log begins: the one before, {first.log_id.hex()[:8]}")
    found = log.verify().result(WAIT_S)
    assert found.bad_seq == 0
    assert "the high-water mark is of another log" in found.reason
    log.close()


# --- the chain --------------------------------------------------------------------------------------------------


def test_a_key_that_was_touched_in_the_file_is_not_gone_on_with(tmp_path):
    """Else each event from there on would be broken in the cloud and nobody knew why: the chain begins anew, noted."""
    log = opened(tmp_path)
    filled(log, 5)
    manager = a_manager(log)
    assert sent(log, manager) == []
    log.close()
    with hands_on(tmp_path) as connection:
        stored = connection.execute("SELECT chain_key FROM head").fetchone()[0]
        connection.execute("UPDATE head SET chain_key = ?", (bytes([stored[0] ^ 1]) + stored[1:],))
    log = opened(tmp_path)
    log.record([make_event(6), make_event(7)], 1).result(WAIT_S)
    found = log.verify().result(WAIT_S)
    assert (found.is_whole, found.begun) == (True, 2)
    assert sent(log, manager) == []
    assert manager.is_proven
    log.close()


def test_the_keys_of_a_log_are_each_for_one_purpose():
    """Who learns one has not the others."""
    assert len({KEYS.key_for(purpose) for purpose in (b"check", b"wrap", b"mark")}) == 3
