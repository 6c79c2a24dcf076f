"""A serial port in place of a pty: the simulated readers on a real line, behind an RS-485 adapter to a real box.

8 data bits, no parity, one stop bit (SIA OSDP 2.2, 5.1). The port is taken for this process alone.
"""

import asyncio
import fcntl
import os
import termios
import tty
from collections.abc import Callable, Sequence
from pathlib import Path

from firmware_sim.osdp_reader import OsdpReader
from firmware_sim.reader_line import READ_BYTES, ReaderLine


class SerialPort(ReaderLine):
    """`readers` on the line behind the serial port `path` at `baud`; bytes take the wire's own time.

    `on_lost(why)`: the port went, in a line that says what to do.
    """

    def __init__(
        self, path: str | Path, readers: Sequence[OsdpReader], baud: int, on_lost: Callable[[str], None]
    ) -> None:
        super().__init__(path, readers, baud=None)
        self._baud = baud
        self._on_lost = on_lost

    def open(self) -> None:
        """Take the port. OSError where it cannot be; needs a running loop."""
        port = os.open(self.path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
        try:
            fcntl.ioctl(port, termios.TIOCEXCL)
            tty.setraw(port)
            settings = termios.tcgetattr(port)
            speed = getattr(termios, f"B{self._baud}")
            settings[2] = termios.CS8 | termios.CREAD | termios.CLOCAL
            settings[4] = settings[5] = speed
            termios.tcsetattr(port, termios.TCSANOW, settings)
        except termios.error as error:
            os.close(port)
            raise OSError(error.args[0], f"not a serial port ({error.args[1]})", str(self.path)) from None
        except OSError as error:
            os.close(port)
            raise OSError(error.errno, f"not a serial port ({error.strerror})", str(self.path)) from None
        self._master = port
        asyncio.get_running_loop().add_reader(port, self._hear_port)

    def close(self) -> None:
        """Give the port back."""
        if self._master is None:
            return
        port, self._master = self._master, None
        asyncio.get_running_loop().remove_reader(port)
        for timer in [*self._thinking, *([self._settle] if self._settle is not None else [])]:
            timer.cancel()
        self._thinking.clear()
        os.close(port)

    def _hear_port(self) -> None:
        if self._master is None:
            return
        try:
            data = os.read(self._master, READ_BYTES)
        except BlockingIOError:
            return
        except OSError as error:
            self._lose(error.strerror or str(error))
            return
        if not data:
            self._lose("it is gone")
            return
        self.bytes_in += len(data)
        self._to_readers.send(data)

    def _write(self, data: bytes) -> None:
        try:
            super()._write(data)
        except OSError as error:
            self._lose(error.strerror or str(error))

    def _lose(self, why: str) -> None:
        """The adapter was pulled."""
        self.close()
        self._on_lost(f"{self.path}: {why}; plug the adapter in and start again")
