"""What strace saw of a process, as a tape: the very calls that the product's SQLite made of the kernel."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from power_cut_disk import Sync, SyncNames, Tape, Truncate, Write

ROOT = Path(__file__).parents[2]
CHILD = Path(__file__).with_name("power_cut_child.py")
RUN_S = 120  # a deadline against hanging, not a measure
# All by which a file's content or name can change; what SQLite does not use would end the reading with an error.
CALLS = (
    "openat,open,creat,write,pwrite64,writev,pwritev,pwritev2,fsync,fdatasync,ftruncate,truncate,fallocate,"
    "rename,renameat,renameat2,unlink,unlinkat,link,linkat,copy_file_range,sendfile"
)
_LINE = re.compile(r"^(\d+) +(?:<\.\.\. (\w+) resumed>)?(.*)$", re.DOTALL)
_CALL = re.compile(r"^(\w+)\((.*)\) += (-?\d+)")
_HEX = re.compile(r'"((?:\\x[0-9a-f]{2})*)"|<((?:\\x[0-9a-f]{2})+)>')


def strace(*options: str, task: tuple[object, ...], paths: tuple[Path, ...] = ()) -> subprocess.CompletedProcess[bytes]:
    """power_cut_child.py with `task` under strace; `paths`: calls on these alone."""
    program = shutil.which("strace")
    if program is None:
        pytest.fail("the full sizes watch and disturb system calls with strace: apt install strace")
    only = [word for path in paths for word in ("-P", str(path))]
    return subprocess.run(
        [program, "-f", *options, *only, sys.executable, str(CHILD), *map(str, task)],
        env={**os.environ, "PYTHONPATH": str(ROOT)}, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL, timeout=RUN_S, check=False, start_new_session=True,
    )  # fmt: skip


def traced(folder: Path, *task: object) -> Tape:
    """Run the child's task, whose second word is `folder`, and give what it did there."""
    trace = folder.with_name(folder.name + ".trace")
    tape = Tape()
    tape.load(folder)
    try:
        done = strace(
            "--seccomp-bpf", "-y", "-xx", "-s", "10000000", "-o", str(trace), "-e", f"trace={CALLS}", task=task
        )
        assert done.returncode == 0
        read_trace(trace.read_text("ascii"), folder, tape)
    finally:
        trace.unlink(missing_ok=True)
    return tape


def read_trace(text: str, folder: Path, tape: Tape) -> None:
    """Put the calls of a trace that touch `folder`, and what was said on stdout, on the tape; each when it ended."""
    begun: dict[str, str] = {}
    for line in text.splitlines():
        process, resumed, rest = _LINE.match(line).groups()
        if rest.endswith("<unfinished ...>"):
            begun[process] = rest.removesuffix("<unfinished ...>")
            continue
        call = _CALL.match(begun.pop(process) + rest if resumed else rest)
        if call is not None and int(call[3]) >= 0:  # a refused call changed nothing
            _play(call[1], call[2], int(call[3]), folder, tape)


def _play(call: str, arguments: str, result: int, folder: Path, tape: Tape) -> None:
    texts = [bytes.fromhex((one or other).replace("\\x", "")) for one, other in _HEX.findall(arguments)]
    if call == "write" and arguments.startswith("1<"):
        what, _, value = texts[1].decode().strip().partition(" ")
        tape.mark(what, bytes.fromhex(value) if what == "log" else int(value))
        return
    paths = [Path(os.fsdecode(text)) for text in texts if text.startswith(os.fsencode(folder))]
    if not paths:
        return
    number = tape.names.get(paths[0].name, 0)
    flat = arguments.split(", ")
    match call:
        case "openat":
            if "O_CREAT" in arguments:
                number = tape.create(paths[0].name)
            if "O_TRUNC" in arguments:
                tape.append(Truncate(number, 0))
        case "pwrite64":
            tape.append(Write(number, int(flat[-1]), texts[1][:result]))
        case "write":  # what Python writes of its own, from the beginning
            tape.append(Write(number, tape.grown(number), texts[1][:result]))
        case "fsync" | "fdatasync":
            tape.append(SyncNames() if paths[0] == folder else Sync(number))
        case "ftruncate":
            tape.append(Truncate(number, int(flat[-1])))
        case "rename":
            tape.rename(paths[0].name, paths[1].name)
        case "unlink" | "unlinkat":
            tape.remove(paths[0].name)
        case _:
            raise AssertionError(f"the harness does not know what {call}({arguments[:80]}…) leaves on a disk")
