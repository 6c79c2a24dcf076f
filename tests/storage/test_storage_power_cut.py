"""Row S2: power is cut at any moment; what was promised is there, and nothing is half.

What a cut may leave is said in power_cut_disk.py.
"""

import random
import shutil
import tempfile
from collections import Counter
from functools import partial
from pathlib import Path

import pytest
from power_cut_disk import Create, Disk, Mark, Tape, Write, write_out
from power_cut_sqlite import beneath
from power_cut_work import (
    DAMAGED,
    look_at_damaged,
    look_at_log,
    look_at_policy,
    often,
    play_damaged,
    play_log,
    play_policy,
)

FULL = (pytest.mark.full, pytest.mark.timeout(3600))


@pytest.fixture
def folder():
    """In memory where the machine has such a place: the disk is simulated, and thousands of states are written."""
    made = Path(tempfile.mkdtemp(prefix="cut", dir="/dev/shm" if Path("/dev/shm").is_dir() else None)).resolve()
    yield made
    shutil.rmtree(made)


def tape_of(play, folder, reword=str):
    """What `play(folder, say)` did to its folder."""
    tape = Tape()
    tape.load(folder)
    with beneath(folder, tape, reword=reword), often():
        play(folder, tape.mark)
    return tape


def cut_often(tape, look, folder, cuts, choice, before=None):
    """Cut the tape at random moments, each state looked at. Gives what was found, how often, with an example each,
    and one of the states with its promises. before: what had been promised when the tape began."""
    disk, done, found = Disk(), 0, {}
    disk.marks.update(before or {})
    moments = sorted(choice.choices(range(tape.begins, len(tape.operations) + 1), k=cuts))
    chosen, kept = choice.choice(moments), None
    for moment in moments:
        while done < moment:
            disk.run(tape.operations[done])
            done += 1
        words, content = disk.cut(choice)
        if moment == chosen:
            kept = content, dict(disk.marks)
        write_out(content, folder)
        for complaint in look(folder, disk.marks) or ["nothing"]:
            count, example = found.get(complaint.partition(":")[0], (0, f"cut at {moment} ({words}): {complaint}"))
            found[complaint.partition(":")[0]] = count + 1, example
    return found, kept


def storm(play, look, folder, generations, cuts, seed):
    """Each generation starts on what a cut left of the one before, so that recovery is cut, too."""
    print("seed", seed)
    choice, promised = random.Random(seed), {}
    for generation in range(generations):
        tape = tape_of(partial(play, seed=seed + generation), folder)
        found, (content, promised) = cut_often(tape, look, folder, cuts, choice, promised)
        assert found == {"nothing": (cuts, found["nothing"][1])}, found
        write_out(content, folder)


def some_policy(folder, say, seed):
    play_policy(folder, say, 10)


@pytest.mark.parametrize(("generations", "cuts"), [(4, 50), pytest.param(40, 175, marks=FULL)])
def test_power_cuts_lose_no_recorded_event(folder, generations, cuts):
    """Every event whose future had completed is there as it was, its state with it; no number is given twice."""
    storm(partial(play_log, rounds=15), look_at_log, folder, generations, cuts, 31)


@pytest.mark.parametrize(("generations", "cuts"), [(2, 40), pytest.param(20, 125, marks=FULL)])
def test_power_cuts_leave_a_whole_policy(folder, generations, cuts):
    """The old one or the new one, no older than promised, with its digest; the image is that one or made anew."""
    storm(some_policy, look_at_policy, folder, generations, cuts, 32)


@pytest.mark.parametrize("cuts", [40, pytest.param(500, marks=FULL)])
def test_power_cuts_erase_no_damaged_file(folder, cuts):
    """Cut while a damaged log is being set aside, the damaged one is still there, and the next start works."""
    print("seed 33")
    (folder / "events.db").write_bytes(DAMAGED)
    tape = tape_of(play_damaged, folder)
    found, _ = cut_often(tape, look_at_damaged, folder, cuts, random.Random(33))
    assert set(found) == {"nothing"}, found


@pytest.mark.parametrize("synchronous", ["NORMAL", "OFF"])
def test_without_a_flush_for_each_commit_power_cuts_lose(folder, synchronous):
    """The control of the tests above: the same work with another PRAGMA synchronous loses recorded events."""
    print("seed 34")
    tape = tape_of(
        partial(play_log, seed=34, rounds=15),
        folder,
        lambda sql: sql.replace("synchronous = FULL", f"synchronous = {synchronous}"),
    )
    found, _ = cut_often(tape, look_at_log, folder, 60, random.Random(34))
    assert found["lost"][0] > 10, found


def test_the_same_tape_with_nothing_cut_holds_everything(folder):
    """The simulated disk is a true one: all operations together give the files that the program left."""
    tape = tape_of(partial(play_log, seed=35, rounds=5), folder)
    left = {path.name: path.read_bytes() for path in folder.iterdir()}
    disk, choice = Disk(), random.Random(35)
    for operation in tape.operations:
        disk.run(operation)
    states = [disk.cut(choice) for _ in range(50)]
    assert left in [content for words, content in states if words.startswith("kept")]
    assert disk.marks["recorded"] > 100


def test_the_tape_has_seen_everything_that_is_to_be_cut(folder):
    """Journal, copying back in between, restart, image: a cut between them was possible."""
    tape = tape_of(partial(play_log, seed=36, rounds=15), folder)
    some = tape_of(partial(some_policy, seed=36), folder)
    kinds = Counter(type(operation).__name__ for operation in [*tape.operations, *some.operations])
    assert {"Create", "Remove", "Rename", "SyncNames", "Write", "Sync", "Truncate", "Mark"} <= set(kinds)
    file = next(one.file for one in tape.operations if isinstance(one, Create) and one.name == "events.db")
    copied_back = [n for n, one in enumerate(tape.operations) if isinstance(one, Write) and one.file == file]
    marks = [n for n, one in enumerate(tape.operations) if isinstance(one, Mark)]
    assert sum(marks[5] < n < marks[-5] for n in copied_back) > 20
