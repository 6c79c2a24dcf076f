"""One database's part of benchmarks/ingest.py, in a process of its own: Django knows one database.

Both sides store the same rows in the same database, turn by turn: ours takes signed and sealed batches and answers
each; the other has the finished rows, and inserts them into a twin of the table, with the same indexes and keys.
"""

import argparse
import json
import os
import random
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).parents[1]))

from cloud_stub import database, folder
from edge.uplink import signing
from firmware_sim import fleet_sites
from firmware_sim.fleet_log import FleetLog, passage

AT_MS = 1_795_590_000_000
CONTROLLERS = 16
SITE = "fleet-0"


class Device:
    """One controller's keys and log."""

    def __init__(self, keys: Path) -> None:
        self.key = signing.load_private_key(keys / "device.key")
        manager = signing.load_manager(keys / "manager.toml")
        self.trust, self.door = manager.trust(self.key), manager.controller
        self.topic = f"v1/{manager.site}/{manager.controller}/up/events"
        self.log = FleetLog(os.urandom(16), manager.seal_key)

    def batch(self, events: int, chance: random.Random) -> tuple[str, bytes]:
        """The next message of so many events, as the uplink sends it."""
        first = self.log.last_seq + 1
        for n in range(events):
            self.log.record(passage(chance, self.door, AT_MS + (first + n) * 1000))
        raw, count = signing.encode_events(self.log.log_id, self.log.stretch(first, events), self.trust, self.key)
        assert count == events
        self.log.acknowledge(self.log.last_seq)
        return self.topic, raw


def set_up(place: Path, url: str) -> list[Device]:
    """A cloud with one residence whose policies are published."""
    os.environ[folder.ENVIRONMENT] = str(folder.prepare(place / "data"))
    os.environ[database.ENVIRONMENT] = url
    os.environ["DJANGO_SETTINGS_MODULE"] = "cloud_stub.settings"
    from cloud_stub.schema import bring_up_to_date

    bring_up_to_date(place / "data")
    from cloud_stub.residences import importing, provisioning, publishing, signature

    ids = [f"{SITE}-{n:03}" for n in range(CONTROLLERS)]
    fleet_sites.write(place, SITE, ids)
    importing.import_folder(place / SITE, datetime.now(UTC))
    for controller in provisioning.of_site(SITE):
        provisioning.provision(controller, place / "keys" / SITE / controller.slug, signature.manager_public_key())
        publishing.publish(controller, datetime.now(UTC))
    return [Device(place / "keys" / SITE / each) for each in ids]


def make_twin() -> None:
    """passages_twin, like passages_event in all but its name."""
    from django.db import connection

    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("CREATE TABLE passages_twin (LIKE passages_event INCLUDING ALL)")
            cursor.execute(
                "ALTER TABLE passages_twin ADD FOREIGN KEY (controller_id) REFERENCES residences_controller"
                " DEFERRABLE INITIALLY DEFERRED"
            )
            return
        cursor.execute("SELECT sql FROM sqlite_master WHERE tbl_name = 'passages_event' AND sql IS NOT NULL")
        for (sql,) in cursor.fetchall():
            for name in ("passages_event", "event_once", "event_newest", "event_door"):
                sql = sql.replace(name, name.replace("event", "twin"))
            cursor.execute(sql)


def ours(answering: Any, messages: list[tuple[str, bytes]]) -> float:
    """Seconds until all are answered."""
    from cloud_stub.answering import Arrived
    from cloud_stub.broker import GROUP

    started = time.perf_counter()
    for at in range(0, len(messages), GROUP):
        answers = answering.answers([Arrived(*each) for each in messages[at : at + GROUP]])
        assert all(answer.publications and not answer.is_failed and not answer.is_early for answer in answers)
    return time.perf_counter() - started


def plain(batch: int, rows: list[tuple[Any, ...]], columns: list[str]) -> float:
    """Seconds until the same rows are inserted, each batch a commit, by the driver itself."""
    from django.db import connection

    mark = "%s" if connection.vendor == "postgresql" else "?"
    insert = f"INSERT INTO passages_twin ({', '.join(columns)}) VALUES ({', '.join([mark] * len(columns))})"
    cursor = connection.connection.cursor()
    started = time.perf_counter()
    for at in range(0, len(rows), batch):
        cursor.execute("BEGIN IMMEDIATE" if mark == "?" else "BEGIN")
        cursor.executemany(insert, rows[at : at + batch])
        cursor.execute("COMMIT")
    return time.perf_counter() - started


def newest_rows(count: int) -> tuple[list[tuple[Any, ...]], list[str]]:
    """The last rows as the database has them, oldest first, and their columns."""
    from django.db import connection

    from cloud_stub.passages.recording import Row

    columns = list(Row._fields)
    cursor = connection.connection.cursor()
    cursor.execute(f"SELECT {', '.join(columns)} FROM passages_event ORDER BY id DESC LIMIT {count}")
    return cursor.fetchall()[::-1], columns


def measure(place: Path, url: str, batch: int, messages: int, rounds: int) -> dict[str, list[float]]:
    """Events a second of each side in each round, in turn; the first round is a warm-up."""
    devices, chance = set_up(place, url), random.Random(1)
    make_twin()
    from cloud_stub.answering import Answering
    from cloud_stub.passages.ingest import Ingest
    from cloud_stub.residences.signature import manager_key

    answering, rates = Answering(Ingest(manager_key())), {"ours": [], "plain": []}
    for number in range(rounds + 1):
        some = [devices[n % CONTROLLERS].batch(batch, chance) for n in range(messages)]
        taken = {"ours": ours(answering, some)}
        taken["plain"] = plain(batch, *newest_rows(batch * messages))
        if number:
            for side, seconds in taken.items():
                rates[side].append(batch * messages / seconds)
    return rates


def main() -> int:
    parser = argparse.ArgumentParser(description="ingest beside plain inserts, on one database")
    parser.add_argument("--database", default="", metavar="URL")
    parser.add_argument("--folder", type=Path, default=Path())
    parser.add_argument("--batch", type=int, default=500)
    parser.add_argument("--messages", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix=".ingest-", dir=options.folder) as place:
        rates = measure(Path(place).resolve(), options.database, options.batch, options.messages, options.rounds)
    print(json.dumps(rates))
    return 0


if __name__ == "__main__":
    sys.exit(main())
