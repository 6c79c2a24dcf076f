"""What a DAT file brings and takes away, through the local API: the same signed messages as on the line.

What is taken is checked and staged, one message after the other, and nothing of it counts before `dat-settle`: so a
file that was cut short, edited, or is another controller's changes nothing. What is collected stays in the log until
an acknowledgement comes, by whatever way.

A file with a hand-over is a new manager's: the hand-over then waits, and what follows it in the file is put aside, to
be taken once that manager is bound.
"""

import asyncio
import base64
import binascii
import contextlib
import hashlib
import time
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from edge.answering import SOFTWARE
from edge.clock import Clock, boot_id
from edge.closed_logs import ClosedLogs, Stand
from edge.commissioning.refusals import (
    EPOCH,
    FOREIGN_CONTROLLER,
    FOREIGN_SITE,
    KEYLESS,
    NEEDS_RELEASE,
    NOT_STORED,
    SECRET,
    STATEMENT,
    SUPERSEDED,
)
from edge.console.api import BadRequestError
from edge.decision.policy import VerifiedDelta
from edge.keyring import Keyring
from edge.policy_care import PolicyCare
from edge.storage.errors import AcknowledgeRefused
from edge.storage.event_log import EventLog
from edge.storage.stretches import start_of
from edge.synchronising import Synchroniser
from edge.uplink import signing, wire
from edge.uplink.messages import Ack, Hello
from edge.uplink.policy_parts import PolicyParts, check_policy_part
from edge.uplink.sync import DOWN_ACK
from edge.uplink.transfer_file import CONTROLLER, HANDOVER, KINDS, MAX_FILE, Header, Item, TransferError, read, save
from edge.uplink.wire import WireError

STAGED_S = 60.0  # without another word, what was taken is let go
MOST_LOGS = 1000  # that one file acknowledges
BATCHES = 8  # of events in one answer
ASIDE = "after-handover-"  # in the data folder, then the hand-over's hash
MOST_ASIDE = 4
MOST_LATER = 8192  # messages behind a hand-over
NOT_WAITING = frozenset(
    (STATEMENT, NEEDS_RELEASE, SUPERSEDED, KEYLESS, FOREIGN_SITE, FOREIGN_CONTROLLER, EPOCH, SECRET)
)
QUIET_S = 600.0  # somebody with a wrong file must not fill the log with its refusals


class _Staged:
    """What one file has brought so far. delta: the whole policy, once it is here. acks: by log, the furthest.
    handover: a hand-over, b"" for none; later: what came behind it."""

    def __init__(self, transfer: str) -> None:
        self.transfer = transfer
        self.parts = PolicyParts()
        self.delta: VerifiedDelta | None = None
        self.acks: dict[bytes, tuple[Ack, bytes]] = {}
        self.handover = b""
        self.later: list[Item] = []
        self.later_bytes = 0


