"""Backups of a log that is being written, and what a restore keeps, refuses and survives."""

import io
import json
import os
import shutil
import sqlite3
import tarfile
import threading
import time
from contextlib import closing
from pathlib import Path

import pytest
from storage_scenes import WAIT_S, child, digest_of, held_up, make_delta, make_event, policy_rows

from edge.storage import archive, backup, restoring
from edge.storage.archive import EVENTS, MANIFEST, POLICY, BackupRefused
from edge.storage.errors import StorageError
from edge.storage.event_log import EventLog
from edge.storage.policy_store import PolicyStore
from edge.storage.state_store import StateStore

FLOOR = "policy-floor"
FILL = 4000  # events: some hundred pages


def trust(_):
    """Vouches for anything: whose a manifest is, is for edge/commands/restore.py to say."""


def controller(data: Path, events: int = 5, revision: int = 1, floor_ms: int = 1, kept: bytes = b"old") -> bytes:
    """Files as an agent leaves them: `events`, of which 2 are acknowledged, and a policy. Returns the log's id."""
    data.mkdir(mode=0o700, exist_ok=True)
    log = EventLog.open(data / EVENTS)
    state = StateStore(log.database)
    log.record([make_event(n, trusted=False) for n in range(1, events + 1)], revision).result(WAIT_S)
    log.acknowledge(min(2, events)).result(WAIT_S)
    state.keep({"lockout": kept, FLOOR: b"1 %d" % revision}).result(WAIT_S)
    state.raise_floor(floor_ms).result(WAIT_S)
    log.close()
    store = PolicyStore.open(data / POLICY)
    rows = policy_rows(revision)
    store.apply(make_delta(0, revision, rows)).result(WAIT_S)
    store.write_image(b"image").result(WAIT_S)
    store.close()
    return log.log_id


def packed(data: Path, target: Path) -> Path:
    """A backup of files that no agent has open."""
    folder = target.with_name(target.name + ".copies")
    folder.mkdir()
    for name in archive.PARTS:
        backup.copy_unused(data / name, folder / name)
    manifest = archive.manifest_of(folder, controller="c", device="d", software="s", now_ms=1_800_000_000_000)
    archive.pack(folder, target, manifest, b"signature", force=False)
    shutil.rmtree(folder)
    return target


