"""What can be read of a damaged log, and was not sent, still goes out under its old id; what cannot is said."""

import sqlite3

import pytest
from chain_scenes import a_manager, filled, opened, sent
from storage_scenes import WAIT_S

from edge.storage import salvaging
from edge.storage.errors import StorageError
from edge.storage.event_log import EventLog
from edge.storage.restoring import closed_logs
from edge.storage.salvaging import salvage
from edge.storage.state_store import StateStore

EVENTS, ACKED = 900, 200
PAGE = 4096


def leaves(path):
    """The pages that hold events, in the order of their numbers."""
    connection = sqlite3.connect(path)
    seqs = [row[0] for row in connection.execute("SELECT seq FROM event ORDER BY seq")]
    connection.close()
    raw, found = path.read_bytes(), []
    for at in range(0, len(raw), PAGE):
        # https://www.sqlite.org/fileformat2.html#b_tree_pages: 13 is a leaf of a table; its first cell's rowid.
        if raw[at] == 13 and raw.count(b"front-in", at, at + PAGE) > 3:
            found.append(at)
    assert len(found) > 10 < len(seqs)
    return found


def damaged(folder, pages):
    """A log whose leaves of those places were written over; its id, and how many events it had unsent."""
    log = opened(folder)
    StateStore(log.database).keep({"manager": b"4711"}).result(WAIT_S)
    filled(log, EVENTS, ACKED)
    log.close()
    at = leaves(folder / "events.db")
    with (folder / "events.db").open("r+b") as file:
        for place in pages:
            file.seek(at[place])
            file.write(b"\xff" * PAGE)
    return log.log_id


def set_aside(folder):
    """Opened by the next start, which finds it, and begins another."""
    log = opened(folder)
    assert log.report.set_aside is not None
    log.close()
    return log.report.set_aside


@pytest.mark.parametrize("pages", [(), (-3,), (-8, -3), (-1,)], ids=str)
def test_readable_events_go_out_under_the_old_id(tmp_path, pages):
    """All but those of the broken pages, with a note where the numbers have a hole; the manager takes them to the end,
    as not proven behind a hole, and acknowledges them; what was lost is counted, the damaged file stays as it is."""
    log_id = damaged(tmp_path, pages)
    if pages:
        aside = set_aside(tmp_path)
    else:
        aside = (tmp_path / "events.db").rename(tmp_path / "events.db.damaged-1")
    before = aside.read_bytes()
    (found,) = salvage(tmp_path)
    assert (found.path, found.trouble) == (aside, "")
    assert found.read + found.lost == EVENTS - ACKED
    assert bool(found.lost) == bool(pages)
    assert found.read > EVENTS - ACKED - 100
    assert aside.read_bytes() == before
    (path,) = closed_logs(tmp_path)
    log = EventLog.open(path)
    assert (log.log_id, log.acked, log.unsent > 0) == (log_id, ACKED, True)
    assert StateStore(log.database).load().result(WAIT_S) == {"manager": b"4711"}, "whose events they are"
    manager = a_manager(log)
    manager.seq = ACKED
    complaints = sent(log, manager)
    assert manager.seq == log.last_seq, complaints
    assert not [said for said in complaints if said.startswith(("a hole", "nothing"))], complaints
    assert log.acknowledge(log.last_seq, manager.head).result(WAIT_S) == log.last_seq
    log.close()
    assert salvage(tmp_path) == [], "once is enough"
    assert not list(tmp_path.glob("backup-copies-*"))


def test_a_log_that_nobody_can_name_is_said(tmp_path):
    """Nothing but noise: no closed log, and the trouble in words."""
    (tmp_path / "events.db.damaged-1").write_bytes(b"no database" * 1000)
    (found,) = salvage(tmp_path)
    assert (found.read, found.lost) == (0, 0)
    assert "not a database" in found.trouble
    assert closed_logs(tmp_path) == []


def test_a_log_without_unsent_events_makes_no_closed_one(tmp_path):
    """The control: what the cloud has is not sent again."""
    log = opened(tmp_path)
    filled(log, 100, 100)
    log.close()
    (tmp_path / "events.db").rename(tmp_path / "events.db.damaged-1")
    (found,) = salvage(tmp_path)
    assert found[1:] == (0, 0, "")
    assert closed_logs(tmp_path) == []


def put_aside(folder, count=700, **head):
    """A log of `count` unsent events, whole but for the values in `head`, as if it had been set aside."""
    log = opened(folder)
    filled(log, count)
    log.close()
    path = (folder / "events.db").rename(folder / "events.db.damaged-1")
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA ignore_check_constraints = ON")
    for name, value in head.items():
        connection.execute(f"UPDATE head SET {name} = ?", (value,))
    connection.commit()
    connection.close()
    return log.log_id


