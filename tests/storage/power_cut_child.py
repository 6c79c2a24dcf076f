"""The process that strace watches, kills and lets fail. Not a test: run as `power_cut_child.py TASK FOLDER …`.

log FOLDER SEED ROUNDS   play_log, saying "what value" on stdout at the moment of each promise
policy FOLDER REVISIONS  play_policy, likewise
retry FOLDER COUNT       records COUNT events one by one, a refused one again as late until it is taken; says
                         "closed CODE", "refused N CODE", "recorded N SEQ LATE" and at the end "done COUNT"
"""

import os
import sys
from pathlib import Path

from power_cut_work import event_of, often, play_log, play_policy

from edge.storage.errors import StorageError
from edge.storage.event_log import EventLog

TRIES = 200


def say(what: object, value: object) -> None:
    """One write, so that a trace shows it as one call."""
    os.write(1, f"{what} {value.hex() if isinstance(value, bytes) else value}\n".encode())


def log(folder: str, seed: str, rounds: str) -> None:
    play_log(Path(folder), say, int(seed), int(rounds))


def policy(folder: str, revisions: str) -> None:
    play_policy(Path(folder), say, int(revisions))


def retry(folder: str, count: str) -> None:
    log = open_patiently(Path(folder) / "events.db")
    if log is None:
        say("done", 0)
        return
    for number in range(log.last_seq + 1, log.last_seq + int(count) + 1):
        late = False
        for _ in range(TRIES):
            try:
                seqs = log.record([event_of(number)], 1, late=late, keep={"count": b"%d" % number}).result()
            except StorageError as error:
                late = True
                say("refused", f"{number} {error.code}")
            else:
                say("recorded", f"{number} {seqs[0]} {int(late)}")
                break
    log.close()
    say("done", count)


def open_patiently(path: Path) -> EventLog | None:
    """Try again, as systemd would. strace counts calls by thread, and each try has a thread of its own: what refused
    the first one refuses all."""
    for _ in range(3):
        try:
            return EventLog.open(path)
        except StorageError as error:
            say("closed", error.code)
    return None


if __name__ == "__main__":
    with often():
        globals()[sys.argv[1]](*sys.argv[2:])