def restore(data: Path, file: Path, with_policy: bool = True) -> restoring.Restored:
    return restoring.restore(data, file, policy_floor=FLOOR, with_policy=with_policy, vouch=trust)


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below a folder; a journal that closing a database left empty counts as none."""
    files = {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    return {name: content for name, content in files.items() if content or not name.endswith("-wal")}


def seqs(path: Path) -> list[int]:
    with closing(sqlite3.connect(path)) as connection:
        return [seq for (seq,) in connection.execute("SELECT seq FROM event ORDER BY seq")]


# --- copies -----------------------------------------------------------------------------------------------------


class Recording(threading.Thread):
    """Doors that record one event after the other; `taken_s`: how long each took to be durable."""

    def __init__(self, log: EventLog) -> None:
        super().__init__()
        self.log, self.taken_s, self.numbers, self.ended = log, [], [], False

    def run(self) -> None:
        while not self.ended:
            started = time.perf_counter()
            self.numbers += self.log.record([make_event(1)], 1).result(WAIT_S)
            self.taken_s.append(time.perf_counter() - started)

    def median_s(self, since: int = 0) -> float:
        some = sorted(self.taken_s[since:])
        return some[len(some) // 2]


@pytest.fixture
def busy(tmp_path):
    """A log with some pages that is being written to all the time."""
    log = EventLog.open(tmp_path / EVENTS)
    log.record([make_event(n) for n in range(FILL)], 1).result(WAIT_S)
    doors = Recording(log)
    doors.start()
    end = time.monotonic() + WAIT_S
    while len(doors.taken_s) < 100:
        assert time.monotonic() < end
        time.sleep(0.01)
    yield doors
    doors.ended = True
    doors.join(WAIT_S)
    log.close()


def test_a_backup_loses_no_record_and_is_whole(busy, tmp_path):
    """While doors record, the copy is a log as it was at one moment: sound, without a gap, not behind its beginning."""
    first = busy.log.last_seq
    backup.copy(busy.log.database, tmp_path / "copy.db").result(WAIT_S)
    last = busy.log.last_seq
    busy.ended = True
    busy.join(WAIT_S)
    with closing(sqlite3.connect(tmp_path / "copy.db")) as copied:
        assert copied.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        (copied_last,) = copied.execute("SELECT last_seq FROM head").fetchone()
    assert first <= copied_last <= last
    assert seqs(tmp_path / "copy.db") == list(range(1, copied_last + 1))
    assert busy.numbers == list(range(FILL + 1, busy.log.last_seq + 1))


@pytest.mark.parametrize(("pages", "is_sliced"), [(1, True), (-1, False)])
def test_records_go_between_the_slices(busy, tmp_path, monkeypatch, pages, is_sliced):
    """Doors commit many times during one copy and wait a few times as long as otherwise; with the whole copy in one
    slice, as a control, they wait for its end."""
    during = []
    copy_pages = backup.copy_pages

    def counted(*given):
        during.append(busy.log.commits)
        copy_pages(*given)
        during.append(busy.log.commits)

    monkeypatch.setattr(backup, "COPY_PAGES", pages)
    monkeypatch.setattr(backup, "copy_pages", counted)
    idle_s, before = busy.median_s(), len(busy.taken_s)
    backup.copy(busy.log.database, tmp_path / "copy.db").result(WAIT_S)
    if is_sliced:
        assert during[1] - during[0] > 10
        assert busy.median_s(before) < 50 * idle_s
    else:
        assert during[1] - during[0] <= 1  # SQLite reports the end of the one slice, too


def test_searches_go_on_during_a_copy(busy, tmp_path):
    """A read that was asked for during a copy is answered before its end."""
    order = []
    with held_up(busy.log.database):
        copying = backup.copy(busy.log.database, tmp_path / "copy.db")
        copying.add_done_callback(lambda _: order.append("copy"))
        reading = busy.log.read(1, 10)
        reading.add_done_callback(lambda _: order.append("read"))
    assert len(reading.result(WAIT_S)) == 10
    copying.result(WAIT_S)
    assert order == ["read", "copy"]


def test_closing_ends_a_copy(tmp_path):
    """An agent that stops does not wait for a backup; whoever made it is told."""
    log = EventLog.open(tmp_path / EVENTS)
    log.record([make_event(n) for n in range(FILL)], 1).result(WAIT_S)
    with held_up(log.database):
        copying = backup.copy(log.database, tmp_path / "copy.db")
        with pytest.raises(StorageError, match="jobs wait"):
            log.close(timeout_s=0.01)
    with pytest.raises(StorageError, match="being closed"):
        copying.result(WAIT_S)
    log.close()


def test_a_copy_has_no_key_of_the_chain(tmp_path):
    """Nobody who finds a backup can forge the event that comes next."""
    controller(tmp_path / "data")
    with closing(sqlite3.connect(tmp_path / "data" / EVENTS)) as connection:
        if "chain_key" not in {row[1] for row in connection.execute("PRAGMA table_info(head)")}:
            connection.execute("ALTER TABLE head ADD COLUMN chain_key BLOB NOT NULL DEFAULT x''")
        key = os.urandom(32)
        with connection:
            connection.execute("UPDATE head SET chain_key = ?", (key,))
    backup.copy_unused(tmp_path / "data" / EVENTS, tmp_path / "copy.db")
    assert key in (tmp_path / "data" / EVENTS).read_bytes()
    assert key not in (tmp_path / "copy.db").read_bytes()


def test_an_open_file_is_not_copied_behind_the_agents_back(tmp_path):
    """Its one connection is the agent's."""
    with child("hold", tmp_path / EVENTS) as process:
        assert process.stdout.readline() == b"ready\n"
        with pytest.raises(StorageError, match="another process has it open"):
            backup.copy_unused(tmp_path / EVENTS, tmp_path / "copy.db")


def test_a_backup_leaves_room_on_the_disk(tmp_path, monkeypatch):
    """A full disk fails the log: refused before a byte is written."""
    controller(tmp_path)
    monkeypatch.setattr(backup, "SPARE_BYTES", 1 << 60)
    with pytest.raises(StorageError, match="must stay for the log"):
        backup.check_room(tmp_path, (tmp_path / EVENTS,))