def unsent_of(path):
    log = EventLog.open(path)
    log.close()
    return log.log_id, log.unsent


def no_copy(*_, **__):
    raise StorageError("events.db: the disk is full; free space on it", "SQLITE_FULL")


def small(*arguments, **options):
    """A draft that may hardly grow: SQLite answers SQLITE_FULL in the middle of it, as on a full disk."""
    connection, report = OPEN_FILE(*arguments, **options)
    pages = connection.execute("PRAGMA page_count").fetchone()[0]
    connection.execute(f"PRAGMA max_page_count = {pages + 5}")
    return connection, report


def less(*arguments):
    """Says that an event more was written than there is in the draft."""
    return COPY(*arguments) + 1


OPEN_FILE, COPY = salvaging.open_file, salvaging._copy
TROUBLES = {"no copy": ("open_file", no_copy), "full": ("open_file", small), "less": ("_copy", less)}


@pytest.mark.parametrize("trouble", TROUBLES)
def test_a_disk_that_takes_no_copy_loses_no_unsent_event(tmp_path, monkeypatch, trouble):
    """It is not the damaged file's fault: that is said, nothing half is left, and the next start reads them all."""
    log_id = put_aside(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(salvaging, *TROUBLES[trouble])
        (found,) = salvage(tmp_path)
    assert (found.read, found.lost) == (0, 0)
    assert "the next start tries it" in found.trouble
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["events.db.damaged-1"]
    (found,) = salvage(tmp_path)
    assert found[1:] == (700, 0, "")
    assert unsent_of(tmp_path / "events.db.closed-1") == (log_id, 700)
    assert salvage(tmp_path) == []


def test_a_log_that_cannot_be_copied_keeps_no_other_from_being_read(tmp_path, monkeypatch):
    """Each is tried by itself, and what was done of them is told."""
    put_aside(tmp_path, 20)
    (tmp_path / "events.db.damaged-1").rename(tmp_path / "events.db.damaged-2")
    put_aside(tmp_path, 10)
    real = salvaging.check_room

    def no_room_for_one(folder, sources):
        if sources[0].name.endswith("-1"):
            no_copy()
        real(folder, sources)

    monkeypatch.setattr(salvaging, "check_room", no_room_for_one)
    assert [(found.path.name[-1], found.read) for found in salvage(tmp_path)] == [("1", 0), ("2", 20)]


@pytest.mark.timeout(60)
@pytest.mark.parametrize("head", [{"last_seq": 1 << 50}, {"last_seq": 701}], ids=str)
def test_a_number_that_damage_made_is_not_counted_up_to(tmp_path, head):
    """An absurd last number: what is there is read, in time. One that can be is believed: an event is lost."""
    log_id = put_aside(tmp_path, **head)
    (found,) = salvage(tmp_path)
    assert found[1:] == (700, head["last_seq"] % 700 % 2, "")
    assert unsent_of(tmp_path / "events.db.closed-1") == (log_id, 700)


@pytest.mark.timeout(60)
@pytest.mark.parametrize("head", [{"acked": -(1 << 50)}, {"acked": 701}, {"acked": 1 << 50}], ids=str)
def test_a_head_that_cannot_be_is_refused(tmp_path, head):
    """Nobody knows what of it was sent: no closed log, the trouble in words, once."""
    put_aside(tmp_path, **head)
    (found,) = salvage(tmp_path)
    assert (found.read, found.lost) == (0, 0)
    assert "which cannot be" in found.trouble
    assert closed_logs(tmp_path) == []
    assert salvage(tmp_path) == []


@pytest.mark.timeout(60)
def test_an_event_of_an_absurd_number_is_not_counted_up_to(tmp_path):
    """Both the head and the highest number are damaged: refused."""
    put_aside(tmp_path, 10, last_seq=1 << 50)
    connection = sqlite3.connect(tmp_path / "events.db.damaged-1")
    connection.execute("UPDATE event SET seq = 1 << 49 WHERE seq = 10")
    connection.commit()
    connection.close()
    (found,) = salvage(tmp_path)
    assert "which cannot be" in found.trouble


def test_a_log_that_was_found_damaged_where_a_restore_put_it_is_read(tmp_path):
    """Its unsent events go out from there as well, as a closed log beside the others; the next start finds it done."""
    aside = tmp_path / "before-restore-3"
    aside.mkdir()
    log_id = put_aside(aside, 30)
    (found,) = salvage(tmp_path)
    assert found == (aside / "events.db.damaged-1", 30, 0, "")
    assert closed_logs(tmp_path) == [tmp_path / "events.db.closed-1"]
    assert unsent_of(tmp_path / "events.db.closed-1") == (log_id, 30)
    assert salvage(tmp_path) == []
