"""Killed anywhere while a DAT file is applied: the old policy is there, whole, or the new one is."""

import asyncio
import os
import random
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from dat_desk import DEADLINE_S, Correspondents, memory_folder, policy_rows, write_file
from dat_kill_child import SEED

from edge.policies import Policies
from edge.storage.policy_store import PolicyStore

ENDS = Correspondents(SEED)


@pytest.fixture
def folder():
    with memory_folder() as made:
        yield made


@pytest.fixture
def child():
    """See dat_kill_child."""
    here = Path(__file__).parent
    paths = os.pathsep.join([str(here), str(here.parents[1]), *sys.path])
    process = subprocess.Popen(
        [sys.executable, str(here / "dat_kill_child.py")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": paths}, start_new_session=True,
    )  # fmt: skip
    yield process
    os.killpg(process.pid, signal.SIGKILL)
    process.wait(DEADLINE_S)


def applied(child, folder, path, us="-"):
    """(exit status, µs) of a process that applied `path` until it was killed."""
    child.stdin.write(f"{folder} {path} {us}\n")
    child.stdin.flush()
    status, took_us = child.stdout.readline().split()
    return int(status), int(took_us)


def state_of(folder, size):
    """The revision in `folder`; everything of it is of that revision, and the agent can begin with it."""

    async def look():
        store = PolicyStore.open(folder / "policy.db")
        policies = Policies(store)
        try:
            revision = policies.version[1]
            found = await asyncio.wrap_future(store.rows())
            index = await policies.load()
            assert store.report.set_aside is None
            assert sorted(found) == (sorted(policy_rows(revision, size)) if revision else [])
            assert (index.version[1] if index else 0) == revision
            assert await policies.recheck()
            return revision
        finally:
            policies.close()

    return asyncio.run(look())


@pytest.mark.parametrize(
    ("runs", "size"), [(16, 300), pytest.param(1000, 1000, marks=[pytest.mark.full, pytest.mark.timeout(1800)])]
)
def test_a_policy_is_applied_whole_or_not_at_all(folder, child, runs, size):
    """Killed at random moments of the whole way, from opening the file to its last step; each run goes on from what
    the one before left."""
    print("seed 20261122")
    chance = random.Random(20261122)
    for revision in (1, 2):  # the first makes the files, too
        path = write_file(folder / "next.dat", ENDS.policy(policy_rows(revision, size), revision))
        status, reach_us = applied(child, folder, path)
        assert (status, state_of(folder, size)) == (0, revision)
    outcomes = []
    for run in range(runs):
        path = write_file(folder / "next.dat", ENDS.policy(policy_rows(revision + 1, size), revision + 1))
        moment = chance.uniform(0.8, 1) if run % 2 else chance.random()  # every other one near the change
        status, _ = applied(child, folder, path, int(reach_us * moment))
        found = state_of(folder, size)
        assert found in (revision, revision + 1)
        outcomes.append((status == signal.SIGKILL, found > revision))
        reach_us *= 0.9 if found > revision else 1.08  # wherever the change is on this machine, kills stay around it
        revision = found
    before, after = outcomes.count((True, False)), outcomes.count((True, True))
    print(f"killed before the change {before}, after it {after}, came to their end {runs - before - after}")
    assert before > runs / 5
    assert revision > 2 + runs / 5
    assert (False, False) not in outcomes


def test_a_mixture_would_be_seen(folder, child):
    """The control: one row of another revision, put there behind the program's back."""
    path = write_file(folder / "first.dat", ENDS.policy(policy_rows(1, 20), 1))
    assert applied(child, folder, path)[0] == 0
    assert state_of(folder, 20) == 1
    with closing(sqlite3.connect(folder / "policy.db")) as database:
        database.execute("DELETE FROM row WHERE key = (SELECT max(key) FROM row)")
        database.commit()
    with pytest.raises(AssertionError):
        state_of(folder, 20)