def test_copies_that_were_left_go(tmp_path):
    """Those of a backup that was cut off; not those that are being made."""
    for name in ("old", "new"):
        (tmp_path / (backup.COPIES + name)).mkdir()
    backup.drop_left_copies(tmp_path, time.time() + 10)
    assert len(list(tmp_path.iterdir())) == 2
    os.utime(tmp_path / (backup.COPIES + "old"), (0, 0))
    backup.drop_left_copies(tmp_path, time.time())
    assert [path.name for path in tmp_path.iterdir()] == [backup.COPIES + "new"]


# --- the file ---------------------------------------------------------------------------------------------------


def test_the_file_is_its_owners_and_replaces_nothing(tmp_path):
    """0600; a second one under the same name is refused and leaves no draft."""
    controller(tmp_path / "data")
    file = packed(tmp_path / "data", tmp_path / "b")
    assert file.stat().st_mode & 0o777 == 0o600
    before = file.read_bytes()
    with pytest.raises(FileExistsError):
        packed(tmp_path / "data", file)
    assert file.read_bytes() == before
    assert not [path for path in tmp_path.iterdir() if path.name.endswith(".new")]


def remade(file: Path, change) -> Path:
    """The backup with its members changed: `change` gets and gives a list of (name, content)."""
    with tarfile.open(file) as tar:
        members = [(member.name, tar.extractfile(member).read()) for member in tar]
    with tarfile.open(file, "w") as tar:
        for name, content in change(members):
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return file


def manifest_with(**changes):
    def change(members):
        said = json.loads(members[0][1]) | changes
        return [(MANIFEST, json.dumps(said).encode()), *members[1:]]

    return lambda file: remade(file, change)


def flipped(name):
    def change(members):
        return [(of, content[:4000] + b"\x55" + content[4001:] if of == name else content) for of, content in members]

    return lambda file: remade(file, change)


def with_link(file):
    with tarfile.open(file, "a") as tar:
        member = tarfile.TarInfo("../../etc/passwd")
        member.type, member.linkname = tarfile.SYMTYPE, "/etc/shadow"
        tar.addfile(member)


