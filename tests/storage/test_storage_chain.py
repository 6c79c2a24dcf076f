"""Row S6: whatever is changed in the log's file is found, and the first record that does not fit is named."""

import random
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest
from chain_scenes import KEYS, a_manager, filled, hands_on, opened, passage, sent
from storage_scenes import WAIT_S, held_up, make_event

from edge.decision import chain
from edge.storage.chain_rows import HASHES, notes_between, records_between
from edge.storage.chaining import LogKeys, check_of
from edge.storage.errors import AcknowledgeRefused
from edge.storage.event_log import EventLog
from edge.storage.high_water import HighWater

FULL = pytest.mark.full
SIZES = [300, pytest.param(10_000, marks=FULL)]
COLUMNS = {
    "at_ms": "at_ms + 1", "trusted": "1 - trusted", "door": "'garage'", "reader": "reader || 'x'", "medium": "'code'",
    "credential": "'4640000099'", "result": "'info'", "reason": "'expired'", "output": "'other'", "detail": "'nobody'",
    "policy_revision": "policy_revision + 1", "late": "CASE late WHEN 1 THEN 0 ELSE 1 END", "salt": "zeroblob(32)",
    "commitment": "zeroblob(16)", "chain": "zeroblob(56)",
}  # fmt: skip


@dataclass
class Written:
    """A log of `count` events, closed, `acked` of them acknowledged."""

    folder: Path
    count: int
    acked: int

    def copy(self, to: Path) -> Path:
        return Path(shutil.copytree(self.folder, to))


