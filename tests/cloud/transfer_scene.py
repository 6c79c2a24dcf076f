"""A residence with three controllers on its way from one data folder to another, all by commands."""

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from cloud_device import AT_MS, Device, event, make_keys
from cloud_example import EXAMPLE

from edge.uplink import statements
from edge.uplink.signing import ManagerTrust
from edge.uplink.transfer_file import CONTROLLER, MANAGER, Header, Item, read, save

CHILD = Path(__file__).with_name("transfer_child.py")
SITE = "clos-des-dunes"
NOW, LATER, TOO_LATE = "2026-12-01T08:00:00Z", "2026-12-02T08:00:00Z", "2027-01-15T08:00:00Z"
KEY, LIKE = "0000004711", "1111100007"
DAY_MS = 86_400_000


class Desk:
    """One manager at his data folder."""

    def __init__(self, data: Path, process: subprocess.Popen) -> None:
        self.data, self._process, self.printed = data, process, ""

    def run(self, *arguments: object) -> tuple[int, str, str]:
        """One command: (exit code, stdout, stderr)."""
        code, out, err = self._ask(["--data", str(self.data), *map(str, arguments)])
        self.printed += out + err
        return code, out, err

    def must(self, *arguments: object) -> str:
        """The output of a command that has to work."""
        code, out, err = self.run(*arguments)
        assert (code, err) == (0, ""), (arguments, code, err)
        return out

    def residence(self) -> str:
        """As its database has it, the uid in front."""
        return self._ask(["residence", SITE])[1]

    def _ask(self, arguments: list[str]) -> list:
        self._process.stdin.write(json.dumps(arguments) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, "the child has ended"
        return json.loads(line)


@contextlib.contextmanager
def desk(data: Path) -> Iterator[Desk]:
    """A data folder of its own, in a process of its own that ends with the block."""
    process = subprocess.Popen(
        [sys.executable, CHILD], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True,
        env={**os.environ, "PYTHONPATH": str(CHILD.parents[2]), "PYTHONWARNINGS": "ignore"},
    )  # fmt: skip
    try:
        yield Desk(data, process)
    finally:
        process.stdin.close()
        process.wait(20)
        process.stdout.close()


class Box(Device):
    """A controller's device and what it says, by file."""

    def said(self, path: Path, *items: Item) -> Path:
        save(path, Header(MANAGER, self.manager.site, self.manager.controller, "now"), items)
        return path

    def obeys(self, handover: bytes) -> None:
        """As if everything had been done on site."""
        claim = statements.verify_claim(statements.decode_handover(handover)[1], self.key)
        self.manager = ManagerTrust(
            claim.site_uid, claim.site, claim.controller, claim.manager_key, claim.epoch, claim.manager, claim.code_key,
            claim.seal_key, claim.root_key, claim.serial, claim.recovery_key,
        )  # fmt: skip


def handed(path: Path) -> tuple[bytes, list[Item]]:
    """A DAT file's hand-over and its other messages."""
    with path.open("rb") as file:
        header, items = read(file)
        found = list(items)
    assert header.reader == CONTROLLER
    assert [item.kind for item in found].count("handover") == 1
    assert found[0].kind == "handover"
    return found[0].message, found[1:]


class Scene:
    """Up to the hand-overs of a second transfer, the first one having been revoked."""

    def __init__(self, place: Path, old: Desk, new: Desk) -> None:
        self.place, self.old, self.new = place, old, new
        self.numbers: list[str] = []
        assert old.run("import", EXAMPLE, "--now", NOW)[0] == 0  # with a warning
        names = [path.name for path in self._provision()]
        self.boxes = {name: Box(place / "keys" / name) for name in names}
        self._play_history()
        old.must("publish", "--now", NOW)
        new.must("manager", "set", "--number", "4712")
        self.first = self.authorise("first.residence")
        new.must("transfer", "accept", self.first, "--number", self.numbers[0], "--now", NOW)
        new.must("transfer", "key", SITE, "--badge", LIKE, "--new", KEY, "--now", NOW)
        self.first_handover = self.handover(names[0], "first.dat")[0]
        old.must("transfer", "revoke", SITE, "--out", place / "withdrawn", "--now", NOW)
        self.withdrawal = place / "withdrawn" / f"withdrawal-{SITE}-{names[0]}.dat"
        new.must("transfer", "withdraw", self.withdrawal, "--now", NOW)
        self.after_withdrawal = (
            new.run("transfer", "handover", SITE, names[0], "--out", place / "no.dat", "--now", NOW),
            new.run("transfer", "accept", self.first, "--number", self.numbers[0], "--now", NOW),
        )
        self.second = self.authorise("second.residence")
        self.sent = old.residence()
        new.must("transfer", "accept", self.second, "--number", self.numbers[1], "--now", LATER)
        self.received = new.residence()
        new.must("transfer", "key", SITE, "--badge", LIKE, "--new", KEY, "--now", LATER)
        self.handovers = {name: self.handover(name, f"{name}.dat") for name in names}

    def authorise(self, name: str) -> Path:
        path = self.place / name
        said = json.loads(self.old.must("transfer", "authorise", SITE, "--package", path, "--json", "--now", NOW))
        self.numbers.append(said["number"])
        return path

    def handover(self, name: str, file: str) -> tuple[bytes, list[Item]]:
        path = self.place / file
        self.new.must("transfer", "handover", SITE, name, "--out", path, "--now", LATER)
        return handed(path)

    def _provision(self) -> list[Path]:
        """A device for each controller."""
        status = json.loads(self.old.must("status", "--json"))
        made = [make_keys(self.place / "keys" / each["controller"]) for each in status["controllers"]]
        self.old.must("provision", f"{SITE}/*", "--keys", self.place / "keys")
        return made

    def _play_history(self) -> None:
        """One passage of long ago, one of a person who was erased since, one that is to go along."""
        box = self.boxes["hall-a"]
        passages = [event(at_ms=AT_MS - 200 * DAY_MS), event(1111100009), event(at_ms=AT_MS + 60_000)]
        path = box.said(self.place / "history.dat", Item("events", box.batch(1, passages)))
        self.old.must("dat", "import", path)
        self.old.must("erase", "--credential", "1111100009")
