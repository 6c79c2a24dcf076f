"""The process that test_uplink_storm_policy kills: `storm_policy_child.py FOLDER`. Not a test.

For each line on stdin it forks one that takes sealed policies, one revision after the other, and says each once it is
durable and in force; what it says first is its process id. At the end of each it says "over"."""

import asyncio
import os
import random
import sys
from pathlib import Path

import uplink_world as world

from edge.decision import rows
from edge.policies import Policies
from edge.storage.policy_store import PolicyStore
from edge.uplink import signing
from edge.uplink.policy_parts import PolicyParts

CREDENTIALS = 150
SNAPSHOT_EVERY, DOOR_EVERY, IMAGE_EVERY = 7, 5, 4


def rows_of(revision):
    """Key → packed row of any revision: credentials come, change and go, and now and then a door changes, too."""
    door = rows.unpack(world.POLICY_ROWS[1])._replace(unlock_ms=5000 + revision // DOOR_EVERY)
    packed = [rows.pack(door) if row is world.POLICY_ROWS[1] else row for row in world.POLICY_ROWS]
    for i in range(CREDENTIALS):
        if (i + revision) % 11:
            changed_at = revision - (revision + i) % 3
            packed.append(rows.pack(rows.Credential(1, 5_000_000_000 + i, 1, 0, 0, 0, 0, "", f"Flat {i}.{changed_at}")))
    return {rows.key_of(row): row for row in packed}


def messages_to(revision):
    """The sealed parts that lead there from the revision before."""
    before, after = rows_of(revision - 1), rows_of(revision)
    if revision == 1 or revision % SNAPSHOT_EVERY == 0:
        return signing.encode_policy_parts(after.values(), revision, world.CLOUD_TRUST, world.MANAGER_KEY)
    return signing.encode_policy_parts(
        [row for key, row in after.items() if before.get(key) != row], revision, world.CLOUD_TRUST, world.MANAGER_KEY,
        from_revision=revision - 1, gone=sorted(before.keys() - after.keys()),
        digest=signing.policy_digest(after.values()),
    )  # fmt: skip


async def work(folder):
    policies = Policies(PolicyStore.open(folder / "policy.db"))
    await policies.load()
    while True:
        revision = policies.version[1] + 1
        raws, gathered = messages_to(revision), PolicyParts()
        random.shuffle(raws)
        [delta] = [delta for raw in raws if (delta := gathered.add(raw, world.EDGE_TRUST, revision - 1))]
        await policies.apply(delta)
        print(revision, flush=True)
        if revision % IMAGE_EVERY == 0:
            await policies.rebuild()


def main(folder):
    while sys.stdin.readline():
        pid = os.fork()
        if pid == 0:
            print(os.getpid(), flush=True)
            asyncio.run(work(Path(folder)))
        os.waitpid(pid, 0)
        print("over", flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