@pytest.fixture(scope="module", params=SIZES)
def written(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("written")
    count = request.param
    log = opened(folder)
    filled(log, count, acked=count * 6 // 10)
    assert log.verify().result(WAIT_S).is_whole
    log.close()
    return Written(folder, count, count * 6 // 10)


def verified(folder, **how):
    """What verify says of the file in `folder`, and what a manager who gets it all says."""
    log = opened(folder)
    try:
        return log.verify(**how).result(WAIT_S), sent(log, a_manager(log))
    finally:
        log.close()


def test_an_untouched_log_is_whole(written, tmp_path):
    """The control of everything below: all records are looked at, all fit, and the manager proves them too."""
    found, complaints = verified(written.copy(tmp_path / "log"))
    assert found.is_whole
    assert found.checked >= written.count
    assert (found.begun, found.unchained, found.acknowledged, complaints) == (1, 0, written.acked, [])


@pytest.mark.parametrize("column", COLUMNS)
def test_any_changed_column_is_found(written, tmp_path, column):
    """Somewhere in what is acknowledged and somewhere in what is not: that record is the first that does not fit."""
    choice = random.Random(column)
    for part, (low, high) in enumerate([(1, written.acked), (written.acked + 1, written.count)]):
        folder = written.copy(tmp_path / f"log{part}")
        seq = choice.randrange(low, high) // 5 * 5 + 1  # a badge or a call: a door that closes has no person
        with hands_on(folder) as connection:
            changed = connection.execute(f"UPDATE event SET {column} = {COLUMNS[column]} WHERE seq = ?", (seq,))
            assert changed.rowcount == 1
        found, complaints = verified(folder)
        assert (found.bad_seq, found.is_whole) == (seq, False), found
        # A batch brings the head behind its last event; the links of the others stay here, and nothing else changed.
        assert complaints or column == "chain", "the manager did not see it"


def test_another_boot_is_found(written, tmp_path):
    """An event that says another boot than its own."""
    folder = written.copy(tmp_path / "log")
    with hands_on(folder) as connection:
        connection.execute("INSERT INTO boot VALUES (77, 'another')")
        connection.execute("UPDATE event SET boot = 77 WHERE seq = 31")
    found, complaints = verified(folder)
    assert found.bad_seq == 31
    assert complaints


def delete_one(connection, choice, written):
    seq = choice.randrange(1, written.count)
    connection.execute("DELETE FROM event WHERE seq = ?", (seq,))
    return seq


def delete_and_renumber(connection, choice, written):
    seq = choice.randrange(1, written.count - 1)
    connection.execute("DELETE FROM event WHERE seq = ?", (seq,))
    for later in range(seq + 1, written.count + 1):
        connection.execute("UPDATE event SET seq = seq - 1 WHERE seq = ?", (later,))
    connection.execute("UPDATE head SET last_seq = last_seq - 1")
    return seq


def swap_two(connection, choice, written):
    one = choice.randrange(1, written.count - 1) // 5 * 5 + 1
    connection.execute("UPDATE event SET seq = -1 WHERE seq = ?", (one,))
    connection.execute("UPDATE event SET seq = ? WHERE seq = ?", (one, one + 1))
    connection.execute("UPDATE event SET seq = ? WHERE seq = -1", (one + 1,))
    return one


def put_one_in(connection, choice, written):
    """At the end, where no number has to move: a copy of an event that was."""
    connection.execute("CREATE TEMP TABLE copied AS SELECT * FROM event WHERE seq = 7")
    connection.execute("UPDATE copied SET seq = ?", (written.count + 1,))
    connection.execute("INSERT INTO event SELECT * FROM copied")
    connection.execute("UPDATE head SET last_seq = last_seq + 1")
    return written.count + 1


def truncate(connection, choice, written):
    seq = choice.randrange(written.acked + 1, written.count)
    connection.execute("DELETE FROM event WHERE seq >= ?", (seq,))
    return seq


def truncate_and_say_so(connection, choice, written):
    """The last event goes, and the number of the last with it; the head stays, it cannot be made."""
    seq = truncate(connection, choice, written)
    connection.execute("DELETE FROM note WHERE after >= ?", (seq - 1,))
    connection.execute("UPDATE head SET last_seq = ?", (seq - 1,))
    return seq - 1


def take_a_late_mark(connection, choice, written):
    (seq,) = connection.execute("SELECT min(seq) FROM event WHERE late = 2").fetchone()
    connection.execute("UPDATE event SET late = 0 WHERE seq = ?", (seq,))
    return seq


def put_a_late_mark(connection, choice, written):
    connection.execute("UPDATE event SET late = 2 WHERE seq = 3")
    return 3


def take_a_note(connection, choice, written):
    (after,) = connection.execute("SELECT min(after) FROM note WHERE kind = 1").fetchone()
    connection.execute("DELETE FROM note WHERE after = ? AND kind = 1", (after,))
    return after + 1


def change_a_note(connection, choice, written):
    (after,) = connection.execute("SELECT min(after) FROM note WHERE kind = 1").fetchone()
    connection.execute("UPDATE note SET last = last - 1 WHERE after = ? AND kind = 1", (after,))
    return after


def take_a_secret(connection, choice, written):
    connection.execute("DELETE FROM secret")
    return 1


def take_the_beginning(connection, choice, written):
    connection.execute("DELETE FROM start")
    return 1


def take_the_chain(connection, choice, written):
    """As if there had never been one."""
    connection.execute("UPDATE event SET chain = NULL")
    for table in ("note", "start"):
        connection.execute(f"DELETE FROM {table}")
    return written.count


def hide_a_stretch(connection, choice, written):
    """Unsent events at the lower end, taken for pruned ones."""
    last = written.acked + 20
    connection.execute("DELETE FROM event WHERE seq <= ?", (last,))
    connection.execute("INSERT INTO gap VALUES (1, 1, ?, ?, x'', zeroblob(32))", (last, last))
    return written.acked + 1


TAMPERS = (
    delete_one, delete_and_renumber, swap_two, put_one_in, truncate, truncate_and_say_so, take_a_late_mark,
    put_a_late_mark, take_a_note, change_a_note, take_a_secret, take_the_beginning, take_the_chain, hide_a_stretch,
)  # fmt: skip
UNSEEN_BY_FIRST_MANAGER = (truncate_and_say_so, take_a_late_mark, put_a_late_mark)  # seen otherwise, or not sent


@pytest.mark.parametrize("tamper", TAMPERS, ids=lambda tamper: tamper.__name__)
def test_what_is_taken_away_or_put_in_is_found(written, tmp_path, tamper):
    """Rows removed, moved, added; marks, notes, secrets and the beginning of the chain: each named by its place."""
    folder = written.copy(tmp_path / "log")
    with hands_on(folder) as connection:
        expected = tamper(connection, random.Random(tamper.__name__), written)
    found, complaints = verified(folder)
    assert found.bad_seq == expected, found
    assert complaints or tamper in UNSEEN_BY_FIRST_MANAGER


def test_truncation_by_an_older_copy_is_found_by_the_mark(tmp_path):
    """A whole, consistent older copy of the file: only the mark beside the keys knows that there was more."""
    (tmp_path / "now").mkdir()
    log = opened(tmp_path / "now")
    filled(log, 100)
    log.close()
    older = (tmp_path / "now" / "events.db").read_bytes()
    log = opened(tmp_path / "now")
    filled(log, 50)
    log.close()
    (tmp_path / "now" / "events.db").write_bytes(older)
    log = opened(tmp_path / "now")
    assert "it went up to 150" in log.doubt
    assert log.verify().result(WAIT_S).bad_seq == 101
    manager = a_manager(log)
    assert sent(log, manager) == []
    assert log.record([passage(1)], 1).result(WAIT_S) == [151], "no number is given twice"
    assert log.verify().result(WAIT_S).is_whole
    stretch = log.stretch(101, 500).result(WAIT_S)
    assert (stretch.events[0][0], stretch.notes[0].kind) == (151, chain.LOST)
    assert sent(log, manager) == []
    assert (manager.is_proven, log.counts().result(WAIT_S).total) == (True, 101)
    log.close()
    assert opened(tmp_path / "now").doubt == ""


def test_the_same_copy_without_the_mark_goes_unseen(tmp_path):
    """The control: it is the mark that finds it."""
    for _ in range(2):
        log = EventLog.open(tmp_path / "events.db", keys=KEYS)
        log.record([make_event(1)], 1).result(WAIT_S)
        log.close()
        if not (tmp_path / "older.db").exists():
            shutil.copy(tmp_path / "events.db", tmp_path / "older.db")
    shutil.copy(tmp_path / "older.db", tmp_path / "events.db")
    log = EventLog.open(tmp_path / "events.db", keys=KEYS)
    assert (log.doubt, log.verify().result(WAIT_S).is_whole) == ("", True)
    log.close()


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ("last_seq = last_seq - 10, chain_head = zeroblob(32)", "behind the end"),
        ("acked = acked - 100, acked_head = zeroblob(32)", "not those that the manager acknowledged"),
        ("acked = 1, acked_head = x''", "high-water mark"),
        ("chain_head = zeroblob(32)", "do not lead to the head"),
        ("log_id = zeroblob(16)", ""),
    ],
)
def test_a_head_row_that_was_rolled_back_is_found(written, tmp_path, columns, words):
    """The last number, what is acknowledged, the last head, the log's own name."""
    folder = written.copy(tmp_path / "log")
    with hands_on(folder) as connection:
        connection.execute(f"UPDATE head SET {columns}")
    found, _ = verified(folder)
    assert not found.is_whole
    assert words in found.reason


def forge(folder, check_key, first):
    """Rewrite every record from event `first` on as if another door had opened, with new MACs and heads throughout. The
    thief knows how it is done, has the whole file, and makes up the keys that it does not hold."""
    with hands_on(folder) as connection:
        log_id, last = connection.execute("SELECT log_id, last_seq FROM head").fetchone()
        connection.execute("UPDATE event SET door = 'garage' WHERE seq >= ?", (first,))
        key, head = b"t" * 32, b""
        for record in records_between(connection, log_id, 0, last + 1):
            head = record.begins or head
            mac, check = record.link[:16], record.link[16:24]
            if record.seq >= first:
                mac = chain.mac_of(HASHES, key, head, record.body)
                key = chain.key_after(HASHES, key)
            head = chain.head_after(HASHES, head, record.body, mac)
            if record.seq >= first:
                check = check_of(check_key, head, b"")
            table, name, number = ("note", "id", record.number) if record.note else ("event", "seq", record.seq)
            connection.execute(f"UPDATE {table} SET chain = ? WHERE {name} = ?", (mac + check + head, number))
        connection.execute("UPDATE head SET chain_head = ?", (head,))
    (folder / "keys" / "events.mark").unlink()  # he may as well


def test_a_forged_chain_behind_the_acknowledged_head_is_found(written, tmp_path):
    """Without this device's secret the first rewritten record is named; the manager's key finds it as well."""
    folder, first = written.copy(tmp_path / "log"), written.acked + 11
    forge(folder, b"guessed", first)
    found, complaints = verified(folder)
    assert found.bad_seq == first
    assert complaints


def test_a_verification_that_skips_the_checks_accepts_the_forged_one(written, tmp_path):
    """The negative control: heads follow one another, and nothing else is looked at."""
    folder = written.copy(tmp_path / "log")
    forge(folder, b"guessed", written.acked + 11)
    assert verified(folder, skip_checks=True)[0].is_whole


def test_a_thief_with_the_keys_folder_too_is_caught_by_the_manager(written, tmp_path):
    """What is said honestly in docs/privacy.md: this device can then be fooled about what nobody acknowledged yet; the
    MACs' keys are gone, so the manager cannot."""
    folder = written.copy(tmp_path / "log")
    forge(folder, KEYS.key_for(b"check"), written.acked + 11)
    found, complaints = verified(folder)
    assert found.is_whole
    assert complaints


def test_what_is_acknowledged_is_safe_from_a_thief_with_the_keys(written, tmp_path):
    """The acknowledgement that is kept names the head, and the manager signed it."""
    folder = written.copy(tmp_path / "log")
    forge(folder, KEYS.key_for(b"check"), written.acked - 50)
    assert verified(folder)[0].bad_seq == written.acked
    with hands_on(folder) as connection:
        log_id, head = connection.execute("SELECT log_id FROM head").fetchone()[0], b""
        for record in records_between(connection, log_id, 0, written.acked):
            head = record.begins or head
            head = chain.head_after(HASHES, head, record.body, record.link[:16])
        connection.execute("UPDATE head SET acked_head = ?", (head,))
    assert verified(folder)[0].is_whole, "he rewrote that as well"
    found, _ = verified(folder, countersigned=lambda proof: None)
    assert (found.bad_seq, "manager signed" in found.reason) == (written.acked, True)


# --- acknowledging, pruning, late marks, dropped events ---------------------------------------------------------


@pytest.fixture
def log(tmp_path):
    log = opened(tmp_path)
    yield log
    log.close()


def test_an_acknowledgement_of_another_chain_is_refused(log):
    """The right number with another head acknowledges nothing; the right head does, and its proof is kept."""
    filled(log, 60)
    head = log.stretch(1, 40).result(WAIT_S).heads[-1]
    with pytest.raises(AcknowledgeRefused, match="other events"):
        log.acknowledge(40, bytes(32)).result(WAIT_S)
    assert log.acknowledge(40, head, b"signed").result(WAIT_S) == 40
    assert (log.acked, log.acked_head) == (40, head)
    seen = []
    assert log.verify(lambda proof: seen.append(proof) or (log.log_id, 40, head)).result(WAIT_S).is_whole
    assert seen == [b"signed"]


def test_verify_starts_behind_what_was_pruned(log):
    """One gap record says what went; the rest still fits, in any slices, until nothing is left."""
    filled(log, 400, acked=350)
    for keep in (300, 120, 60):
        while log.prune(keep, at_most=37).result(WAIT_S):
            pass
        assert log.verify().result(WAIT_S).is_whole
        gap = log.database.read(lambda c: c.execute("SELECT first, last, count FROM gap").fetchall()).result(WAIT_S)
        assert gap == [(1, 400 - keep, 400 - keep)]
    with_notes = a_manager(log)
    assert sent(log, with_notes) == ["a hole at 1", "341: not proven"]
    log.acknowledge(400).result(WAIT_S)
    while log.prune(0).result(WAIT_S):
        pass
    assert log.verify().result(WAIT_S).is_whole
    filled(log, 20)
    assert log.verify().result(WAIT_S).is_whole


def test_a_late_mark_is_a_record_of_its_own(log):
    """Marked afterwards: a note that the manager gets; written late: in the event itself, and no note."""
    recording = log.record([passage(1), passage(2), passage(3)], 1)
    recording.result(WAIT_S)
    recording.mark_late().result(WAIT_S)
    recording.mark_late().result(WAIT_S)
    with held_up(log.database):
        waiting = log.record([passage(4)], 1)
        marked = waiting.mark_late()
    marked.result(WAIT_S)
    log.record([passage(5)], 1, late=True).result(WAIT_S)
    stretch = log.stretch(1, 10).result(WAIT_S)
    assert [entry[1] for entry in stretch.events] == [False, False, False, True, True]
    assert [note[1:] for note in stretch.notes if note.kind == chain.LATE] == [(chain.LATE, 1, 3)]
    assert [entry.late for entry in log.read(1).result(WAIT_S)] == [True] * 5
    assert log.verify().result(WAIT_S).is_whole
    manager = a_manager(log)
    assert sent(log, manager) == []


def test_a_full_log_warns_once_and_notes_what_it_dropped(tmp_path):
    """From 80 % on, again only after it fell below 70 %; the number of dropped events is in the chain."""
    log = opened(tmp_path, max_unsent=50)
    states = []
    for n in range(60):
        log.record([passage(n)], 1).result(WAIT_S)
        states.append(log.is_filling)
    assert states == [False] * 39 + [True] * 21
    for up_to, filling in ((14, True), (16, False)):
        log.acknowledge(up_to).result(WAIT_S)
        assert log.is_filling == filling
    assert log.record([passage(99)], 1).result(WAIT_S) == [51]
    stretch = log.stretch(45, 10).result(WAIT_S)
    assert [note for note in stretch.notes if note.kind == chain.DROPPED] == [chain.Note(50, chain.DROPPED, 0, 10)]
    assert (log.dropped, log.verify().result(WAIT_S).is_whole) == (10, True)
    log.close()


# --- keys and the mark ------------------------------------------------------------------------------------------


def keys_used(log, monkeypatch):
    """The key of each of twenty events that are recorded now."""
    used, real = [], chain.mac_of

    def watched_mac(hashes, key, head, body):
        used.append(key)
        return real(hashes, key, head, body)

    with monkeypatch.context() as watched:
        watched.setattr(chain, "mac_of", watched_mac)
        for n in range(20):
            log.record([passage(n)], 1).result(WAIT_S)
    return used


def test_neither_file_nor_journal_holds_a_key(tmp_path, monkeypatch):
    """No key of any event, nor the device's secret, stands anywhere in the files; without keys it would."""
    for name, keys in (("guarded", KEYS), ("bare", LogKeys())):
        (tmp_path / name).mkdir()
        log = EventLog.open(tmp_path / name / "events.db", keys=keys)
        used = keys_used(log, monkeypatch)
        content = b"".join(path.read_bytes() for path in (tmp_path / name).iterdir())
        log.close()
        assert len(set(used)) == 20
        assert any(key in content for key in used if key) == (name == "bare")
        assert KEYS.local not in content


def test_other_keys_begin_the_chain_anew_and_say_so(tmp_path):
    """A device whose keys were made again cannot go on with the old chain: a note says where it began anew."""
    log = opened(tmp_path)
    filled(log, 30)
    log.close()
    (tmp_path / "keys" / "events.mark").unlink()
    log = opened(tmp_path, keys=KEYS._replace(seal_id=b"manager 2"))
    log.record([passage(31)], 1).result(WAIT_S)
    found = log.verify().result(WAIT_S)
    assert (found.is_whole, found.begun) == (True, 2)
    assert "is gone" in log.doubt
    log.close()


def test_a_log_without_keys_or_mark_works(tmp_path):
    """As in a test or a tool: the chain runs, is checked by itself, and is sealed to nobody."""
    for _ in range(2):
        log = EventLog.open(tmp_path / "events.db")
        filled(log, 30, acked=10)
        assert (log.doubt, log.verify().result(WAIT_S).is_whole) == ("", True)
        log.close()
    assert log.log_id


@pytest.mark.parametrize("content", [b"", b"x" * 104, None])
def test_a_mark_that_was_touched_is_doubted(tmp_path, content):
    """Emptied, written over, or removed: said at the next start, and by verify."""
    log = opened(tmp_path)
    filled(log, 10)
    log.close()
    mark = tmp_path / "keys" / "events.mark"
    if content is None:
        mark.unlink()
    else:
        mark.write_bytes(content)
    log = opened(tmp_path)
    assert "mark" in log.doubt
    assert log.verify().result(WAIT_S).is_whole == (content is None)
    log.record([passage(1)], 1).result(WAIT_S)
    assert log.verify().result(WAIT_S).is_whole
    log.close()


def test_one_mark_for_all_records_of_a_commit(tmp_path, monkeypatch):
    """Written once nobody waits any more; what it says is where the log ends then, and no more."""
    written = []
    monkeypatch.setattr(HighWater, "write", lambda self, mark: written.append(mark))
    log = opened(tmp_path)
    with held_up(log.database):
        recordings = [log.record([passage(n)], 1) for n in range(1, 31)]
    assert [recording.result(WAIT_S) for recording in recordings] == [[n] for n in range(1, 31)]
    log.close()
    assert [(mark.last_seq, mark.head) for mark in written] == [(30, recordings[-1].head)]


def test_a_mark_that_cannot_be_written_holds_up_no_record(tmp_path):
    """Its folder is missing: counted, and events go on."""
    log = EventLog.open(tmp_path / "events.db", keys=KEYS, mark=tmp_path / "missing" / "events.mark")
    assert log.record([passage(1)], 1).result(WAIT_S) == [1]
    log.close()
    assert log.mark_failures > 0


def test_records_go_on_while_the_log_is_verified(log):
    """Verifying yields between its steps: events recorded, acknowledged, pruned and purged meanwhile do no harm."""
    filled(log, 3000, acked=2500)
    done = [log.verify() for _ in range(2)]
    numbers = [log.record([passage(n)], 1).result(WAIT_S)[0] for n in range(40)]
    log.prune(2000).result(WAIT_S)
    log.purge(passage(1500).at_ms).result(WAIT_S)
    assert numbers == list(range(3001, 3041))
    assert all(verifying.result(WAIT_S).is_whole for verifying in done)


def test_the_notes_of_a_batch_are_in_the_order_in_which_they_were_made(log):
    """What the manager replays is what was written."""
    recording = log.record([passage(1), passage(2)], 1)
    recording.result(WAIT_S)
    recording.mark_late().result(WAIT_S)
    log.record([passage(3)], 1).result(WAIT_S)
    rows = log.database.read(lambda connection: notes_between(connection, 0, 3)).result(WAIT_S)
    assert [row.note.kind for row in rows] == [chain.BEGIN, chain.LATE]
    assert [row.number for row in rows] == [1, 2]
