"""The same decisions on MicroPython's unix port, beside CPython (row P8)."""

import platform
import struct
import subprocess
import sys
import tempfile
import zlib
from collections.abc import Callable
from pathlib import Path

from decide_here import Place
from decide_residence import Residence, ask, build
from report import Row, as_much, missing

from edge.decision.policy import compile_image

ROOT = Path(__file__).resolve().parents[1]
SCRIPT = Path(__file__).with_name("peers") / "portable_decide.py"
MICROPYTHON = Path(sys.executable).with_name("micropython")
HEAP = "4M"
HEAP_BYTES = 4 << 20
RUN_S = 300
ASKS = 2000
_RECORD = ">BQHqqBB"  # as portable_decide reads it


def rows_of_micropython(place: Place, finest: int) -> list[Row]:
    """Decisions a second and bytes a credential at one size; and the largest list in 4 MiB, to within `finest`."""
    count = f"{len(place.residence.credentials):,} credentials"
    if not MICROPYTHON.exists():
        return [
            missing("P8", f"{count}, MicroPython", f"not measured: no MicroPython on {platform.machine()}", "1/s", None)
        ]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _write(place, folder)
        small = _decide([str(MICROPYTHON), "-X", f"heapsize={HEAP}"], folder, passes=3)
        here = _decide([sys.executable], folder, passes=3)
        assert small is not None
        assert here is not None
        assert small[1] == here[1], "MicroPython does not decide as CPython does"
        whole = build(HEAP_BYTES // 11)  # more than fit: a record takes nearly 12 bytes
        largest, heap_used, rate = _largest(folder, whole, finest)
        in_dict = _largest_dict(folder, whole)
    each, each_of_dict = heap_used / largest, HEAP_BYTES / in_dict
    at_most = f"largest list in {HEAP}iB of heap"
    return [
        as_much("P8", f"{count}, decisions a second, MicroPython", small[0], here[0], "CPython", "1/s", None),
        as_much("P8", f"{count}, open the image, MicroPython", small[3] / 1000, here[3] / 1000, "CPython", "ms", None),
        as_much("P8", f"{at_most}, credentials", largest, in_dict, "MicroPython dict", "", None),
        as_much("P8", f"{at_most}, heap bytes a credential", each, each_of_dict, "MicroPython dict", "B", None),
        as_much("P8", f"{at_most}, decisions a second", rate, here[0], f"CPython, {count}", "1/s", None),
    ]  # fmt: skip


def _write(place: Place, folder: Path) -> None:
    """Write the image and the first asks as the portable script reads them."""
    (folder / "image").write_bytes(place.image)
    with (folder / "asks").open("w") as file:
        for presented, situation, moment, _ in place.asks[:ASKS]:
            fields = [presented.reader, presented.door, presented.medium, presented.number, presented.button]
            fields += [int(presented.secure), int(situation.locked_out), int(situation.lockdown)]
            fields += [int(situation.paired), int(situation.interlocked), moment.utc_ms, int(moment.trusted)]
            file.write("\t".join(map(str, [*fields, moment.floor_ms])) + "\n")


def _run(command: list[str]) -> list[int] | None:
    """Return the numbers that a run printed, or None where its memory ended."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=RUN_S)
    if done.returncode:
        if "MemoryError" in done.stdout + done.stderr:
            return None
        raise RuntimeError(f"{command[0]}: {(done.stderr or done.stdout).strip()[-300:]}")
    return [int(word) for word in done.stdout.split()]


def _decide(interpreter: list[str], folder: Path, passes: int) -> list[int] | None:
    return _run([*interpreter, str(SCRIPT), str(ROOT), str(folder / "image"), str(folder / "asks"), str(passes)])


def _largest(folder: Path, whole: Residence, finest: int) -> tuple[int, int, int]:
    """The largest list that 4 MiB of heap holds and decides on: (credentials, heap bytes, decisions a second)."""
    limited = [str(MICROPYTHON), "-X", f"heapsize={HEAP}"]
    packed = list(whole.packed())

    def attempt(credentials: int) -> list[int] | None:
        residence = Residence(whole.small, whole.credentials[:credentials])
        image = compile_image(packed[: len(whole.small) + credentials], (1, 1), bytes(32), zlib.crc32)
        _write(Place(residence, image, ask(residence, ASKS)), folder)
        return _decide(limited, folder, passes=3)

    credentials, numbers = _bisect(attempt, len(whole.credentials) // 2, len(whole.credentials), finest)
    return credentials, numbers[2], numbers[0]


def _bisect(attempt: Callable[[int], list[int] | None], low: int, high: int, finest: int) -> tuple[int, list[int]]:
    best = attempt(low)
    assert best is not None, f"{low} credentials do not fit in {HEAP}iB"
    while high - low > finest:
        middle = (low + high) // 2
        found = attempt(middle)
        if found is None:
            high = middle
        else:
            low, best = middle, found
    return low, best


def _largest_dict(folder: Path, whole: Residence) -> int:
    """How many of that list's credentials a dict in 4 MiB holds when memory ends."""
    with (folder / "list").open("wb") as file:
        for row in whole.credentials:
            file.write(struct.pack(_RECORD, *row[:7]))
    command = [str(MICROPYTHON), "-X", f"heapsize={HEAP}", str(SCRIPT), str(ROOT), "dict", str(folder / "list")]
    found = _run(command)
    assert found is not None
    return found[0]