SPOILED = {
    "it is no whole backup": lambda file: file.write_bytes(b"PK" + bytes(5000)),
    "unexpected end of data": lambda file: os.truncate(file, file.stat().st_size // 2),
    "it lacks policy.db": lambda file: remade(file, lambda members: members[:-1]),
    "it lacks manifest.sig": lambda file: remade(file, lambda members: [members[0], *members[2:]]),
    "events.db twice": lambda file: remade(file, lambda members: [*members, members[2]]),
    "which no backup does": with_link,
    "'device.key', which": lambda file: remade(file, lambda members: [*members, ("device.key", b"x")]),
    "events.db in it is not what was backed up": flipped(EVENTS),
    "policy.db in it is not what was backed up": flipped(POLICY),
    "of format 2": manifest_with(format=2),
    "manifest cannot be read": manifest_with(log=7),
    "tells of another policy": manifest_with(policy={"epoch": 1, "revision": 9, "digest": "00" * 32}),
}


@pytest.mark.parametrize("said", SPOILED)
def test_a_spoiled_backup_is_refused_in_its_own_words(tmp_path, said):
    """Damaged, edited or made of something else: nothing in the folder changes."""
    data = tmp_path / "data"
    controller(data)
    file = packed(data, tmp_path / "b")
    before = contents(data)
    SPOILED[said](file)
    with pytest.raises(BackupRefused, match=said):
        restore(data, file)
    assert contents(data) == before


def test_a_backup_of_a_newer_program_is_refused(tmp_path):
    """Its tables are not known here."""
    controller(tmp_path / "data")
    with closing(sqlite3.connect(tmp_path / "data" / POLICY)) as connection:
        connection.execute("PRAGMA user_version = 99")
    file = packed(tmp_path / "data", tmp_path / "b")
    with pytest.raises(BackupRefused, match=r"policy.db in it has tables of version 99"):
        restore(tmp_path / "other", file)


def test_nothing_is_opened_before_somebody_vouched(tmp_path, monkeypatch):
    """A manifest that is not this controller's ends it; SQLite has read no byte of the parts."""
    controller(tmp_path / "data")
    file = packed(tmp_path / "data", tmp_path / "b")
    monkeypatch.setattr(archive, "describe", lambda folder: pytest.fail("opened"))

    def deny(opened):
        assert opened.manifest["controller"] == "c"
        assert opened.signature == b"signature"
        raise BackupRefused("not ours")

    with pytest.raises(BackupRefused, match="not ours"):
        restoring.restore(tmp_path / "other", file, policy_floor=FLOOR, with_policy=True, vouch=deny)


# --- what a restore does ----------------------------------------------------------------------------------------


def test_a_restore_begins_a_new_log_and_keeps_the_old_ones(tmp_path):
    """The new log is empty under an id of its own; the backup's is closed with its events, and those that were there
    are set aside: both can still be sent under their own ids."""
    data = tmp_path / "data"
    old_id = controller(data, events=5)
    file = packed(data, tmp_path / "b")
    log = EventLog.open(data / EVENTS)
    log.record([make_event(n) for n in range(3)], 1).result(WAIT_S)
    log.close()
    done = restore(data, file)
    log = EventLog.open(data / EVENTS)
    assert (log.log_id, log.last_seq) == (done.log_id, 0)
    assert log.log_id != old_id
    assert log.record([make_event(1)], 1).result(WAIT_S) == [1]
    log.close()
    assert done.unsent == 3
    assert restoring.closed_logs(data) == [done.aside / EVENTS, done.closed]
    for path, last in ((done.aside / EVENTS, 8), (done.closed, 5)):
        closed = EventLog.open(path)
        assert (closed.log_id, closed.last_seq, closed.acked) == (old_id, last, 2)
        assert [entry.seq for entry in closed.read(1).result(WAIT_S)] == list(range(1, last + 1))
        closed.close()
    assert (done.aside / "policy.image").read_bytes() == b"image"
    assert not (data / "policy.image").exists()


def test_what_only_rises_never_falls(tmp_path):
    """Floor of time: the higher; who is locked out: as it is now; the policy in force: the backup's, which is newer."""
    data, other = tmp_path / "data", tmp_path / "other"
    controller(data, revision=7, floor_ms=50, kept=b"of the backup")
    file = packed(data, tmp_path / "b")
    controller(other, revision=3, floor_ms=90, kept=b"of now")
    assert restore(other, file).policy == (1, 7)
    assert state_of(other) == (90, b"of now", b"1 7")
    store = PolicyStore.open(other / POLICY)
    assert (store.version(), store.digest()) == ((1, 7), digest_of(policy_rows(7)))
    store.close()


def state_of(data: Path) -> tuple[int, bytes, bytes]:
    """(floor of time, lockout, floor of policies)."""
    log = EventLog.open(data / EVENTS)
    state = StateStore(log.database)
    kept = state.load().result(WAIT_S)
    found = (state.floor_ms().result(WAIT_S), kept["lockout"], kept[FLOOR])
    assert b"backup of 2027-01-15" in kept[restoring.RESTORED]
    log.close()
    return found


@pytest.mark.parametrize("lost", [EVENTS, POLICY])
def test_an_older_policy_is_refused(tmp_path, lost):
    """Even where one of the two files that know better is lost; all stays as it is. Without the policy the log alone is
    taken, and the policy here stays."""
    data = tmp_path / "data"
    controller(data, revision=3, floor_ms=50)
    file = packed(data, tmp_path / "b")
    shutil.rmtree(data)
    controller(data, revision=7, floor_ms=90, kept=b"of now")
    (data / lost).write_bytes(b"not a database" * 1000)
    before = contents(data)
    with pytest.raises(BackupRefused, match=r"policy 1\.3 is older than 1\.7.*give --without-policy"):
        restore(data, file)
    assert contents(data) == before
    done = restore(data, file, with_policy=False)
    assert done.policy is None
    assert (data / POLICY).read_bytes() == before[POLICY]
    damaged = lost == EVENTS
    assert state_of(data) == ((50, b"old", b"1 7") if damaged else (90, b"of now", b"1 7"))
    assert bool(done.trouble) is damaged


def test_an_empty_controller_takes_it_all(tmp_path):
    """A new card: limits, state and policy are those of the backup, and that is said."""
    controller(tmp_path / "data", revision=3, floor_ms=50)
    done = restore(tmp_path / "new", packed(tmp_path / "data", tmp_path / "b"))
    assert "there was no events.db" in done.trouble
    assert state_of(tmp_path / "new") == (50, b"old", b"1 3")


def test_a_restore_waits_for_no_agent(tmp_path):
    """While one has the files open it is refused, and after that it works."""
    data = tmp_path / "data"
    controller(data)
    file = packed(data, tmp_path / "b")
    with child("hold", data / EVENTS) as process:
        assert process.stdout.readline() == b"ready\n"
        with pytest.raises(StorageError, match="an agent has it open; stop the agent first"):
            restore(data, file)
        assert not (data / restoring.NEW).exists()
    restore(data, file)


def test_two_restores_do_not_meet(tmp_path):
    """The second is told, and so is an agent that starts meanwhile."""
    data = tmp_path / "data"
    controller(data)
    file = packed(data, tmp_path / "b")
    with restoring.alone(data):
        with pytest.raises(StorageError, match="a restore is under way"):
            restore(data, file)
        (data / restoring.NEW).mkdir()
        with pytest.raises(StorageError, match="a restore is under way"):
            restoring.finish(data)
    assert not restoring.finish(data)
    assert not (data / restoring.NEW).exists()


# --- killed anywhere --------------------------------------------------------------------------------------------

CALLS = ("rename", "mkdir", "rmdir", "unlink", "fsync", "replace")


def killed_after(calls: int, data: Path, file: Path) -> bool:
    """Restore in a process that dies before its (calls + 1)th change of the folder. Whether it died of that."""
    pid = os.fork()
    if pid == 0:
        left = [calls]

        def dying(real):
            def call(*given, **named):
                if not left[0]:
                    os._exit(9)
                left[0] -= 1
                return real(*given, **named)

            return call

        try:
            for name in CALLS:
                setattr(os, name, dying(getattr(os, name)))
            restore(data, file)
        except BaseException:
            os._exit(1)
        os._exit(0)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    assert code in (0, 9)
    return code == 9


def test_killed_anywhere_it_leaves_the_old_or_the_new(tmp_path):
    """A restore that dies before any of its steps is done, or not begun, once the files are opened again: log and
    policy are both of before or both of the backup, and no file is lost."""
    before, backed = tmp_path / "before", tmp_path / "backed"
    old_id = controller(before, revision=3)
    backed_id = controller(backed, revision=7)
    file = packed(backed, tmp_path / "b")
    seen = []
    for calls in range(200):
        data = tmp_path / f"data-{calls}"
        shutil.copytree(before, data)
        has_died = killed_after(calls, data, file)
        restoring.finish(data)
        log, store = EventLog.open(data / EVENTS), PolicyStore.open(data / POLICY)
        is_new = log.log_id != old_id
        assert store.version() == ((1, 7) if is_new else (1, 3)), calls
        assert [path.name for path in data.iterdir() if path.name in (restoring.NEW, restoring.PLAN)] == []
        log.close()
        store.close()
        ids = {one.log_id for one in map(EventLog.open, restoring.closed_logs(data)) if one.close() is None}
        assert ids == ({old_id, backed_id} if is_new else set())
        seen.append(is_new)
        if not has_died:
            break
    assert not has_died
    assert sorted(seen) == seen
    assert True in seen
    assert False in seen


def test_without_finishing_a_kill_can_leave_a_mixture(tmp_path):
    """The control of the test above: it is `finish` that makes it whole."""
    before, backed = tmp_path / "before", tmp_path / "backed"
    old_id = controller(before, revision=3)
    controller(backed, revision=7)
    file = packed(backed, tmp_path / "b")
    mixed = []
    for calls in range(200):
        data = tmp_path / f"data-{calls}"
        shutil.copytree(before, data)
        if not killed_after(calls, data, file):
            break
        names = {path.name for path in data.iterdir()}
        if not {EVENTS, POLICY} <= names:
            mixed.append(calls)
            continue
        with closing(sqlite3.connect(data / EVENTS)) as events, closing(sqlite3.connect(data / POLICY)) as policy:
            is_new = events.execute("SELECT log_id FROM head").fetchone()[0] != old_id
            if is_new != (policy.execute("SELECT revision FROM policy").fetchone()[0] == 7):
                mixed.append(calls)
    assert mixed
