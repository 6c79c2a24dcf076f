"""A controller at hall B that is being commissioned on site: the real agent, its files, and both managers' keys."""

import asyncio
import base64
import contextlib
import os
from collections.abc import AsyncIterator
from datetime import date
from pathlib import Path

from edge_controller import DEADLINE_S, NEVER_AUTO, NOW_MS, Made, ask, make

from edge import keyring
from edge.agent import Agent
from edge.clock import Clock
from edge.commissioning import password
from edge.config import load
from edge.decision.model import LOCK, Tick
from edge.residence.compile import policy_rows, years_around
from edge.residence.reading import read
from edge.succession import resume
from edge.uplink import signing, statements
from edge.uplink.keys import generate_key, public_bytes
from edge.uplink.sealing import device_seal_public
from firmware_sim.driven_clock import DrivenClock
from firmware_sim.line_board import LineBoard

PASSWORD = "274951"
NUMBER = 77  # the new manager's
CODE = "86860"  # of a resident of hall B
KEY = 4_640_800_091  # the commissioning key: a card that opens nothing today
HALL, SIDE = "hall-b-in", "hall-b-side"
TWO_READERS = (
    '{ id = "hall-b-in", kind = "wiegand", bits = 37, keypad = true, direction = "in" }',
    '{ id = "hall-b-in", kind = "wiegand", bits = 37, keypad = true, direction = "in" }, '
    '{ id = "hall-b-side", kind = "wiegand", bits = 37, keypad = true, direction = "in" }',
)


