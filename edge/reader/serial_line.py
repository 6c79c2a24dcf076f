"""A serial port as bytes in and out: the only file that names pyserial and pyserial-asyncio."""

import asyncio
import errno
import os
import termios
from collections.abc import Callable

import serial
import serial_asyncio


class LineError(OSError):
    """A port that cannot be used. The message names it and says what to do, in one line."""


_ADVICE = {
    errno.ENOENT: "does not exist: check `port` in the configuration, and that the adapter is plugged in",
    errno.EACCES: "may not be opened: add this user to the port's group (dialout) and start again",
    errno.EPERM: "may not be opened: add this user to the port's group (dialout) and start again",
    errno.EAGAIN: "is in use: another program, or a second agent, has it open",
    errno.EBUSY: "is in use: another program, or a second agent, has it open",
    errno.ENOTTY: "is no serial port: give a device such as /dev/ttyAMA0",
    errno.ENXIO: "has nothing behind it: check that the adapter is plugged in",
    errno.ENODEV: "has nothing behind it: check that the adapter is plugged in",
}


class SerialLine(asyncio.Protocol):
    """An open port, exclusively ours. `on_bytes` gets what comes, `on_lost` once a one-line reason when it ends."""

    def __init__(self, port: str, on_bytes: Callable[[bytes], None], on_lost: Callable[[str], None]) -> None:
        self.port = port
        self.data_received = on_bytes  # type: ignore[method-assign,assignment]
        self._on_lost = on_lost
        self._transport: asyncio.WriteTransport | None = None
        self._serial: serial.Serial | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        pass  # attached by open_line, which needs the transport earlier

    def connection_lost(self, exc: Exception | None) -> None:
        if self._transport is not None:
            self._transport = None
            self._on_lost(f"port {self.port} is gone: {exc or 'closed'}")

    def attach(self, transport: asyncio.WriteTransport, port: serial.Serial) -> None:
        """Called once by `open_line`."""
        self._transport, self._serial = transport, port

    def write(self, data: bytes) -> None:
        """Send; nothing if the port is closed or gone. What the port takes at once goes at once: the transport
        would wait a turn of the loop."""
        if self._transport is None or self._serial is None:
            return
        sent = 0
        if self._transport.get_write_buffer_size() == 0:
            try:
                sent = os.write(self._serial.fileno(), data)
            except BlockingIOError:
                pass
            except OSError as error:
                self.close()
                self._on_lost(f"port {self.port} is gone: {error.strerror}")
                return
        if sent < len(data):
            self._transport.write(data[sent:])

    def close(self) -> None:
        """Give the port back, at once; what is not sent yet is lost."""
        transport, self._transport = self._transport, None
        if transport is not None:
            transport.abort()


async def open_line(
    port: str, baud: int, on_bytes: Callable[[bytes], None], on_lost: Callable[[str], None]
) -> SerialLine:
    """Open `port` (a device, a pty, or a symlink to one), exclusively. LineError, with advice, if that fails."""
    line = SerialLine(port, on_bytes, on_lost)
    try:
        transport, _ = await serial_asyncio.create_serial_connection(
            asyncio.get_running_loop(), lambda: line, port, baudrate=baud, exclusive=True
        )
    except (OSError, ValueError, termios.error) as error:  # the last where it vanishes meanwhile
        raise LineError(f"port {port} {_advice(error)}") from error
    line.attach(transport, transport.serial)
    _low_latency(transport.serial)
    return line


def _advice(error: Exception) -> str:
    number = getattr(error, "errno", None)
    if number is None:  # pyserial words the lock's failure without a number
        number = errno.EAGAIN if "exclusively lock" in str(error) else None
        number = errno.ENOTTY if f"({errno.ENOTTY}, " in str(error) else number  # and a file's, which is none
    if number in _ADVICE:
        return _ADVICE[number]
    return f"cannot be opened: {error}"


def _low_latency(port: serial.Serial) -> None:
    """USB adapters hold bytes back for 16 ms unless told not to; ports that cannot be told need it not."""
    try:
        port.set_low_latency_mode(True)
    except (OSError, ValueError, AttributeError, NotImplementedError):
        pass