class Transferring:
    """One controller's side of DAT files. log: the open one. synchroniser(): what goes on meanwhile over a line; it is
    told what changed. may_send_log: not where the open log is a former manager's. `answers`: the operations of the
    local API."""

    def __init__(
        self,
        keys: Keyring,
        clock: Clock,
        log: EventLog,
        closed_logs: ClosedLogs,
        policy: PolicyCare,
        synchroniser: Callable[[], Synchroniser | None],
        deposit: Callable[[bytes], Awaitable[str]],
        data: Path,
        may_send_log: bool = True,
    ) -> None:
        self._key, self._trust = keys.device_key, keys.manager.trust(keys.device_key)
        self._clock, self._log, self._closed_logs, self._policy = clock, log, closed_logs, policy
        self._synchroniser, self._deposit, self._data = synchroniser, deposit, data
        self._may_send_log = may_send_log
        self._staged: _Staged | None = None
        self._forgetting: asyncio.TimerHandle | None = None
        self._said_s: dict[tuple[str, str], float] = {}
        self._alone = asyncio.Lock()
        self.answers = {
            "dat-take": self._answer_take,
            "dat-settle": self._answer_settle,
            "dat-logs": self._answer_logs,
            "dat-collect": self._answer_collect,
        }

    # --- what a file brings -----------------------------------------------------------------------------------

    async def _answer_take(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """{transfer: any text, the same for all of a file, kind: "handover", "policy" or "ack", message: base64} →
        {refused: None}, or why ({kind, reason, message}); then nothing of that file is staged any more."""
        transfer, kind, raw = _transfer_of(request), str(request.get("kind")), _message_of(request)
        if kind not in KINDS[CONTROLLER]:
            raise BadRequestError(f"kind: a file brings {', '.join(KINDS[CONTROLLER])}")
        async with self._alone:
            if self._staged is None or self._staged.transfer != transfer:
                self._staged = _Staged(transfer)
            self._forget_later()
            try:
                await self._take(self._staged, kind, raw)
            except WireError as error:
                self._staged = None
                return {"refused": self._refused(kind, error)}
        return {"refused": None}

    async def _take(self, staged: _Staged, kind: str, raw: bytes) -> None:
        if kind == HANDOVER:
            staged.handover = raw
            return
        if staged.handover:
            staged.later.append(Item(kind, raw))
            staged.later_bytes += len(raw)
            if staged.later_bytes > MAX_FILE or len(staged.later) > MOST_LATER:
                raise WireError(
                    wire.OVERSIZED, f"more than {MAX_FILE >> 20} MiB or {MOST_LATER} messages behind a hand-over"
                )
            return
        if kind == wire.POLICY:
            part = await asyncio.to_thread(check_policy_part, raw, self._trust)
            staged.delta = staged.parts.add(part, self._trust, self._revision) or staged.delta
            return
        ack = signing.verify_ack(raw, self._trust)
        known = staged.acks.get(ack.log_id)
        if known is None and len(staged.acks) >= MOST_LOGS:
            raise WireError(wire.OVERSIZED, f"a file acknowledges at most {MOST_LOGS} logs")
        if known is None or ack.up_to > known[0].up_to:
            staged.acks[ack.log_id] = ack, raw

    async def _answer_settle(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """{transfer} → {policy: {before, after, outcome, why}, logs: [{log, before, after, outcome, why}], handover}.
        before, after: [epoch, revision], or what is acknowledged. outcome of the policy: "applied", "in-force" (it was
        before), "none", "refused"; of a log: "taken", "known" (before), "absent", "refused". handover: None where there
        was none, "" where it waits now, or why not."""
        transfer = _transfer_of(request)
        async with self._alone:
            staged, self._staged = self._staged, None
            if staged is None or staged.transfer != transfer:
                raise BadRequestError("nothing of this file is here any more; apply it again, alone")
            handover = await self._hand_over(staged) if staged.handover else None
            return {**await self._settle(staged), "handover": handover}

    async def _settle(self, staged: _Staged) -> dict[str, Any]:
        policy = await self._apply(staged)
        logs: list[dict[str, Any]] = []
        if policy["outcome"] != "refused" and staged.acks:
            closed = await self._closed_logs.longest()
            logs = [await self._acknowledge(ack, raw, closed) for ack, raw in staged.acks.values()]
        return {"policy": policy, "logs": logs}

    async def _hand_over(self, staged: _Staged) -> str:
        """What followed is put aside first: the hand-over may begin at once, and end in a new start."""
        path = self._data / f"{ASIDE}{hashlib.sha256(staged.handover).hexdigest()[:16]}.dat"
        was_here = path.exists()
        try:
            await asyncio.to_thread(_put_aside, path, staged.later)
        except (OSError, TransferError):
            return NOT_STORED
        reason = await self._deposit(staged.handover)
        if reason in NOT_WAITING and not was_here:
            with contextlib.suppress(OSError):
                await asyncio.to_thread(path.unlink, missing_ok=True)
        return reason

    async def take_up(self) -> None:
        """At the start: what was put aside behind a hand-over is taken, if its manager is the one that is obeyed now;
        else it waits on. Nothing of it may keep the agent from its work."""
        async with self._alone:
            for path in sorted(self._data.glob(f"{ASIDE}*.dat")):
                try:
                    await self._take_up(path)
                except WireError:
                    continue  # of another manager than ours
                except Exception as error:
                    self._policy.refused("aside", type(error).__name__, f"{path.name}: {error}")

    async def _take_up(self, path: Path) -> None:
        staged = _Staged(path.name)
        for item in await asyncio.to_thread(_read_aside, path):
            await self._take(staged, item.kind, item.message)
        done = await self._settle(staged)
        if done["policy"]["outcome"] in ("applied", "in-force"):
            await asyncio.to_thread(path.unlink, missing_ok=True)

    async def _apply(self, staged: _Staged) -> dict[str, Any]:
        before, why = self._policy.version[0], ""
        outcome = "in-force" if staged.parts.repeated else "none"
        if staged.parts.waiting:
            outcome, why = "refused", f"{staged.parts.waiting} parts of the policy are missing"
        elif staged.delta is not None:
            version, digest = await self._policy.apply(staged.delta)
            if version == before or version != (staged.delta.epoch, staged.delta.to_revision):
                outcome, why = "refused", self._policy.trouble
            else:
                outcome = "applied"
                if (going_on := self._synchroniser()) is not None:
                    going_on.policy_differs(version, digest)
        return {"before": before, "after": self._policy.version[0], "outcome": outcome, "why": why}

    async def _acknowledge(self, ack: Ack, raw: bytes, closed: Mapping[bytes, tuple[Path, Stand]]) -> dict[str, Any]:
        said = {"log": ack.log_id.hex(), "before": 0, "after": 0, "outcome": "absent", "why": ""}
        if ack.log_id == self._log.log_id:
            said |= await self._acknowledged(ack, raw, self._log)
        elif ack.log_id in closed:
            said |= await self._closed_logs.one(closed[ack.log_id][0], partial(self._acknowledged, ack, raw))
        if said["outcome"] == "taken" and (going_on := self._synchroniser()) is not None:
            going_on.received(DOWN_ACK, raw)
        return said

    async def _acknowledged(self, ack: Ack, raw: bytes, log: EventLog) -> dict[str, Any]:
        before, outcome, why = log.acked, "taken", ""
        try:
            await asyncio.wrap_future(log.acknowledge(ack.up_to, ack.head, raw))
        except AcknowledgeRefused as error:
            outcome, why = "refused", str(error)
            self._refused(wire.ACK, WireError(wire.HEAD, why))
        if outcome == "taken" and log.acked == before:
            outcome = "known"
        return {"before": before, "after": log.acked, "outcome": outcome, "why": why}

    @property
    def _revision(self) -> int:
        """In force; what a former manager left counts as nothing."""
        epoch, revision = self._policy.version[0]
        return revision if epoch == self._trust.epoch else 0

    def _forget_later(self) -> None:
        if self._forgetting is not None:
            self._forgetting.cancel()
        self._forgetting = asyncio.get_running_loop().call_later(STAGED_S, self._forget)

    def _forget(self) -> None:
        self._staged = None

    def _refused(self, kind: str, error: WireError) -> dict[str, str]:
        """It is written down, each reason now and then."""
        said_s = self._said_s.get((kind, error.reason))
        if said_s is None or time.monotonic() - said_s >= QUIET_S:
            self._said_s[kind, error.reason] = time.monotonic()
            self._policy.refused(kind, error.reason, f"by file: {error}")
        return {"kind": kind, "reason": error.reason, "message": str(error)}

    # --- what a file takes away -------------------------------------------------------------------------------

    async def _answer_logs(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """What there is to collect: {logs: [{log, acked, last}]}, closed ones with events that nobody acknowledged, the
        oldest first, and the open one. The request says nothing."""
        stands = [stand for _, stand in (await self._closed_logs.longest()).values() if stand.acked < stand.last_seq]
        closed = [_stand(stand.log_id, stand.acked, stand.last_seq) for stand in stands]
        if not self._may_send_log:
            return {"logs": closed}
        return {"logs": [*closed, _stand(self._log.log_id, self._log.acked, self._log.last_seq)]}

    async def _answer_collect(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """{log, after: a seq, or None to begin} → {messages: [[kind, base64], …], after}. A hello at the beginning,
        then batches of the events behind `after`; the answer moves it. Nothing changes: it may be asked again."""
        after = request.get("after")
        if after is not None and (type(after) is not int or after < 0):
            raise BadRequestError("after: give the number of an event")
        try:
            log_id = bytes.fromhex(str(request.get("log")))
        except ValueError:
            raise BadRequestError("log: give its id, 32 hexadecimal digits") from None
        try:
            if log_id == self._log.log_id and self._may_send_log:
                return await self._collect(after, self._log)
            closed = await self._closed_logs.longest()
            if log_id in closed:
                return await self._closed_logs.one(closed[log_id][0], partial(self._collect, after))
        except WireError as error:
            raise BadRequestError(str(error)) from None
        raise BadRequestError(f"there is no log {log_id.hex()} here")

    async def _collect(self, after: int | None, log: EventLog) -> dict[str, Any]:
        messages: list[tuple[str, bytes]] = []
        if after is None:
            after = log.acked
            messages.append((wire.HELLO, await self._hello(log)))
        while len(messages) < BATCHES and after < log.last_seq:
            stretch = await asyncio.wrap_future(log.stretch(after + 1, wire.MAX_BATCH_EVENTS))
            if not stretch.events:
                after = log.last_seq
                break
            raw, count = await asyncio.to_thread(signing.encode_events, log.log_id, stretch, self._trust, self._key)
            messages.append((wire.EVENTS, raw))
            after = stretch.events[count - 1][0]
        return {"messages": [(kind, base64.b64encode(raw).decode()) for kind, raw in messages], "after": after}

    async def _hello(self, log: EventLog) -> bytes:
        """A log as it stands. All files of it have one session, and their numbers rise with wall time: so that of two
        files, whichever comes first, the newer counts."""
        acked, head = log.acked, log.acked_head
        start = await asyncio.wrap_future(log.database.read(partial(start_of, acked=acked)))
        session = hashlib.sha256(b"vantail dat file" + log.log_id).digest()[:8]
        hello = Hello(
            self._revision,
            self._policy.version[1] if self._revision else bytes(32),
            log.log_id,
            log.last_seq,
            acked,
            boot_id(),
            SOFTWARE,
            head,
            (start.first, start.sealed) if start is not None else None,
            session,
            max(self._clock.moment().utc_ms, 0),
        )
        return await asyncio.to_thread(signing.encode_hello, hello, self._trust, self._key)


def _put_aside(path: Path, items: list[Item]) -> None:
    for oldest in sorted(path.parent.glob(f"{ASIDE}*.dat"), key=lambda each: each.stat().st_mtime)[: -MOST_ASIDE + 1]:
        oldest.unlink(missing_ok=True)
    save(path, Header(CONTROLLER, "aside", "aside", ""), items)


def _read_aside(path: Path) -> list[Item]:
    with path.open("rb") as file:
        return list(read(file)[1])


def _stand(log_id: bytes, acked: int, last_seq: int) -> dict[str, Any]:
    return {"log": log_id.hex(), "acked": acked, "last": last_seq}


def _transfer_of(request: Mapping[str, Any]) -> str:
    transfer = request.get("transfer")
    if not isinstance(transfer, str) or not 0 < len(transfer) <= 64:
        raise BadRequestError("transfer: give a text of 1 to 64 characters")
    return transfer


def _message_of(request: Mapping[str, Any]) -> bytes:
    try:
        return base64.b64decode(str(request.get("message")), validate=True)
    except (binascii.Error, ValueError):
        raise BadRequestError("message: give base64") from None
