"""Making a passage durable beside what a user would pick instead, and what a busy agent costs (row P4).

All on one real disk, in turn, in one run. Single commits: ours, plain sqlite3 in the same mode, sqlite3 as it comes,
an append-only file with fdatasync. Sixteen doors beside one. From badge to strike in a whole agent, idle, and while a
delta is applied and a long log drains. Goals are held against medians, but the last one against p99, as the
requirement has it.
"""

import argparse
import asyncio
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from statistics import median

import on_disk
import record_sides
from record_busy import measure
from record_doors import Together, doors_at_once
from record_flushes import SIDES, a_commit
from report import Row, ahead, as_much, missing, rate

NAMES = {
    "ours": "EventLog.record",
    "plain_wal_full": "sqlite3, WAL, synchronous=FULL",
    "plain_defaults": "sqlite3, defaults",
    "append_only": "append-only file, fdatasync",
}
GOALS = {"plain_wal_full": 0.9, "plain_defaults": 3.0, "append_only": None}
TURN = 25  # commits of one side before the next has its turn
WARM_UP = 44  # turns: for 1,000 commits the journal of plain sqlite3 grows, then it is written over, which is quicker
DOORS, GOAL_DOORS = 16, 4.0
GOAL_BUSY = 3.0
GOAL_FLUSHES = 1.05  # one, and now and then a checkpoint's


def single_commits(folder: Path, warm_up: int, rounds: int) -> dict[str, list[float]]:
    """Microseconds of each commit, by side; the sides take turns, the first `warm_up` of which do not count."""
    taken: dict[str, list[float]] = {side: [] for side in SIDES}
    with ExitStack() as stack:
        commits = {side: stack.enter_context(getattr(record_sides, side)(folder)) for side in SIDES}
        for number in range(warm_up + rounds):
            for side in SIDES[number % 4 :] + SIDES[: number % 4]:
                for at in range(TURN):
                    started = time.perf_counter_ns()
                    commits[side](number * TURN + at)
                    if number >= warm_up:
                        taken[side].append((time.perf_counter_ns() - started) / 1000)
    return taken


def rows_of_commits(folder: Path, warm_up: int, rounds: int) -> list[Row]:
    taken = single_commits(folder, warm_up, rounds)
    ours, found = taken["ours"], []
    for side, goal in GOALS.items():
        found.append(ahead("P4", "single commit, p50", median(ours), median(taken[side]), NAMES[side], "us", goal))
        found.append(ahead("P4", "single commit, p99", p99(ours), p99(taken[side]), NAMES[side], "us", None))
    return found


def rows_of_flushes(folder: Path, commits: int) -> list[Row]:
    found = []
    for side in SIDES:
        flushes = a_commit(side, folder, commits)
        goal = GOAL_FLUSHES if side == "ours" else None
        case = f"flushes a commit: {NAMES[side]}"
        if flushes is None:
            found.append(missing("P4", case, "not measured: strace is missing or may not trace", "", goal))
        else:
            found.append(as_much("P4", case, flushes, 1.0, "one", "", goal))
    return found


def rows_of_doors(folder: Path, rounds: int, seconds: float) -> list[Row]:
    runs: dict[int, list[Together]] = {1: [], DOORS: []}
    for _ in range(rounds):
        for doors, done in runs.items():
            done.append(doors_at_once(folder / f"doors-{doors}.db", doors, seconds))
    one, many = (median(run.a_second for run in runs[doors]) for doors in (1, DOORS))
    commits = median(run.commits_a_second for run in runs[DOORS])
    late = sum(run.late for done in runs.values() for run in done)
    return [
        rate("P4", f"{DOORS} doors at once, {late} late", many, one, "one door", "1/s", GOAL_DOORS),
        rate("P4", f"passages a commit, {DOORS} doors at once", many / commits, 1.0, "one door", "", None),
    ]


def rows_of_busy(
    folder: Path, credentials: int, events: int, rows_of_delta: int, idle_s: float, rounds: int
) -> list[Row]:
    folder.mkdir()
    found = asyncio.run(measure(folder, credentials, events, rows_of_delta, idle_s, rounds))
    idle, work = found.idle_us, f"{rows_of_delta:,} rows applied, {events:,} events drain"
    delta = f"the same, only while the rows are applied ({len(found.with_delta_us)} badges)"
    drain = f"the same, only after that ({len(found.draining_us)} badges)"
    name = f"idle ({len(idle)} badges)"
    found_rows = [
        as_much("P4", f"badge to strike, p99: {work}", p99(found.busy_us), p99(idle), name, "us", GOAL_BUSY),
        as_much("P4", f"badge to strike, p50: {work}", median(found.busy_us), median(idle), name, "us", None),
        as_much("P4", f"{delta}, worst", max(found.with_delta_us), max(idle), name, "us", None),
    ]
    if found.draining_us:
        found_rows.append(as_much("P4", f"{drain}, p99", p99(found.draining_us), p99(idle), name, "us", None))
    return found_rows


def p99(taken: Sequence[float]) -> float:
    return sorted(taken)[len(taken) * 99 // 100]


def compare(folder: Path, quick: bool, tiny: bool) -> list[Row]:
    """Everything. tiny: only to see that every part works."""
    rounds, commits, seconds = (2, 20, 0.05) if tiny else (30, 300, 1.0) if quick else (200, 1000, 5.0)
    size = (500, 1000, 200, 0.2, 1) if tiny else (20_000, 100_000, 10_000, 2.0, 2 if quick else 12)
    return [
        *rows_of_commits(folder, 1 if tiny else WARM_UP, rounds),
        *rows_of_flushes(folder, commits),
        *rows_of_doors(folder, 1 if tiny else 3, seconds),
        *rows_of_busy(folder / "agent", *size),
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description="records beside sqlite3 and an append-only file (P4)")
    parser.add_argument("--tiny", action="store_true", help="hardly any: whether every part works, not how fast")
    return on_disk.run("record", parser, lambda folder, asked: compare(folder, asked.quick, asked.tiny))


if __name__ == "__main__":
    sys.exit(main())
