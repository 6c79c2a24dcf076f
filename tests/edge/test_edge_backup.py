"""`vantail backup` and `vantail restore` as an installer uses them, with a real agent between the two."""

import asyncio
import json
import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from edge_controller import NOW_MS, Made, answers, ask, make, running

from edge.cli import main
from edge.decision import model
from edge.storage import restoring
from edge.storage.backup import COPIES
from edge.storage.event_log import EventLog
from edge.storage.policy_store import PolicyStore
from edge.uplink import signing

DEADLINE_S = 30


def run(made: Made, command: str, *words: object) -> int:
    return main([command, "--config", str(made.config), *map(str, words)])


def record(made: Made, count: int) -> None:
    """Passages, while no agent runs."""
    log = EventLog.open(made.folder / "data" / "events.db")
    for number in range(count):
        event = model.Event(NOW_MS, True, "hall-b", "", "badge", number, model.OPEN, "", "door", "")
        log.record([event], 1).result(DEADLINE_S)
    log.close()


def data_of(made: Made) -> Path:
    return made.folder / "data"


def said(capsys) -> str:
    """The one line on stderr."""
    error = capsys.readouterr().err
    assert error.count("\n") == 1, error
    return error


@pytest.fixture
def kept(folder, capsys):
    """A controller with some passages, and a backup of it."""
    made = make(folder)
    record(made, 20)
    assert run(made, "backup", folder / "b") == 0
    assert "events up to 20 of log" in capsys.readouterr().out
    return made


def test_from_a_running_agent_and_back(folder, capsys):
    """The agent goes on under its lock; a restore is refused while it runs. Afterwards it starts with a new log that
    holds nothing of before, and the policy is in force."""
    made = make(folder)
    record(made, 2000)
    taken = {}

    async def before() -> None:
        async with running(made):
            code = await asyncio.to_thread(run, made, "backup", folder / "b")
            assert (code, await asyncio.to_thread(run, made, "restore", folder / "b")) == (0, os.EX_TEMPFAIL)
            assert answers(made)
            taken.update((await ask(made, "status"))["log"])

    async def after() -> dict:
        async with running(made):
            return await ask(made, "status")

    asyncio.run(before())
    output = capsys.readouterr()
    assert "it holds no keys" in output.out
    assert f"an agent runs at {made.api}; stop it first" in output.err
    assert not list(data_of(made).glob(COPIES + "*"))
    assert run(made, "restore", folder / "b") == 0
    told = capsys.readouterr().out
    status = asyncio.run(after())
    assert status["log"]["id"] in told
    assert status["log"]["id"] != taken["id"]
    assert status["log"]["last_seq"] < 20
    assert status["policy"] == {"epoch": 1, "revision": 1, "in_force": True}
    for path in restoring.closed_logs(data_of(made)):
        with closing(sqlite3.connect(path)) as log:
            assert log.execute("SELECT hex(log_id) FROM head").fetchone()[0].lower() == taken["id"]
            assert log.execute("SELECT count(*) FROM event").fetchone()[0] >= 2000


def test_no_key_of_the_controller_is_in_a_backup(kept):
    """Neither the device's, nor the codes', nor a reader's: byte search."""
    packed = (kept.folder / "b").read_bytes()
    device = signing.load_private_key(kept.keys / "device.key").private_bytes_raw()
    for secret in (device, signing.load_manager(kept.keys / "manager.toml").code_key):
        assert secret not in packed
        assert secret.hex().encode() not in packed
    assert (kept.folder / "b").stat().st_mode & 0o777 == 0o600


def test_a_backup_takes_no_other_files_place(kept, capsys):
    """Unless it is told to."""
    before = (kept.folder / "b").read_bytes()
    assert run(kept, "backup", kept.folder / "b") == os.EX_CANTCREAT
    assert "is there already; give another name, or --force" in said(capsys)
    assert (kept.folder / "b").read_bytes() == before
    assert run(kept, "backup", "--force", kept.folder / "b") == 0
    assert run(kept, "backup", kept.folder / "none" / "b") == os.EX_CANTCREAT


def test_a_backup_of_another_controller_is_refused(kept, capsys):
    """By its id, whoever signed it."""
    text = kept.config.read_text().replace('controller = "hall-b"', 'controller = "parking"')
    kept.config.write_text(text)
    assert run(kept, "restore", kept.folder / "b") == os.EX_DATAERR
    assert "it is of controller hall-b, this is parking" in said(capsys)


def test_a_backup_of_another_device_is_refused(kept, capsys):
    """The same controller with another key: what it signed once is not vouched for any more."""
    for name in ("device.key", "device.pub"):
        (kept.keys / name).unlink()
    signing.write_private_key(kept.keys / "device.key", signing.generate_key())
    assert run(kept, "restore", kept.folder / "b") == os.EX_DATAERR
    assert "put the keys folder of then back" in said(capsys)


def test_an_edited_manifest_is_refused(kept, capsys):
    """Even with sums that fit: nobody but the device signs."""
    packed = (kept.folder / "b").read_bytes()
    assert packed.count(b'"revision": 1,') == 1
    (kept.folder / "b").write_bytes(packed.replace(b'"revision": 1,', b'"revision": 9,'))
    before = sorted(os.listdir(data_of(kept)))
    assert run(kept, "restore", kept.folder / "b") == os.EX_DATAERR
    assert "its signature does not fit its manifest" in said(capsys)
    assert sorted(os.listdir(data_of(kept))) == before


def test_a_damaged_backup_is_refused(kept, capsys):
    """One byte of the log in it."""
    packed = bytearray((kept.folder / "b").read_bytes())
    at = packed.index(b"SQLite format 3") + 4200
    packed[at] ^= 1
    (kept.folder / "b").write_bytes(packed)
    assert run(kept, "restore", kept.folder / "b") == os.EX_DATAERR
    assert "events.db in it is not what was backed up" in said(capsys)


def test_what_is_no_backup_is_refused(kept, capsys):
    """Another file, and none."""
    assert run(kept, "restore", kept.config) == os.EX_DATAERR
    assert "it is no whole backup of vantail" in said(capsys)
    assert run(kept, "restore", kept.folder / "none") == os.EX_NOINPUT
    assert "none: no such file" in said(capsys)


def test_an_older_policy_stays_out(kept, capsys):
    """A newer one was in force since: refused as a whole, or the log alone is taken and the newer policy stays."""
    with closing(sqlite3.connect(data_of(kept) / "policy.db")) as policy, policy:
        policy.execute("UPDATE policy SET revision = 5")
    assert run(kept, "restore", kept.folder / "b") == os.EX_DATAERR
    assert "policy 1.1 is older than 1.5" in said(capsys)
    assert run(kept, "restore", "--without-policy", kept.folder / "b") == 0
    assert "policy    as it was" in capsys.readouterr().out
    store = PolicyStore.open(data_of(kept) / "policy.db")
    assert store.version() == (1, 5)
    store.close()


def test_the_manifest_says_what_a_person_asks(kept):
    """Whose, when, how far, and that there is no key in it."""
    packed = (kept.folder / "b").read_bytes()
    begin = packed.index(b"{\n")
    said_there = json.loads(packed[begin : packed.index(b"\n}\n") + 2])
    assert said_there["controller"] == "hall-b"
    assert said_there["log"]["last_seq"] == 20
    assert said_there["policy"]["revision"] == 1
    assert said_there["keys"].startswith("none")
    assert set(said_there["files"]) == {"events.db", "policy.db"}
