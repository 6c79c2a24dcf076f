"""The simulated modem as a terminal sees it: literal bytes in and out, people on the telephone, faults."""

import asyncio
import os
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from edge.reader.modem_line import Modem, Ringing
from firmware_sim.gsm_makers import MAKERS
from firmware_sim.gsm_messages import deliver_pdu
from firmware_sim.gsm_modem import STORE, GsmModem
from firmware_sim.gsm_network import RING_MS, Callee

WITHIN_S = 20.0
CALLER = "+33612000001"


class Terminal:
    """A program that has the modem's port open, and the modem's clock."""

    def __init__(self, folder: Path, maker: str = "sim800", **sim: Any) -> None:
        self.now_ms = 0
        self.modem = GsmModem(folder / "gsm", maker, now_ms=lambda: self.now_ms, **sim)
        self._port = -1
        self._read = 0

    def open(self) -> None:
        self.modem.open()
        self._port = os.open(self.modem.path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)

    def close(self) -> None:
        os.close(self._port)
        self.modem.close()

    async def ask(self, *commands: str) -> bytes:
        """Send commands, each after the last was taken; what came back."""
        said = b""
        for command in commands:
            arrives = self.modem.bytes_in + len(command) + 1
            os.write(self._port, command.encode() + b"\r")
            await until(lambda arrives=arrives: self.modem.bytes_in == arrives)  # type: ignore[misc]
            said += await self.heard()
        return said

    async def heard(self) -> bytes:
        """All that the modem has said since."""
        said = b""
        deadline = time.monotonic() + WITHIN_S
        while self._read < self.modem.bytes_out:
            assert time.monotonic() < deadline
            try:
                said += (data := os.read(self._port, 65536))
                self._read += len(data)
            except BlockingIOError:
                await asyncio.sleep(0)
        return said

    async def after(self, ms: int) -> bytes:
        """Let time go by, event by event; what was said."""
        end_ms = self.now_ms + ms
        while (due_ms := self.modem.timeline.next_due_ms()) is not None and due_ms <= end_ms:
            self.now_ms = max(self.now_ms, due_ms)
            self.modem.tick()
        self.now_ms = end_ms
        return await self.heard()


async def until(holds: Callable[[], object]) -> None:
    deadline = time.monotonic() + WITHIN_S
    while not holds():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.001)


def play(terminal: Terminal, scene: Callable[[Terminal], Coroutine[Any, Any, None]]) -> None:
    async def whole() -> None:
        terminal.open()
        try:
            await scene(terminal)
        finally:
            terminal.close()

    asyncio.run(whole())


def test_echo_results_and_errors(tmp_path: Path) -> None:
    """Echo until told otherwise; verbose results; errors without and with numbers (V.250, 5.7; TS 27.007, 9.1)."""

    async def scene(terminal: Terminal) -> None:
        assert await terminal.ask("AT") == b"AT\r\r\nOK\r\n"
        assert await terminal.ask("ATE0") == b"ATE0\r\r\nOK\r\n"
        assert await terminal.ask("at") == b"\r\nOK\r\n"
        assert await terminal.ask("AT+NOSUCH") == b"\r\nERROR\r\n"
        assert await terminal.ask("hello") == b"\r\nERROR\r\n"
        assert await terminal.ask("AT+CLIP=1") == b"\r\nERROR\r\n"
        assert await terminal.ask("AT+CMEE=1", "AT+CLIP=1") == b"\r\nOK\r\n\r\n+CME ERROR: 11\r\n"
        assert await terminal.ask("AT+CPIN?") == b"\r\n+CPIN: SIM PIN\r\n\r\nOK\r\n"

    play(Terminal(tmp_path, pin="4821"), scene)


@pytest.mark.parametrize("maker", sorted(MAKERS))
def test_the_pin_and_its_tries(tmp_path: Path, maker: str) -> None:
    """Three wrong PINs lock the SIM for good; a right one before gives the tries back."""

    async def scene(terminal: Terminal) -> None:
        tries = "AT" + MAKERS[maker].tries
        await terminal.ask("ATE0", "AT+CMEE=1")
        assert b"+CME ERROR: 16" in await terminal.ask('AT+CPIN="0000"')
        assert MAKERS[maker].tells_tries(2).encode() in await terminal.ask(tries)
        assert b"+CPIN: READY" in await terminal.ask('AT+CPIN="4821"')
        assert MAKERS[maker].tells_tries(3).encode() in await terminal.ask(tries)
        terminal.modem.reboot()
        await terminal.after(3000)
        for _ in range(3):
            await terminal.ask('AT+CPIN="0000"')
        assert b"+CPIN: SIM PUK" in await terminal.ask("AT+CPIN?")
        assert b"OK" not in (await terminal.ask('AT+CPIN="4821"')).replace(b'AT+CPIN="4821"', b"")

    play(Terminal(tmp_path, maker, pin="4821"), scene)


