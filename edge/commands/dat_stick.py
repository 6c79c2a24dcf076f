"""A folder of a stick: what is for this controller is taken, its events are put there, a text says what happened."""

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from edge.commands.options import local_time
from edge.console.api import ApiError
from edge.failures import CommandError

MOST_FILES = 100  # of a folder that are looked at
FRENCH = Path(__file__).parents[1] / "locale" / "fr" / "LC_MESSAGES" / "dat.po"
TAKEN = "%(file)s: taken; policy %(policy)s is in force, %(count)d more events are acknowledged"
WAITS = "%(file)s: a hand-over waits now; hold the commissioning key at the learning reader"
REFUSED = "%(file)s: REFUSED, %(why)s"
COLLECTED = "%(file)s: %(count)d events for the manager"
NOTHING = "no file here was for this controller"
NO_ANSWER = "no-answer"
WHY = {
    "version": "older than the policy that is in force, or not for it",
    "signature": "edited, or of another manager",
    "foreign-controller": "for another controller or device",
    "foreign-site": "for another site",
    "epoch": "of another manager",
    "cut-short": "cut short: copy it again",
    "malformed": "edited or damaged: copy it again",
    "later-version": "of a later version: update the controller",
    "unwritten": "the stick cannot be written",
    NO_ANSWER: "the controller's program does not answer",
}
OTHER = "see the controller's log (%(reason)s)"


class Visit(NamedTuple):
    """What happened in a folder. taken: file → what the agent says of it. refused: file → reason. collected: file →
    how many events are in it."""

    taken: dict[str, dict[str, Any]]
    refused: dict[str, str]
    collected: dict[str, int]

    def lines(self, say: Callable[[str], str] = str) -> list[str]:
        """For people; say: translates."""
        lines = [
            say(TAKEN if done.get("handover") is None else WAITS) % {"file": name, **_taken_words(done)}
            for name, done in self.taken.items()
        ]
        lines += [say(REFUSED) % {"file": name, "why": _why(reason, say)} for name, reason in self.refused.items()]
        lines += [say(COLLECTED) % {"file": name, "count": count} for name, count in self.collected.items()]
        lines = lines if self.taken or self.refused else [say(NOTHING), *lines]
        return ["".join(each if each.isprintable() else "?" for each in line) for line in lines]


def visit(
    folder: Path,
    site: str,
    controller: str,
    apply: Callable[[Path], dict[str, Any]],
    collect: Callable[[Path], dict[str, Any]],
) -> Visit:
    """Go through a folder once; everything is on the stick when this returns. CommandError where it is none, or cannot
    be written."""
    if folder.is_symlink() or not folder.is_dir():
        raise CommandError(f"{folder}: no such folder; make a folder named vantail on the stick", os.EX_NOINPUT)
    done = Visit({}, {}, {})
    for path in _files_for(folder, site, controller):
        if (taken := _tried(apply, path, done)) is not None:
            done.taken[path.name] = taken
    events = folder / f"events-{site}-{controller}.dat"
    if (written := _tried(collect, events, done)) is not None:
        done.collected[events.name] = written["events"]
    write_result(folder, controller, done)
    return done


def _files_for(folder: Path, site: str, controller: str) -> list[Path]:
    """Those whose header names this controller. Others are nobody's business here, and links lead elsewhere."""
    from edge.uplink.transfer_file import CONTROLLER, TransferError, read

    found = []
    for path in sorted(folder.glob("*.dat"))[:MOST_FILES]:
        if path.is_symlink() or not path.is_file():
            continue
        try:
            with path.open("rb") as file:
                header, _ = read(file)
        except (TransferError, OSError):
            continue
        if (header.reader, header.controller) == (CONTROLLER, controller) and site in ("", header.site):
            found.append(path)
    return found


def _tried(work: Callable[[Path], dict[str, Any]], path: Path, done: Visit) -> dict[str, Any] | None:
    """What it gives. None: it could not be done, and `done` has the reason; no other file waits for that."""
    try:
        return work(path)
    except ApiError:
        done.refused[path.name] = NO_ANSWER
    except CommandError as error:
        done.refused[path.name] = getattr(error, "reason", "unwritten" if error.code == os.EX_CANTCREAT else "unread")
    return None


def write_result(folder: Path, controller: str, done: Visit) -> None:
    """The text for who carries the stick; all that was written is on it when this returns. CommandError."""
    from edge.translations import catalogue
    from edge.uplink.transfer_file import replacing

    path, at = folder / f"result-{controller}.txt", local_time(int(time.time() * 1000))
    lines = [*done.lines(), *done.lines(catalogue(FRENCH).gettext)]
    try:
        with replacing(path) as file:
            file.write("".join(f"{at}  {line}\r\n" for line in lines).encode())
    except OSError as error:
        raise CommandError(f"{path}: {error.strerror}; is the stick write-protected?", os.EX_CANTCREAT) from None
    os.sync()


def _taken_words(done: dict[str, Any]) -> dict[str, Any]:
    return {
        "policy": ".".join(map(str, done["policy"]["after"])),
        "count": sum(log["after"] - log["before"] for log in done["logs"]),
    }


def _why(reason: str, say: Callable[[str], str]) -> str:
    return say(WHY[reason]) if reason in WHY else say(OTHER) % {"reason": reason}
