"""Row Y3 whole: sealed changes and snapshots are verified, stored and indexed by a process that is killed at any
moment; what is there afterwards is one version, whole, and none older than was promised. And a change that anybody
touched on its way is none."""

import asyncio
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import uplink_world as world
from storm_policy_child import messages_to, rows_of
from test_uplink_refusals import mutated

from edge.policies import Policies
from edge.storage.policy_store import PolicyStore
from edge.uplink import policy_parts, signing
from edge.uplink.wire import WireError

CHILD = Path(__file__).with_name("storm_policy_child.py")
SEED = 20261122
LONGEST_S = 0.06  # from a version that was said to the kill: over some versions, images among them


class Victim:
    """`with Victim(folder) as victim:`; `victim.live(for_s)` is one life: the newest version that it promised."""

    def __init__(self, folder):
        self._folder = folder

    def __enter__(self):
        self._process = subprocess.Popen(
            [sys.executable, str(CHILD), str(self._folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            start_new_session=True, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )  # fmt: skip
        return self

    def __exit__(self, *_):
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()

    def live(self, for_s):
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        pid = int(self._process.stdout.readline())
        promised = self._process.stdout.readline()  # it is at work
        time.sleep(for_s)  # the moment is random, not awaited
        os.kill(pid, signal.SIGKILL)
        while (said := self._process.stdout.readline()) != "over\n":
            assert said, "it ended by itself"
            promised = said
        return int(promised)


def found_in(folder):
    """(revision, rows, digest as stored, digest of the index in force after a start)."""

    async def look():
        policies = Policies(PolicyStore.open(folder / "policy.db"))
        try:
            index = await policies.load()
            packed = await asyncio.wrap_future(policies.store.rows())
            assert index.version == policies.version
            return policies.version[1], packed, policies.digest, index.digest
        finally:
            policies.close()

    return asyncio.run(look())


def broken(found, promised):
    """What must not be, of what was found."""
    revision, packed, digest, in_force = found
    whole = rows_of(revision)
    wrong = []
    if sorted(packed) != sorted(whole.values()):
        wrong.append(f"the rows are not those of revision {revision}")
    if not digest == in_force == signing.policy_digest(whole.values()):
        wrong.append(f"the digest is not that of revision {revision}")
    if revision < promised:
        wrong.append(f"revision {revision} after {promised} was in force")
    return wrong


@pytest.mark.parametrize("lives", [30, pytest.param(1_000, marks=[pytest.mark.full, pytest.mark.timeout(1800)])])
def test_a_policy_is_there_whole_whenever_the_process_is_killed(tmp_path, lives):
    """Killed at random moments of verifying, storing, making images: one version's rows, digest and index."""
    print("seed", SEED)
    chance, revisions = random.Random(SEED), set()
    with Victim(tmp_path) as victim:
        for life in range(lives):
            promised = victim.live(chance.uniform(0, LONGEST_S))
            found = found_in(tmp_path)
            assert broken(found, promised) == [], f"life {life}"
            revisions.add(found[0])
    print(f"{lives} kills over {max(revisions)} revisions")
    assert max(revisions) > lives


def test_half_a_policy_would_be_seen(tmp_path):
    """Negative control: a row taken from, or left from another revision in what is found is a breach."""
    with Victim(tmp_path) as victim:
        promised = victim.live(0.01)
    revision, packed, digest, in_force = found_in(tmp_path)
    assert broken((revision, packed[1:], digest, in_force), promised)
    assert broken((revision, list(rows_of(revision + 1).values()), digest, in_force), promised)
    assert broken((revision, packed, digest, in_force), revision + 1)


@pytest.mark.parametrize("count", [300, pytest.param(10_000, marks=pytest.mark.full)])
def test_no_change_that_was_touched_is_taken(count):
    """Sealed changes with rows and keys that go, mutated: refused as a frame or by their signature, each of them."""
    print("seed", SEED)
    chance, right, reasons = random.Random(SEED), messages_to(10), set()
    gathered = policy_parts.PolicyParts()
    assert [gathered.add(raw, world.EDGE_TRUST, 9) for raw in right][-1].gone  # control: as it is it is taken
    for _ in range(count):
        with pytest.raises(WireError) as caught:
            policy_parts.PolicyParts().add(mutated(chance.choice(right), chance), world.EDGE_TRUST, 9)
        reasons.add(caught.value.reason)
    assert reasons == {"frame", "signature"}