def test_a_caller_rings_every_six_seconds_until_he_gives_up(tmp_path: Path) -> None:
    """RING and +CLIP in literal bytes; nobody hangs up, so he does."""

    async def scene(terminal: Terminal) -> None:
        await terminal.ask("ATE0", "AT+CLIP=1")
        call = terminal.modem.network.call_in(CALLER, patience_ms=20_000)
        ring = b'\r\nRING\r\n\r\n+CLIP: "+33612000001",145,"",0,"",0\r\n'
        assert await terminal.heard() == ring
        assert await terminal.ask("AT+CLCC") == b'\r\n+CLCC: 1,1,4,0,0,"+33612000001",145\r\n\r\nOK\r\n'
        assert await terminal.after(RING_MS) == ring
        assert await terminal.after(20_000) == ring * 2 + b"\r\nNO CARRIER\r\n"
        assert (call.rings, call.ended_by) == (4, "caller")
        terminal.modem.network.call_in(None)
        assert await terminal.heard() == b'\r\nRING\r\n\r\n+CLIP: "",128,"",0,"",1\r\n'

    play(Terminal(tmp_path), scene)


@pytest.mark.parametrize("maker", sorted(MAKERS))
def test_hanging_up_as_each_maker_does(tmp_path: Path, maker: str) -> None:
    """AT+CHUP where it exists, ATH where +CVHU=0 or the maker lets it end a voice call."""

    async def scene(terminal: Terminal) -> None:
        network = terminal.modem.network
        network.call_in(CALLER)
        await terminal.ask("AT+CHUP")
        assert (network.running == []) == MAKERS[maker].has_chup
        if MAKERS[maker].has_chup:
            network.call_in(CALLER)
            await terminal.ask("ATH")
            assert network.running
            await terminal.ask("AT+CVHU=0")
        await terminal.ask("ATH")
        assert not network.running
        assert network.over[-1].ended_by == "door"

    play(Terminal(tmp_path, maker), scene)


def test_a_called_person_by_hand(tmp_path: Path) -> None:
    """A page or a player may act for the one who is called: answer, press, hang up."""

    async def scene(terminal: Terminal) -> None:
        network = terminal.modem.network
        await terminal.ask("ATE0", "AT+QTONEDET=1")
        assert await terminal.ask("ATD+33612000004;") == b"\r\nOK\r\n"
        network.answer()
        network.press("7")
        assert await terminal.heard() == b"\r\n+QTONEDET: 55\r\n"
        assert b"+CLCC: 1,0,0,0,0" in await terminal.ask("AT+CLCC")
        network.hang_up()
        assert await terminal.heard() == b"\r\nNO CARRIER\r\n"
        assert (network.over[-1].keys, network.over[-1].ended_by) == ("7", "callee")
        assert await terminal.ask("ATD+33612000004") == b"\r\nERROR\r\n"  # no ";": a data call

    play(Terminal(tmp_path, "ec25"), scene)


@pytest.mark.parametrize(
    ("callee", "said"),
    [
        (Callee("refuses", 2000), b"\r\nBUSY\r\n"),
        (Callee("busy"), b"\r\nBUSY\r\n"),
        (Callee("unreachable"), b"\r\nNO CARRIER\r\n"),
        (Callee("silent"), b"\r\nNO ANSWER\r\n"),
        (Callee("answers", 2000, talks_ms=4000), b"\r\nNO CARRIER\r\n"),
    ],
)
def test_scripted_people(tmp_path: Path, callee: Callee, said: bytes) -> None:
    """Each way to take a call, in the modem's words."""

    async def scene(terminal: Terminal) -> None:
        terminal.modem.network.callees["+33612000004"] = callee
        await terminal.ask("ATE0", "ATD+33612000004;")
        assert await terminal.after(70_000) == said
        assert not terminal.modem.network.running

    play(Terminal(tmp_path), scene)


