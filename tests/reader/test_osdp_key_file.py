"""osdp.toml: what it holds, who may read it, and that no power cut loses the key that a reader has."""

import os
import stat
from pathlib import Path

import pytest

from edge.reader.osdp import key_file
from edge.reader.osdp.key_file import KeyPair, ReaderKeyError, give_up, new_key, propose, read_keys, settle, write_keys

OLD = bytes.fromhex("3f0a51c7e2886d149b2ef5a07746d913")
NEW = bytes.fromhex("c3519a07e8642fbd10953ecc77a4081f")
YARD = bytes.fromhex("a91d04fe7730c2685b1fe9034dcc8276")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    write_keys(tmp_path / "osdp.toml", {"lobby": KeyPair(OLD, None), "yard-2": KeyPair(YARD, None)})
    return tmp_path / "osdp.toml"


def test_the_course_of_a_rekey(path: Path) -> None:
    """Proposed: both keys; settled: the new one; given up: the old one; the other reader is never touched."""
    propose(path, "lobby", NEW)
    assert read_keys(path) == {"lobby": KeyPair(OLD, NEW), "yard-2": KeyPair(YARD, None)}
    give_up(path, "lobby")
    assert read_keys(path)["lobby"] == KeyPair(OLD, None)
    propose(path, "lobby", NEW)
    settle(path, "lobby")
    assert read_keys(path) == {"lobby": KeyPair(NEW, None), "yard-2": KeyPair(YARD, None)}
    assert OLD.hex() not in path.read_text()


def test_the_course_of_a_first_pairing(tmp_path: Path) -> None:
    """No file yet: a key on its way, then the reader's; given up: no key."""
    path = tmp_path / "osdp.toml"
    assert read_keys(path) == {}
    propose(path, "lobby", NEW)
    assert read_keys(path) == {"lobby": KeyPair(None, NEW)}
    settle(path, "lobby")
    settle(path, "lobby")
    assert read_keys(path) == {"lobby": KeyPair(NEW, None)}
    propose(path, "gate", YARD)
    give_up(path, "gate")
    give_up(path, "nobody")
    assert read_keys(path) == {"lobby": KeyPair(NEW, None)}


def test_only_its_owner_may_read_it(path: Path) -> None:
    """0600 after each change, whatever the umask; a file that others may read is refused."""
    old_mask = os.umask(0)
    try:
        propose(path, "lobby", NEW)
    finally:
        os.umask(old_mask)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.chmod(0o640)
    with pytest.raises(ReaderKeyError, match="chmod 600"):
        read_keys(path)


@pytest.mark.parametrize("breaks_at", ["fsync", "replace", "fdopen"])
def test_a_write_that_fails_leaves_the_old_file(path: Path, monkeypatch: pytest.MonkeyPatch, breaks_at: str) -> None:
    """The disk is full, or the power goes, at any step: the file is as before, and nothing lies beside it."""
    before = path.read_bytes()

    def breaks(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(key_file.os, breaks_at, breaks)
    with pytest.raises(OSError, match="No space"):
        propose(path, "lobby", NEW)
    monkeypatch.undo()
    assert path.read_bytes() == before
    assert [each.name for each in path.parent.iterdir()] == ["osdp.toml"]


def test_it_is_on_the_disk_before_the_key_is_sent(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """File synced, then put in place, then the folder synced."""
    steps: list[str] = []
    for name in ("fsync", "replace"):
        real = getattr(os, name)
        monkeypatch.setattr(key_file.os, name, lambda *a, name=name, real=real: (steps.append(name), real(*a))[1])
    propose(path, "lobby", NEW)
    assert steps == ["fsync", "replace", "fsync"]


def test_keys_that_must_not_be(path: Path) -> None:
    """Weak, in use by anyone, twice in the file, no key at all: one line, and no key in it."""
    for weak in (bytes(16), bytes(range(0x30, 0x40)), b"\x01" * 16):
        with pytest.raises(ReaderKeyError, match="refused"):
            propose(path, "lobby", weak)
    for used in (OLD, YARD):
        with pytest.raises(ReaderKeyError, match="in use") as said:
            propose(path, "lobby", used)
        assert used.hex() not in str(said.value)
    for text in (f'a = "{OLD.hex()}"\nb = "{OLD.hex()}"\n', f'a = "{OLD.hex()}"\n[on-the-way]\nb = "{OLD.hex()}"\n'):
        path.write_text(text)
        with pytest.raises(ReaderKeyError, match="readers a and b have the same key"):
            read_keys(path)
    for text in ('a = "12"', "a = 3", 'a = "zz"', "a =", 'on-the-way = "x"', '[on-the-way]\na = ""'):
        path.write_text(text)
        with pytest.raises(ReaderKeyError):
            read_keys(path)


def test_names_are_kept_whatever_is_in_them(tmp_path: Path) -> None:
    """Dots, quotes, accents, line ends in a reader's id."""
    path = tmp_path / "osdp.toml"
    keys = {name: KeyPair(new_key(), new_key()) for name in ("a.b", 'c"d\\e', "entrée", "x\ny", "", "on-the-way ")}
    write_keys(path, keys)
    assert read_keys(path) == keys


def test_new_keys_are_random_and_never_weak() -> None:
    """A thousand, all different; a weak draw is drawn again; a key is not printed."""
    assert len({new_key() for _ in range(1000)}) == 1000
    draws = [bytes(16), bytes(range(16)), NEW]
    assert new_key(lambda count: draws.pop(0)) == NEW
    assert NEW.hex() not in repr(KeyPair(NEW, OLD))
    assert repr(NEW) not in repr(KeyPair(NEW, OLD))
