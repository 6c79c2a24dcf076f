"""The durable change of manager: real files, the power cut at every call that changes the disk, and the button."""

import os
import stat
from pathlib import Path

import pytest

from edge.commissioning import files, journal
from edge.commissioning.button import RESET_MS, Button
from edge.commissioning.files import StepError
from edge.commissioning.journal import Move, Remove, Write

OLD, NEW = b"epoch = 1\n", b"epoch = 2\n"


class PowerCut(BaseException):
    """Nothing after it happens."""


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def old_folder(tmp_path: Path) -> Path:
    (tmp_path / "manager.toml").write_bytes(OLD)
    (tmp_path / "handover.cbor").write_bytes(b"waits")
    (tmp_path / "device.key").write_bytes(b"k")
    return tmp_path


def start(folder: Path) -> journal.Resumed:
    """What a start does: the epoch is what manager.toml says."""
    manager = folder / "manager.toml"
    epoch = int(manager.read_bytes().split()[-1]) if manager.exists() else None
    waiting = 2 if (folder / "handover.cbor").exists() else None
    resumed = journal.resume(names(folder), epoch, waiting, 1)
    files.perform(folder, resumed.steps)
    return resumed


CHANGES = ("open", "replace", "unlink", "fsync")


def cut_at(monkeypatch: pytest.MonkeyPatch, call: int) -> None:
    """The power goes before the nth call that changes the disk."""
    done = {"calls": 0}

    def counted(right):
        def changed(*given, **named):
            done["calls"] += 1
            if done["calls"] > call:
                raise PowerCut
            return right(*given, **named)

        return changed

    for name in CHANGES:
        monkeypatch.setattr(os, name, counted(getattr(os, name)))


@pytest.mark.parametrize("call", range(40))
def test_a_power_cut_at_each_call_leaves_one_whole_manager(tmp_path, monkeypatch, call: int) -> None:
    """Every step's open, fsync, rename and unlink: afterwards the old or the new, whole, and nothing of the other that
    counts. The log is a new one exactly where the manager is."""
    folder = old_folder(tmp_path)
    steps = journal.bind_steps(2, NEW, b"enrol", 1, OLD, b"line")
    with monkeypatch.context() as patch:
        cut_at(patch, call)
        try:
            files.perform(folder, steps)
            was_cut = False
        except PowerCut:
            was_cut = True
    resumed = start(folder)
    manager = (folder / "manager.toml").read_bytes()
    assert manager in (OLD, NEW)
    assert resumed.is_new_log == (manager == NEW)
    kept = {"manager.toml", "device.key"}
    kept |= {"manager-1.toml", "enrol-2.cbor", "former-uplink-2"} if manager == NEW else {"handover.cbor"}
    assert set(names(folder)) == kept
    assert was_cut or manager == NEW
    if manager == NEW:
        assert (folder / "manager-1.toml").read_bytes() == OLD
    assert not start(folder).steps  # a second start has nothing to do


def test_the_cuts_reach_the_end(tmp_path, monkeypatch) -> None:
    """Negative control of the test above: its last cut comes after the last call, its first before the first."""
    folder = old_folder(tmp_path)
    with monkeypatch.context() as patch:
        cut_at(patch, 39)
        files.perform(folder, journal.bind_steps(2, NEW, b"enrol", 1, OLD, b"line"))
    assert (folder / "manager.toml").read_bytes() == NEW


def test_the_manager_is_flushed_before_it_takes_its_place(tmp_path, monkeypatch) -> None:
    """Content, then name, then folder: without that order a cut may leave an empty file in its place."""
    seen: list[str] = []
    for name in ("fsync", "replace"):
        right = getattr(os, name)
        monkeypatch.setattr(os, name, lambda *given, right=right, name=name: (seen.append(name), right(*given))[1])
    files.perform(tmp_path, [Write("manager.toml", NEW)])
    assert seen == ["fsync", "replace", "fsync"]


def test_files_are_private(tmp_path) -> None:
    """Whatever the umask, and whatever lay there before."""
    (tmp_path / "manager.toml").write_bytes(OLD)
    (tmp_path / "manager.toml").chmod(0o644)
    before = os.umask(0)
    try:
        files.perform(tmp_path, [Write("manager.toml", NEW)])
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "manager.toml").stat().st_mode) == 0o600


def test_a_full_disk_is_said_in_one_line(tmp_path) -> None:
    """And names the file; what was there stays."""
    folder = old_folder(tmp_path)
    (folder / ("manager.toml" + journal.BESIDE)).mkdir()
    with pytest.raises(StepError, match=r"manager\.toml: .*; free space or check its owner"):
        files.perform(folder, journal.bind_steps(2, NEW, b"", 1, OLD))
    assert (folder / "manager.toml").read_bytes() == OLD


def test_no_step_tells_what_it_writes() -> None:
    """manager.toml holds the key of the codes."""
    assert "secret" not in repr(journal.bind_steps(2, b"secret", b"secret", 1, b"secret"))