class Commissioned:
    """The folder, with a password, and an old manager of epoch 1 whose key the test has."""

    def __init__(self, folder: Path, controller: str = "hall-b", broker: str = "") -> None:
        self.made: Made = make(folder, controller, broker, changes=(NEVER_AUTO, TWO_READERS))
        self.old_key, self.root, self.new_key = generate_key(), generate_key(), generate_key()
        self.new_seal, self.new_codes = os.urandom(32), os.urandom(32)
        keys = self.made.keys
        self.device = signing.load_private_key(keys / "device.key")
        self.old = signing.load_manager(keys / "manager.toml")._replace(manager_key=public_bytes(self.old_key))
        signing.write_manager(keys / "manager.toml", self.old)
        self.set_password(PASSWORD)
        self.clock = DrivenClock(NOW_MS, 1_000_000)

    def set_password(self, text: str) -> None:
        path = self.made.keys / "password.toml"
        path.touch(0o600)
        path.write_text(password.make(text, 0).toml())

    @property
    def new(self) -> signing.ManagerTrust:
        """What manager.toml will say."""
        return signing.ManagerTrust(
            self.old.site_uid, "clos-des-dunes", self.made.controller, public_bytes(self.new_key), 2, NUMBER,
            self.new_codes, signing.seal_public(self.new_seal), public_bytes(self.root), 1,
        )  # fmt: skip

    def claim(self, key: int | None = KEY, **changes: object) -> statements.Claim:
        new, secret = self.new, b"s" * 16
        device = signing.fingerprint(public_bytes(self.device))
        mark = statements.mark_of(secret, key, new.site_uid, 2, new.root_key, NUMBER) if key is not None else b""
        claim = statements.Claim(
            new.site_uid, device, 2, new.root_key, NUMBER, new.manager_key, 1, secret, mark, new.seal_key,
            new.code_key, new.site, new.controller,
        )  # fmt: skip
        return claim._replace(**changes)

    def handover(self, claim: statements.Claim | None = None, start: statements.Start | None = None) -> bytes:
        claim = claim or self.claim()
        certificate = statements.encode_certificate(self.new.manager_key, 1, self.root)
        public = public_bytes(self.device)
        raw_claim = statements.encode_claim(claim, self.root, certificate, public)
        release = statements.Release(self.old.site_uid, 2, statements.hash_of(claim.secret), NOW_MS // 1000 + 86_400, 1)
        raw_start = statements.encode_start(start, raw_claim, public) if start is not None else b""
        return statements.encode_handover(statements.encode_release(release, self.old_key), raw_claim, raw_start)

    def policy(self, is_new: bool, revision: int) -> list[bytes]:
        """The residence, whole, as the old or the new manager signs and seals it."""
        manager, key = (self.new, self.new_key) if is_new else (self.old, self.old_key)
        residence, problems = read(self.made.folder / "site", date(2026, 11, 23))
        assert residence is not None, problems
        rows = policy_rows(
            residence, self.made.controller, manager.site_uid, manager.code_key, years_around(NOW_MS / 1000)
        )
        trust = manager.trust(self.device)
        to_device = trust._replace(seal_to=device_seal_public(public_bytes(self.device)))
        return signing.encode_policy_parts(rows, revision, to_device, key)

    @contextlib.asynccontextmanager
    async def running(self, clock: Clock | None = None) -> AsyncIterator["Hall"]:
        """The agent in this process, as `vantail run` starts it, with its board."""
        board = LineBoard(self.made.board)
        await board.start()
        config = load(self.made.config)
        resume(config)
        agent = await Agent.start(config, keyring.load(config), clock or self.clock)
        running = asyncio.create_task(agent.run())
        try:
            await board.wait_connected(DEADLINE_S)
            await board.barrier(DEADLINE_S)
            yield Hall(self, agent, board)
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
            await board.stop()


class Hall:
    """The agent at work. `session`: of the installer."""

    def __init__(self, at: Commissioned, agent: Agent, board: LineBoard) -> None:
        self.at, self.agent, self.board = at, agent, board
        self.session = ""

    async def ask(self, op: str, **arguments: object) -> dict:
        return await ask(self.at.made, op, **arguments)

    async def login(self, text: str = PASSWORD) -> str:
        answer = await self.ask("commission-login", password=text)
        self.session = answer["session"] or self.session
        return answer["reason"]

    async def deposit(self, raw: bytes) -> str:
        return (await self.ask("commission-deposit", handover=base64.b64encode(raw).decode()))["reason"]

    async def arm(self, manager: int = NUMBER, reader: str = HALL, countdown_s: int = 90) -> str:
        asked = {"session": self.session, "manager": manager, "reader": reader, "countdown_s": countdown_s}
        return (await self.ask("commission-arm", **asked))["reason"]

    async def view(self) -> dict:
        return await self.ask("commission-view", session=self.session)

    async def take_policy(self, parts: list[bytes]) -> dict:
        """As a DAT file brings it: {refused}, or what `dat-settle` says."""
        for part in parts:
            message = base64.b64encode(part).decode()
            taken = await self.ask("dat-take", transfer="t", kind="policy", message=message)
            if taken["refused"]:
                return taken
        return await self.ask("dat-settle", transfer="t")

    async def wait(self, ms: int) -> None:
        """Time passes; every deadline is met at its time."""
        clock = self.at.clock
        end = clock.mono_ms + ms
        while True:
            await self.agent.settle()
            due = self.agent.next_deadline()
            clock.move_by(max(0, min(end, due if due is not None else end) - clock.mono_ms))
            self.agent.submit(Tick())
            await self.agent.settle()
            if due is None or due > end:
                return

    async def opens(self, medium: str, value: object, reader: str = SIDE) -> bool:
        """Whether what is presented opens the hall."""
        before = self.pulses
        self.board.present(reader, medium, str(value))
        await self.board.barrier(DEADLINE_S)
        return self.pulses > before

    @property
    def pulses(self) -> int:
        return sum(strike.ms != LOCK for strike in self.board.strikes)

    def lights(self, reader: str = HALL) -> list[str]:
        """What it was told to show, the same again left out."""
        shown = [one.outcome for one in self.board.indicated if one.reader == reader]
        return [outcome for before, outcome in zip(["", *shown], shown, strict=False) if outcome != before]

    async def said(self) -> list[tuple[str, str]]:
        """(reason, detail) of the log's info and alarms."""
        found = await asyncio.wrap_future(self.agent.log.query(limit=5000))
        return [(one.event.reason, one.event.detail) for one in found if one.event.result in ("info", "alarm")]
