"""Applies DAT files in processes that are killed: a line "FOLDER FILE MICROSECONDS" in, a line out once it is over.

The work is done by a fork, which has everything imported, so that the moments of killing lie in the work. Without a
number of microseconds it is left to end.
"""

import asyncio
import os
import signal
import sys
import time
from pathlib import Path

from dat_desk import Correspondents, Desk

from edge.uplink.transfer_file import read

SEED = b"killed"


def apply(folder: Path, path: Path) -> None:
    async def once() -> None:
        desk = Desk(folder, Correspondents(SEED))
        with path.open("rb") as file:
            refused = await desk.take(list(read(file)[1]))
        assert refused is None, refused
        done = await desk.ask("dat-settle", transfer="t")
        assert done["policy"]["outcome"] == "applied", done
        desk.close()

    asyncio.run(once())


def main() -> None:
    for line in sys.stdin:
        folder, path, us = line.split()
        began = time.perf_counter()
        pid = os.fork()
        if pid == 0:
            try:
                apply(Path(folder), Path(path))
            except BaseException as error:
                print(repr(error), file=sys.stderr, flush=True)
                os._exit(1)
            os._exit(0)
        if us != "-":
            while time.perf_counter() < began + int(us) / 1e6:
                time.sleep(0.0001)
            os.kill(pid, signal.SIGKILL)
        _, status = os.waitpid(pid, 0)
        print(status, int((time.perf_counter() - began) * 1e6), flush=True)


if __name__ == "__main__":
    main()
