"""libosdp's reader on a pty: a stack that we did not write, driven from a test's own thread.

Several readers may share the line, as on a real bus: each gets every byte. Its thread is ours, not libosdp's, which
would sleep 20 ms between looks at the line.
"""

import ctypes
import os
import pty
import select
import termios
import threading
import tty
from typing import Any

import osdp

SCBK = bytes.fromhex("3f0a51c7e2886d149b2ef5a07746d913")
CAPABILITIES = osdp.PDCapabilities(
    [
        (osdp.Capability.ContactStatusMonitoring, 1, 2),
        (osdp.Capability.OutputControl, 1, 4),
        (osdp.Capability.CardDataFormat, 1, 1),
        (osdp.Capability.LEDControl, 1, 1),
        (osdp.Capability.AudibleControl, 1, 1),
        (osdp.Capability.Readers, 1, 1),
        (osdp.Capability.TextOutput, 1, 1),
    ]
)
BAUDS = (9600, 19200, 38400, 57600, 115200, 230400)


class _Channel(osdp.Channel):
    def __init__(self, line: "PtyLine") -> None:
        super().__init__()
        self._line = line
        self.kept = b""
        self.last = b""

    def read(self, max_bytes: int) -> bytes:
        taken, self.kept = self.kept[:max_bytes], self.kept[max_bytes:]
        return taken

    def write(self, buf: bytes) -> int:
        self.last = bytes(buf)
        self._line.answer(self.last)
        return len(buf)

    def flush(self) -> None:
        pass


class Peer:
    """One libosdp reader. `commands` collects what it was told, as libosdp's dicts."""

    def __init__(self, line: "PtyLine", address: int, scbk: bytes | None, flags: list[int]) -> None:
        self._line = line
        self.channel = _Channel(line)
        info = osdp.PDInfo(
            address, self.channel, scbk=scbk, flags=flags, id=osdp.PdId(1, 2, 0x00CAFE, 0x1234, 0x010203)
        )
        self._device = osdp.PeripheralDevice(info, CAPABILITIES, osdp.LogLevel.Emergency)
        self.commands: list[dict[str, Any]] = []
        self._device.ctx.set_command_callback(self._command)
        self._events: list[dict[str, Any]] = []
        self.baud = 0  # the speed at which it hears, 0 for any: a pty keeps what was set and does not care
        self.repeats = False  # answer a repeated command with the last answer, as section 5 has it; libosdp does not
        self._last_command = b""

    def _command(self, command: dict[str, Any]) -> tuple[int, Any]:
        self.commands.append(command)
        # The binding gives back one reference too many of what is returned here; a freed dict inside its leaked
        # tuple would crash the garbage collector later.
        answer = None
        if command["command"] == osdp.Command.Status:
            answer = {"command": osdp.Command.Status, "type": command["type"], "report": bytes(2)}
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(answer))
        code = 0
        return code, answer

    def turn(self, data: bytes) -> None:
        """Give it what came and let it work."""
        if self.baud and self.baud != self._line.speed():
            data = bytes(0x53 ^ byte for byte in data[::2])  # what another speed makes of it
        if self.repeats and data and data == self._last_command:
            self.channel.write(self.channel.last)
            return
        self._last_command = data or self._last_command
        self.channel.kept += data
        while self._events:
            self._device.ctx.submit_event(self._events.pop(0))
        self._device.ctx.refresh()

    def card(self, bits: int, data: bytes) -> None:
        self._events.append(
            {
                "event": osdp.Event.CardRead, "reader_no": 0, "format": osdp.CardFormat.Wiegand,
                "direction": 0, "length": bits, "data": data,
            }
        )  # fmt: skip

    def keys(self, data: bytes) -> None:
        self._events.append({"event": osdp.Event.KeyPress, "reader_no": 0, "data": data})

    def local_status(self, tamper: int, power: int) -> None:
        self.status(osdp.StatusReportType.Local, bytes((tamper, power)))

    def status(self, kind: int, report: bytes) -> None:
        """Report its inputs, outputs or itself unasked. (The binding cannot answer ISTAT and OSTAT: it loses the
        states on the way, and libosdp then says NAK.)"""
        self._events.append({"event": osdp.Event.Status, "type": kind, "report": report})

    def secure(self) -> bool:
        return bool(self._device.is_sc_active())


class PtyLine:
    """A pty whose other end is the readers. `port` is what a Bus opens. Use as a context manager."""

    def __init__(self) -> None:
        self._master, self._slave = pty.openpty()  # the slave stays open: a pty without one loses what is written
        tty.setraw(self._slave)
        tty.setraw(self._master)
        self.port = os.ttyname(self._slave)
        self.peers: list[Peer] = []
        self.is_cut = False
        self.change_reply = lambda reply: reply  # what a hostile line makes of an answer
        self.change_command = lambda command: command  # and of a command
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="peers")

    def add(self, address: int = 1, scbk: bytes | None = SCBK, flags: list[int] | None = None) -> Peer:
        peer = Peer(self, address, scbk, flags or [])
        self.peers.append(peer)
        return peer

    def speed(self) -> int:
        """The baud that the port is set to."""
        code = termios.tcgetattr(self._slave)[5]
        return next(baud for baud in BAUDS if getattr(termios, f"B{baud}") == code)

    def answer(self, reply: bytes) -> None:
        changed = self.change_reply(reply)
        if changed and not self.is_cut:
            os.write(self._master, changed)

    def __enter__(self) -> "PtyLine":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(5)
        os.close(self._slave)
        os.close(self._master)

    def _run(self) -> None:
        while not self._stop.is_set():
            ready, _, _ = select.select([self._master], [], [], 0.005)
            data = os.read(self._master, 1024) if ready else b""
            if self.is_cut:
                data = b""
            if data:
                data = self.change_command(data)
            for peer in list(self.peers):
                peer.turn(data)