def test_an_epoch_never_goes_back() -> None:
    for epoch in (1, 0):
        with pytest.raises(ValueError, match="does not follow"):
            journal.bind_steps(epoch, NEW, b"", 1, OLD)


def test_a_first_manager_has_no_former_one() -> None:
    steps = journal.bind_steps(1, NEW, b"", 0, b"")
    assert steps == [Write("manager.toml", NEW), Remove("handover.cbor"), Remove("pending-manager.toml")]


@pytest.mark.parametrize(
    ("found", "epoch", "waiting", "log_epoch", "steps", "is_new_log", "floor"),
    [
        (["manager.toml"], 1, None, 1, [], False, 1),
        (["manager.toml", "manager-1.toml"], 2, None, 1, [], True, 2),
        (["manager.toml", "manager-2.toml"], 2, None, 2, [Remove("manager-2.toml")], False, 2),
        (["manager.toml", "enrol-3.cbor"], 2, None, 2, [Remove("enrol-3.cbor")], False, 2),
        (["manager.toml", "enrol-2.cbor"], 2, None, 2, [], False, 2),
        (["manager.toml", "former-uplink-2"], 2, None, 2, [], False, 2),
        (["manager.toml", "former-uplink-2"], 1, None, 1, [Remove("former-uplink-2")], False, 1),
        (["manager.toml", "former-uplink-2"], 3, None, 3, [Remove("former-uplink-2")], False, 3),
        (["manager.toml", "handover.cbor"], 2, 2, 2, [Remove("handover.cbor")], False, 2),
        (["manager.toml", "handover.cbor"], 2, 3, 2, [], False, 2),
        (["manager-4.toml", "handover.cbor"], None, 4, 4, [Remove("handover.cbor")], False, 4),
        (["manager-4.toml", "handover.cbor"], None, 5, 4, [], False, 4),
        ([], None, None, None, [], False, 0),
        (["manager.toml.new", "x.new"], 1, None, None, [Remove("manager.toml.new"), Remove("x.new")], False, 1),
    ],
)
def test_a_start_makes_up_for_what_was_cut_off(found, epoch, waiting, log_epoch, steps, is_new_log, floor) -> None:
    """The table: what lies there, and what follows from it."""
    expected = journal.Resumed(tuple(steps), is_new_log, floor)
    if "manager.toml.new" in found:
        expected = expected._replace(floor=1)
    assert journal.resume(found, epoch, waiting, log_epoch) == expected


def test_a_reset_that_began_is_carried_to_its_end() -> None:
    """After each step, the start does the rest; the log and the former manager's file stay."""
    before = {"manager.toml", "handover.cbor", "password.toml", "enrol-3.cbor", "manager-2.toml", "events.db"}
    steps = journal.reset_steps(sorted(before), 3)
    assert steps[:2] == [Write("reset.mark", b""), Move("manager.toml", "manager-3.toml")]
    for cut in range(1, len(steps) + 1):
        lying = set(before)
        _apply(lying, steps[:cut])
        resumed = journal.resume(sorted(lying), 3 if "manager.toml" in lying else None, None, 3)
        _apply(lying, resumed.steps)
        assert lying == {"manager-2.toml", "manager-3.toml", "events.db"}
        assert resumed.floor == 3


def _apply(lying: set[str], steps) -> None:
    for step in steps:
        if isinstance(step, Write):
            lying.add(step.name)
        else:
            lying.discard(step.name)
            if isinstance(step, Move):
                lying.add(step.to)


# --- the button --------------------------------------------------------------------------------------------------


def test_ten_seconds_reset() -> None:
    button = Button()
    button.change(False, 0)
    button.change(True, 1_000)
    assert button.next_due() == 1_000 + RESET_MS
    assert not button.tick(1_000 + RESET_MS - 1)
    assert button.tick(1_000 + RESET_MS)
    assert not button.tick(1_000 + 2 * RESET_MS)  # once a press
    assert not button.change(True, 30_000)  # still held: no second one
    assert button.next_due() is None


def test_a_short_press_does_nothing() -> None:
    button = Button()
    button.change(False, 0)
    for at_ms in range(0, 60_000, 10_000):
        button.change(True, at_ms)
        assert not button.change(False, at_ms + RESET_MS - 1)
    assert button.next_due() is None


def test_a_release_seen_too_late_is_a_reset() -> None:
    """The loop was busy: what counts is how long it was held."""
    button = Button()
    button.change(False, 0)
    button.change(True, 0)
    assert button.change(False, RESET_MS)


def test_a_button_that_is_stuck_resets_nothing() -> None:
    """Down at the start: it has to be seen released first."""
    button = Button()
    button.change(True, 0)
    assert button.next_due() is None
    button.change(False, 20_000)
    button.change(True, 21_000)
    assert button.tick(21_000 + RESET_MS)
