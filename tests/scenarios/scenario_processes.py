"""What the machine says of processes: whose children they are, what they listen on; and folders short enough for
Unix sockets."""

import contextlib
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "clos-des-dunes"
DEADLINE_S = 60  # against hanging, not a measure
_LISTEN = "0A"  # tcp_states.h
_LOOPBACK = ("0100007F", "00000000000000000000000001000000", "0000000000000000FFFF00000100007F")


@contextlib.contextmanager
def short_folder() -> Iterator[Path]:
    """A folder of few characters, gone afterwards: a Unix socket's path has at most 107 bytes."""
    folder = Path(tempfile.mkdtemp(prefix="vt", dir="/tmp"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def until(condition: Callable[[], object], what: str, deadline_s: float = DEADLINE_S) -> object:
    """Return what `condition` gives once it is true; fail where it never is."""
    end = time.monotonic() + deadline_s
    while True:
        found = condition()
        if found:
            return found
        assert time.monotonic() < end, f"not within {deadline_s} s: {what}"
        time.sleep(0.02)


def descendants(pid: int) -> set[int]:
    """All processes below `pid`; children that start a session of their own are found by their parent."""
    children: dict[int, set[int]] = {}
    for name in os.listdir("/proc"):
        if name.isdecimal():
            with contextlib.suppress(OSError):
                stat = Path(f"/proc/{name}/stat").read_text()
                children.setdefault(int(stat.rpartition(")")[2].split()[1]), set()).add(int(name))
    found: set[int] = set()
    todo = [pid]
    while todo:
        for child in children.get(todo.pop(), ()):
            if child not in found:
                found.add(child)
                todo.append(child)
    return found


def mentioning(text: str) -> dict[int, str]:
    """Living processes, but this one, whose command line holds `text`."""
    found = {}
    for name in os.listdir("/proc"):
        if name.isdecimal() and int(name) != os.getpid():
            with contextlib.suppress(OSError):
                command = Path(f"/proc/{name}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                if text in command:
                    found[int(name)] = command
    return found


def living(pids: set[int]) -> set[int]:
    """Those that have not ended; a zombie has."""
    found = set()
    for pid in pids:
        with contextlib.suppress(OSError):
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z":
                found.add(pid)
    return found


def listening(pid: int) -> list[tuple[str, int]]:
    """(address as the kernel writes it, port) of each TCP socket on which a process listens."""
    inodes = set()
    for descriptor in os.listdir(f"/proc/{pid}/fd"):
        with contextlib.suppress(OSError):
            target = os.readlink(f"/proc/{pid}/fd/{descriptor}")
            if target.startswith("socket:["):
                inodes.add(target[len("socket:[") : -1])
    found = []
    for table in ("tcp", "tcp6"):
        path = Path(f"/proc/{pid}/net/{table}")
        for line in path.read_text().splitlines()[1:] if path.exists() else ():
            fields = line.split()
            if fields[3] == _LISTEN and fields[9] in inodes:
                address, _, port = fields[1].partition(":")
                found.append((address, int(port, 16)))
    return found


def is_loopback(address: str) -> bool:
    """127.0.0.1 or ::1, as /proc/net/tcp writes them."""
    return address in _LOOPBACK
