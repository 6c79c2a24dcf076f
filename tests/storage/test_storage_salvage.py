"""What can be read of a damaged log, and was not sent, still goes out under its old id; what cannot is said."""

import sqlite3

import pytest
from chain_scenes import a_manager, filled, opened, sent
from storage_scenes import WAIT_S

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