def test_who_calls_during_a_call(tmp_path: Path) -> None:
    """Waiting is shown where it was asked for and turned away by +CHLD=0; else the network says busy."""

    async def scene(terminal: Terminal) -> None:
        network = terminal.modem.network
        await terminal.ask("ATE0", "ATD+33612000004;")
        assert network.call_in(CALLER).ended_by == "network"
        await terminal.ask("AT+CCWA=1")
        waiting = network.call_in(CALLER)
        assert await terminal.heard() == b'\r\n+CCWA: "+33612000001",145,1\r\n'
        await terminal.ask("AT+CHLD=0")
        assert waiting.ended_by == "door"
        assert len(network.running) == 1

    play(Terminal(tmp_path), scene)


def test_messages_in_the_store(tmp_path: Path) -> None:
    """Announced, shown as PDU, deleted; the eleventh finds the store full. A literal PDU of the packing's example."""
    assert deliver_pdu("+27838890001", "hellohello").endswith("0AE8329BFD4697D9EC37")

    async def scene(terminal: Terminal) -> None:
        await terminal.ask("ATE0", "AT+CMGF=0")
        for _ in range(STORE + 1):
            terminal.modem.receive_text(CALLER, "hellohello")
        assert (await terminal.heard()).count(b"+CMTI") == STORE
        assert terminal.modem.lost_messages == 1
        assert b"\r\n+CMGR: 0,,28\r\n07913396050066F0" in await terminal.ask("AT+CMGR=1")
        await terminal.ask("AT+CMGD=1")
        assert await terminal.ask("AT+CMGR=1") == b"\r\n+CMS ERROR: 321\r\n"
        await terminal.ask("AT+CMGD=1,4")
        assert not terminal.modem.store

    play(Terminal(tmp_path), scene)


def test_faults(tmp_path: Path) -> None:
    """Slow, mute, noisy, rebooted with and without a word: as told."""

    async def scene(terminal: Terminal) -> None:
        modem = terminal.modem
        modem.answer_ms = 5000
        assert await terminal.ask("ATE0") == b"ATE0\r"
        assert await terminal.after(5000) == b"\r\nOK\r\n"
        modem.answer_ms = 0
        modem.noise(b"\x00\xffZZ")
        assert await terminal.heard() == b"\x00\xffZZ"
        modem.is_mute = True
        assert await terminal.ask("AT") == b""
        modem.is_mute = False
        modem.reboot()
        assert await terminal.ask("AT") == b""
        assert await terminal.after(3000) == b"\r\nRDY\r\n\r\n+CFUN: 1\r\n\r\n+CPIN: READY\r\n"
        assert await terminal.ask("AT") == b"AT\r\r\nOK\r\n"  # it echoes again
        modem.reboot(says_so=False)
        assert await terminal.after(3000) == b""
        modem.take_sim()
        assert await terminal.heard() == b"\r\n+CPIN: NOT INSERTED\r\n"

    play(Terminal(tmp_path), scene)


def test_pulled_and_put_back_under_the_same_name(tmp_path: Path) -> None:
    """The name goes with the port and comes back with a new one."""

    async def act() -> None:
        modem = GsmModem(tmp_path / "gsm")
        modem.open()
        assert (tmp_path / "gsm").is_symlink()
        modem.close()
        assert not (tmp_path / "gsm").is_symlink()
        modem.open()
        assert os.readlink(tmp_path / "gsm").startswith("/dev/")
        modem.close()

    asyncio.run(act())


def test_both_ends_by_their_own_clocks(tmp_path: Path) -> None:
    """Without a given clock modem and line live by themselves: set up, a caller hung up in his first ring, a call
    answered and its key heard."""

    async def act() -> None:
        sim = GsmModem(tmp_path / "gsm", "sim7600")
        sim.open()
        seen: list[Any] = []
        line = Modem("gsm", str(tmp_path / "gsm"), 115200, None, "33", seen.append)
        task = asyncio.create_task(line.run())
        await until(lambda: line.status()["ready"])
        call = sim.network.call_in(CALLER)
        await until(lambda: call.ended_ms is not None)
        assert (call.rings, call.ended_by) == (1, "door")
        assert seen[-1] == Ringing("gsm", 33612000001)
        await until(lambda: line.status()["call"] == "idle")
        sim.network.callees["+33612000004"] = Callee("answers", 0, keys="1", key_ms=1)
        line.dial("hall-a", 33612000004, 20)
        await until(lambda: getattr(seen[-1], "what", "") == "key")
        assert [value.what for value in seen[-2:]] == ["answered", "key"]
        line.hang_up("hall-a")
        await until(lambda: not sim.network.running)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        sim.close()

    asyncio.run(act())
