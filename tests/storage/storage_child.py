"""The process that the storage tests kill. Not a test: run as `storage_child.py TASK PATH …`.

record PATH            records batches for ever, printing each batch's last number once it is durable
boast PATH             prints each number before it is durable: what the test must catch
apply PATH AFTER       applies revision 2 over revision 1 and kills itself after AFTER steps of SQLite's machine,
                       or with AFTER 0 prints how many steps it took
apply-bare PATH AFTER  the same with every BEGIN, COMMIT and SAVEPOINT left out
apply-on PATH          applies one revision after the other for ever, printing each once it is durable
full PATH BYTES        records until no file may grow beyond BYTES, then lifts the limit and records again
modules PATH           opens a log and prints whether sqlite-utils was imported
hold PATH              opens a log and keeps it open until its stdin closes
"""

import os
import resource
import signal
import sqlite3
import sys
import threading

from storage_scenes import make_delta, make_event, policy_rows

from edge.storage import opening
from edge.storage.errors import StorageError
from edge.storage.event_log import EventLog
from edge.storage.policy_store import PolicyStore


def end_with_parent() -> None:
    """The parent holds our stdin: when it closes, whoever started us is gone."""

    def wait() -> None:
        os.read(0, 1)
        os._exit(0)

    threading.Thread(target=wait, daemon=True).start()


def record(path: str) -> None:
    log = EventLog.open(path)
    number = log.last_seq
    print("ready", flush=True)
    while True:
        # Several batches in flight, of several sizes, as many doors would.
        batches = [log.record([make_event(number + i) for i in range(1, size + 1)], 1) for size in (1, 3, 2)]
        number += 6
        for batch in batches:
            print(batch.result()[-1], flush=True)


def boast(path: str) -> None:
    log = EventLog.open(path)
    number = log.last_seq
    print("ready", flush=True)
    while True:
        number += 1
        future = log.record([make_event(number)], 1)
        print(number, flush=True)
        if number % 50 == 0:
            future.result()


class BareConnection(sqlite3.Connection):
    """A connection that ignores transactions, so that each statement is its own."""

    def execute(self, sql, *rest):
        if sql.split()[0] in ("BEGIN", "COMMIT", "SAVEPOINT", "RELEASE", "ROLLBACK"):
            sql, rest = "SELECT 1", ()
        return super().execute(sql, *rest)


def apply(path: str, after: str) -> None:
    store = PolicyStore.open(path)
    print("ready", flush=True)
    steps = 0

    def step() -> None:
        nonlocal steps
        steps += 1
        if steps == int(after):
            os.kill(os.getpid(), signal.SIGKILL)

    store._database.read(lambda connection: connection.set_progress_handler(step, 1)).result()
    store.apply(make_delta(1, 2, policy_rows(2))).result()
    print(steps, flush=True)


def apply_on(path: str) -> None:
    store = PolicyStore.open(path)
    print("ready", flush=True)
    while True:
        revision = store.version()[1] + 1
        changed = policy_rows(revision)
        store.apply(make_delta(revision - 1, revision, changed)).result()
        print(revision, flush=True)


def apply_bare(path: str, after: str) -> None:
    real = sqlite3.connect
    opening.sqlite3.connect = lambda *a, **k: real(*a, **k, factory=BareConnection)
    apply(path, after)


def full(path: str, limit: str) -> None:
    log = EventLog.open(path)
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(limit), hard))
    durable = 0
    try:
        while True:
            durable = log.record([make_event(durable + 1)], 1, keep={"count": b"%d" % (durable + 1)}).result()[-1]
    except StorageError as error:
        print(durable, error.code, error, flush=True)
    print(log.last_seq, flush=True)
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    print(log.record([make_event(durable + 1)], 1, late=True).result()[-1], flush=True)
    log.close()


def modules(path: str) -> None:
    EventLog.open(path).close()
    print("sqlite_utils" in sys.modules, flush=True)


def hold(path: str) -> None:
    EventLog.open(path)
    print("ready", flush=True)
    threading.Event().wait()


if __name__ == "__main__":
    end_with_parent()
    globals()[sys.argv[1].replace("-", "_")](*sys.argv[2:])
