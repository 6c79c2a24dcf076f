"""Rows S1, S2 and S3 on the very calls that the product makes of the kernel: strace watches, kills, refuses.

Full sizes alone: strace is not on every machine.
"""

import random
import shutil
import tempfile
from itertools import count
from pathlib import Path

import pytest
from power_cut_trace import strace, traced
from power_cut_work import event_of, look_at_log, look_at_policy
from storage_scenes import WAIT_S
from test_storage_power_cut import cut_often

from edge.storage.event_log import EventLog

pytestmark = [pytest.mark.full, pytest.mark.timeout(3600)]
MOST_CALLS, EVENTS = 500, 120
ROUNDS = {"fdatasync": 30}  # several records share a flush
BEFORE = [(number, number, 0) for number in (1, 2, 3)]


@pytest.fixture
def folder():
    """In memory where the machine has such a place."""
    made = Path(tempfile.mkdtemp(prefix="str", dir="/dev/shm" if Path("/dev/shm").is_dir() else None)).resolve()
    yield made
    shutil.rmtree(made)


def paths(folder, name="events.db"):
    return tuple(folder / (name + ending) for ending in ("", "-wal", "-journal"))


def said_by(output):
    """The last value of each thing that the child said; a line that was not finished was not said."""
    lines = [line.split(" ", 1) for line in output.decode().split("\n")[:-1]]
    return {what: bytes.fromhex(value) if what == "log" else int(value) for what, value in lines}


@pytest.mark.parametrize(
    ("task", "look", "cuts"), [(("log", 41, 25), look_at_log, 1500), (("policy", 40), look_at_policy, 500)]
)
def test_power_cuts_by_the_trace_of_a_real_process_lose_nothing(folder, task, look, cuts):
    """The same cuts as in test_storage_power_cut.py, on Python's own SQLite and everything beneath it."""
    print("seed 41")
    name, *rest = task
    tape = traced(folder, name, folder, *rest)
    found, _ = cut_often(tape, look, folder, cuts, random.Random(41))
    assert set(found) == {"nothing"}, found


@pytest.mark.parametrize("call", ["pwrite64", "fdatasync", "ftruncate", "unlink"])
def test_killed_at_each_call_of_the_record_path_nothing_is_lost(folder, call):
    """SIGKILL at the first, second, … call until a run ends by itself: everything said is there, the file is whole.
    Every other run begins with what the kill before it left."""
    killed, promised = 0, {}
    for number in count(1):
        work = folder / ("same" if number % 2 else str(number))
        work.mkdir(exist_ok=True)
        done = strace(
            "-o", "/dev/null", "-e", f"trace={call}", "-e", f"inject={call}:signal=SIGKILL:when={number}",
            task=("log", work, number, ROUNDS.get(call, 8)), paths=paths(work),
        )  # fmt: skip
        said = said_by(done.stdout)
        promised = (promised | said) if number % 2 else promised
        assert look_at_log(work, promised if number % 2 else said) == [], number
        if done.returncode == 0:
            break
        killed += 1
    print(f"killed at {killed} calls of {call}")
    assert killed > {"pwrite64": 100, "fdatasync": 20}.get(call, 1)


@pytest.mark.parametrize("error", ["EIO", "ENOSPC", "EROFS"])
@pytest.mark.parametrize("call", ["pwrite64", "fdatasync", "ftruncate", "unlink", "openat"])
def test_refused_at_each_call_events_are_recorded_or_refused(folder, call, error):
    """The kernel refuses the n-th call, n = 1…500 where there are so many (each for EIO, else each fifth): an event is
    recorded once, a refused one as late; or the log cannot be opened, which is said, and it stays as it was."""
    refused = closed = 0
    for number in range(1, MOST_CALLS + 1, 1 if error == "EIO" else 5):
        work = folder / str(number)
        work.mkdir()
        begin(work)
        done = strace(
            "-o", "/dev/null", "-e", f"trace={call}", "-e", f"inject={call}:error={error}:when={number}",
            task=("retry", work, EVENTS), paths=paths(work),
        )  # fmt: skip
        lines = [line.split() for line in done.stdout.decode().splitlines()]
        assert lines[-1:] in ([["done", "0"]], [["done", str(EVENTS)]]), (number, lines[-3:])
        assert_told(work, BEFORE + [tuple(map(int, line[1:])) for line in lines if line[0] == "recorded"])
        shutil.rmtree(work)
        closed += lines[-1] == ["done", "0"]
        if any(line[0] in ("refused", "closed") for line in lines):
            refused = number
        elif number > refused + 30:
            break  # there are no more such calls
    print(f"{error} at {number} calls of {call}: {closed} times not opened, felt the last time at call {refused}")


def begin(folder):
    log = EventLog.open(folder / "events.db")
    for number, _, _ in BEFORE:
        log.record([event_of(number)], 1, keep={"count": b"%d" % number}).result(WAIT_S)
    log.close()


def assert_told(folder, told):
    log = EventLog.open(folder / "events.db")
    try:
        assert log.report.set_aside is None, log.report.reason
        entries = log.read(1, 10_000).result(WAIT_S)
        assert [(n, entry.seq, int(entry.late)) for n, entry in enumerate(entries, 1)] == told
        assert [entry.event for entry in entries] == [event_of(number) for number in range(1, len(told) + 1)]
        assert log.verify().result(WAIT_S).is_whole
    finally:
        log.close()
