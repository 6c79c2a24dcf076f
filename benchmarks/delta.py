"""A change of 10,000 rows: verified, stored and indexed, beside sqlite3's `executemany` of the same rows (P6).

Ours is what the agent does with the messages as they came from the broker: each part's signature, seal, CBOR and rows
are checked, the change is stored in one transaction with the digest of all rows, and laid over the image. The other
side writes the same rows, packed and keyed already, into the same table of a file of its own, in one transaction too.
"""

import argparse
import asyncio
import sqlite3
import sys
import time
from collections.abc import Sequence
from concurrent.futures import Future
from pathlib import Path
from statistics import median
from typing import NamedTuple

sys.path.append(str(Path(__file__).resolve().parent))

import on_disk
from decide_residence import Residence, build
from report import Row, as_much

from edge.decision import rows
from edge.decision.policy import VerifiedDelta
from edge.policies import Policies
from edge.storage.policy_store import PolicyStore
from edge.uplink import signing
from edge.uplink.policy_parts import PolicyParts

GOAL = 3.0
SITE, EPOCH = bytes(16), 1
_UPSERT = "INSERT OR REPLACE INTO row (key, packed) VALUES (?, ?)"


class Taken(NamedTuple):
    """Of one change."""

    verify_ms: float
    store_ms: float
    index_ms: float

    @property
    def all(self) -> float:
        return sum(self)


class TimedStore(PolicyStore):
    """taken_ms: what the last change took it."""

    taken_ms = 0.0

    def apply(self, delta: VerifiedDelta) -> "Future[None]":
        began = time.perf_counter()
        done = super().apply(delta)
        done.add_done_callback(lambda _: setattr(self, "taken_ms", (time.perf_counter() - began) * 1000))
        return done


class Ours:
    """A controller's policy of `residence`, and the manager who changes it."""

    def __init__(self, folder: Path, residence: Residence) -> None:
        self._manager, device = signing.generate_key(), signing.generate_key()
        public = signing.public_bytes(self._manager)
        own = signing.ManagerTrust(SITE, "bench", "bench", public, EPOCH, 1, bytes(32), signing.seal_public(bytes(32)))
        self._trust = own.trust(device)
        seal_to = signing.device_seal_public(signing.public_bytes(device))
        self._down = self._trust._replace(seal_to=seal_to)
        self._held = {rows.key_of(packed): packed for packed in residence.packed()}
        store = TimedStore.open(folder / "policy.db")
        assert isinstance(store, TimedStore)
        self._store, self._policies = store, Policies(store)
        self._revision = 1

    async def begin(self) -> None:
        """The first policy, whole."""
        packed = tuple(self._held.values())
        digest = signing.policy_digest(packed)
        await self._policies.apply(VerifiedDelta(SITE, self._down.controller, EPOCH, 0, 1, packed, (), digest))

    def parts(self, changed: Sequence[bytes]) -> list[bytes]:
        """The messages of the next revision."""
        self._held.update({rows.key_of(packed): packed for packed in changed})
        self._revision += 1
        digest = signing.policy_digest(self._held.values())
        before = self._revision - 1
        return signing.encode_policy_parts(
            changed, self._revision, self._down, self._manager, from_revision=before, digest=digest
        )

    async def take(self, parts: Sequence[bytes]) -> Taken:
        """Verify, store, index, as the agent does, the two last of them apart."""
        began = time.perf_counter()
        gathered, delta = PolicyParts(), None
        for raw in parts:
            delta = gathered.add(raw, self._trust, self._revision - 1)
        assert delta is not None
        verified = time.perf_counter()
        await self._policies.apply(delta)
        applied_ms = (time.perf_counter() - verified) * 1000
        return Taken((verified - began) * 1000, self._store.taken_ms, applied_ms - self._store.taken_ms)

    async def settle(self) -> None:
        """The changes become part of the image, as they do once a minute."""
        await self._policies.rebuild()

    def close(self) -> None:
        self._policies.close()


class Plain:
    """A table like ours in a file of its own, WAL and synchronous=FULL like ours."""

    def __init__(self, folder: Path, residence: Residence) -> None:
        self._db = sqlite3.connect(folder / "plain.db", isolation_level=None)
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = FULL")
        self._db.execute("CREATE TABLE row (key BLOB PRIMARY KEY, packed BLOB NOT NULL) STRICT, WITHOUT ROWID")
        self.take([(rows.key_of(packed), packed) for packed in residence.packed()])

    def take(self, pairs: Sequence[tuple[bytes, bytes]]) -> float:
        """Milliseconds."""
        began = time.perf_counter()
        self._db.execute("BEGIN")
        self._db.executemany(_UPSERT, pairs)
        self._db.execute("COMMIT")
        return (time.perf_counter() - began) * 1000

    def close(self) -> None:
        self._db.close()


async def measure(folder: Path, credentials: int, size: int, rounds: int) -> tuple[list[Taken], list[float]]:
    """The same changes on both sides, one after the other in each round; the first is not counted."""
    residence = build(credentials)
    ours, plain = Ours(folder, residence), Plain(folder, residence)
    taken, other = [], []
    try:
        await ours.begin()
        for number in range(rounds + 1):
            some = residence.credentials[:size]
            changed = [rows.pack(one._replace(holder=f"{one.holder} {number}")) for one in some]
            parts = ours.parts(changed)
            pairs = [(rows.key_of(packed), packed) for packed in changed]
            if number % 2:
                other.append(plain.take(pairs))
            taken.append(await ours.take(parts))
            if not number % 2:
                other.append(plain.take(pairs))
            await ours.settle()
    finally:
        ours.close()
        plain.close()
    return taken[1:], other[1:]


def compare(folder: Path, quick: bool, tiny: bool) -> list[Row]:
    credentials, size, rounds = (500, 200, 2) if tiny else (20_000, 10_000, 5 if quick else 25)
    taken, other = asyncio.run(measure(folder, credentials, size, rounds))
    whole, plain = median(one.all for one in taken), median(other)
    name, what = "sqlite3 executemany, WAL FULL", f"{size:,} of {credentials:,} credentials changed"
    found = [as_much("P6", f"{what}: verify, store, index", whole, plain, name, "ms", GOAL)]
    for part in Taken._fields:
        found.append(
            as_much(
                "P6",
                f"of it {part.removesuffix('_ms')}",
                median(getattr(one, part) for one in taken),
                plain,
                name,
                "ms",
                None,
            )
        )
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description="a change of 10,000 rows beside sqlite3's executemany (P6)")
    parser.add_argument("--tiny", action="store_true", help="hardly any: whether every part works, not how fast")
    return on_disk.run("delta", parser, lambda folder, asked: compare(folder, asked.quick, asked.tiny))


if __name__ == "__main__":
    sys.exit(main())
