"""How far a search for readers is: a bar on a terminal, else a line for each speed. Always on stderr."""

import sys
from types import TracebackType
from typing import TextIO

from edge.reader.osdp.scan import Progress

WIDTH = 30
_CLEAR = "\r\x1b[K"


class ScanProgress:
    """`tell` it; leave the `with` block to wipe the bar away."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = sys.stderr if stream is None else stream
        self._is_terminal = self._stream.isatty()
        self._told = ""

    def __enter__(self) -> "ScanProgress":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._is_terminal and self._told:
            self._write(_CLEAR)

    def tell(self, port: str, far: Progress) -> None:
        """Show how far the search on a port is."""
        if self._is_terminal:
            shown = bar(port, far)
            if shown != self._told:
                self._write(_CLEAR + shown)
            self._told = shown
        elif far.done < far.total and f"{port} {far.baud}" != self._told:
            self._told = f"{port} {far.baud}"
            self._write(f"looking for readers on {port} at {far.baud} baud\n")

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()


def bar(port: str, far: Progress) -> str:
    """A bar of WIDTH characters with what it stands for."""
    full = WIDTH * far.done // far.total if far.total else WIDTH
    found = f"{far.found} found" if far.found else "none found yet"
    return f"{port} [{'█' * full}{'░' * (WIDTH - full)}] {far.baud} baud, address {far.address}: {found}"
