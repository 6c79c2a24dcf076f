"""What to say to the manager and when: a state machine without I/O (docs/sync-protocol.md).

Fed with what happened, it returns a list of actions, to be performed in order. Times are milliseconds of the monotonic
clock. The broker may lose, repeat and reorder: events go out strictly in order from the last acknowledged one, a few
batches ahead, and again from there when no acknowledgement comes (go-back-N). Nothing here decides about doors.
"""

import os
from collections import Counter
from collections.abc import Callable, Sequence
from typing import NamedTuple

from edge.decision import chain
from edge.decision.chain import Start, Stretch
from edge.decision.policy import VerifiedDelta
from edge.uplink import policy_parts, signing, wire
from edge.uplink.challenges import AGAIN, FRESH, STALE, Challenges
from edge.uplink.columns import LoggedTuple
from edge.uplink.keys import Trust
from edge.uplink.messages import Command, Hello, Notice, Reply
from edge.uplink.outbox import Outbox
from edge.uplink.wire import WireError

UP_HELLO = "up/hello"
UP_EVENTS = "up/events"
UP_NOTICE = "up/notice"
UP_REPLY = "up/reply"
DOWN_POLICY = "down/policy"
DOWN_ACK = "down/ack"
DOWN_CHALLENGE = "down/challenge"
DOWN_COMMAND = "down/command"
DOWN = {DOWN_POLICY: wire.POLICY, DOWN_ACK: wire.ACK, DOWN_CHALLENGE: wire.CHALLENGE, DOWN_COMMAND: wire.COMMAND}

HELLO_UNHEARD_MS = 20_000  # until the manager answered one on this connection
HELLO_MS = 300_000
DEAF_HELLOS = 4  # in a row without a word from the manager: another connection; twice as many each further time
DEAF_HELLOS_MAX = 256
HELLO_LEAST_MS = 5_000  # between two hellos that something refused or missing asks for
PARTS_WAIT_MS = 15_000  # parts of a policy that do not come: say hello, the manager sends them again
REFUSED_QUIET_MS = 600_000  # an attacker on the broker must not fill the log with his refusals


class Publish(NamedTuple):
    """Publish `payload` under the controller's topics; suffix: "up/hello", "up/events", "up/notice" or "up/reply".
    qos 0: for eyes only, not sent again."""

    suffix: str
    payload: bytes
    qos: int = 1


class NeedEvents(NamedTuple):
    """Read up to `limit` events from seq `first_seq` on and give them to `events_read`."""

    first_seq: int
    limit: int


class Acknowledged(NamedTuple):
    """The manager has committed every event up to `up_to`; they may be pruned, if the log's chain has `head` there:
    answer `ack_refused` where it has not. message: as the manager signed it, to be kept."""

    up_to: int
    head: bytes = b""
    message: bytes = b""


class PolicyReady(NamedTuple):
    """A whole, verified policy change for the store; answer with `policy_changed`, also where the store refuses."""

    delta: VerifiedDelta


class CommandReady(NamedTuple):
    """A fresh command of the manager, to be carried out now; answer with `command_done`."""

    command: Command


class ConnectAgain(NamedTuple):
    """Nobody has answered on this connection for so long that it may be deaf: make another one."""


class Encoded(NamedTuple):
    """Events as they go out: the message, and how many of `stretch` it takes; b"" and 0 where there are none."""

    stretch: Stretch
    raw: bytes
    takes: int


class Refused(NamedTuple):
    """Messages of `kind` were refused. reason: a WireError's. times: how often since this was last said."""

    kind: str
    reason: str
    message: str
    times: int


Action = Publish | NeedEvents | Acknowledged | PolicyReady | CommandReady | ConnectAgain | Refused


class Sync:
    """One controller's side of the uplink. digest: of the rows of `version`, (epoch, revision) in force.
    last_seq, acked: of the log as it is on disk. acked_head, start: of its chain after event `acked`. session: 8 bytes
    that no start of the agent had before. random_bytes: n bytes that nobody can foresee."""

    def __init__(
        self,
        trust: Trust,
        device_key: signing.Ed25519PrivateKey,
        *,
        log_id: bytes,
        last_seq: int,
        acked: int,
        version: tuple[int, int],
        digest: bytes,
        boot_id: str,
        software: str,
        acked_head: bytes = b"",
        start: Start | None = None,
        session: bytes = bytes(8),
        random_bytes: Callable[[int], bytes] = os.urandom,
    ) -> None:
        self._trust, self._key = trust, device_key
        self._log_id = log_id
        self._outbox = Outbox(last_seq, acked, start)
        self._challenges = Challenges(random_bytes)
        self._version, self._digest = version, digest
        self._boot_id, self._software = boot_id, software
        self._acked_head, self._session = acked_head, session
        self._untrue: tuple[int, bytes] | None = None  # the last acknowledgement that the log refused
        self._parts = policy_parts.PolicyParts()
        self._connected = False
        self._heard = False  # a hello was answered on this connection
        self._hello_is_alone = False  # nothing else was sent since, so an acknowledgement answers the hello
        self._hello_ms: int | None = None  # when the next hello is due
        self._last_hello_ms: int | None = None
        self._parts_ms: int | None = None  # when waiting for the missing parts ends
        self._unanswered = 0  # hellos in a row
        self._deaf_at = DEAF_HELLOS
        self._untaken = 0  # policies in a row that the store did not take
        self._refused: Counter[str] = Counter()
        self._unsaid: Counter[tuple[str, str]] = Counter()
        self._said_ms: dict[tuple[str, str], int] = {}
        self._counts: Counter[str] = Counter()

    @property
    def _can_seal(self) -> bool:
        """Whether the manager's seal key is known: without it nothing leaves but hellos."""
        return bool(self._trust.seal_to)

    @property
    def pending(self) -> int:
        """Events that the manager has not acknowledged."""
        return self._outbox.last_seq - self._outbox.acked

    @property
    def log_id(self) -> bytes:
        """Of the log whose events are sent, 16 bytes."""
        return self._log_id

    def status(self) -> dict[str, object]:
        """For people and for `status --json`: where the uplink stands."""
        return {
            "connected": self._connected,
            "heard": self._heard,
            "sealed": self._can_seal,
            "pending": self.pending,
            "in_flight": self._outbox.under_way,
            "acked": self._outbox.acked,
            "last_seq": self._outbox.last_seq,
            "batches": self._counts["batches"],
            "resends": self._outbox.resends,
            "notices": self._counts["notices"],
            "commands": self._counts["commands"],
            "repeated_commands": self._counts["repeated_commands"],
            "hellos": self._counts["hellos"],
            "ignored_acks": self._counts["ignored_acks"],
            "ignored_topics": self._counts["ignored_topics"],
            "gaps": self._counts["gaps"],
            "policy_parts_missing": self._parts.waiting,
            "refused": dict(sorted(self._refused.items())),
        }

    # --- what happened ----------------------------------------------------------------------------------------

    def connected(self, now_ms: int) -> list[Action]:
        """The line to the broker is up and subscribed."""
        self._connected = True
        self._heard = False
        self._hello_ms = now_ms
        self._outbox.line_is_new(now_ms)
        return self.tick(now_ms)

    def disconnected(self, now_ms: int) -> list[Action]:
        """The line is down: what was under way counts as lost."""
        self._connected = False
        self._heard = False
        self._outbox.go_back(now_ms)
        return []

    def log_advanced(self, last_seq: int, now_ms: int) -> list[Action]:
        """Events up to `last_seq` are durable."""
        return self.tick(now_ms) if self._outbox.advanced(last_seq, now_ms) else []

    def encoded(self, events: Sequence[LoggedTuple] | Stretch) -> Encoded:
        """The answer to NeedEvents, up to the first hole, as a message. Changes nothing: it takes milliseconds, and may
        be called on any thread."""
        stretch = _contiguous(events if isinstance(events, Stretch) else chain.plain(events))
        if not stretch.events:
            return Encoded(stretch, b"", 0)
        return Encoded(stretch, *signing.encode_events(self._log_id, stretch, self._trust, self._key))

    def checked(self, payload: bytes) -> policy_parts.CheckedPart:
        """A part of a policy, verified. Changes nothing: it takes milliseconds, and may be called on any thread.
        WireError: give `received` the payload itself, so that it is counted."""
        return policy_parts.check_policy_part(payload, self._trust)

    def events_read(
        self, first_seq: int, events: Sequence[LoggedTuple] | Stretch | Encoded, now_ms: int
    ) -> list[Action]:
        """The answer to NeedEvents; an answer that has been overtaken is ignored. A hole (rows that a damaged disk
        lost) is counted and stepped over, and the manager's acknowledgement stays before it."""
        if not self._outbox.is_reading(first_seq):
            return []
        usable, raw, count = events if isinstance(events, Encoded) else self.encoded(events)
        if not usable.events or usable.events[0][0] != first_seq:
            self._counts["gaps"] += 1
        if not usable.events:
            self._outbox.read_nothing(now_ms)
            return []
        sent = chain.cut(usable, count)
        self._outbox.sent(usable.events[0][0] + count - 1, sent.heads[-1], sent.starts, now_ms)
        self._hello_is_alone = False
        self._counts["batches"] += 1
        return [Publish(UP_EVENTS, raw), *self.tick(now_ms)]

    def events_failed(self, first_seq: int, now_ms: int) -> list[Action]:
        """NeedEvents could not be answered; it is asked again a second later."""
        if self._outbox.is_reading(first_seq):
            self._outbox.read_nothing(now_ms)
        return []

    def ack_refused(self, acked: int, acked_head: bytes, refused: Acknowledged, now_ms: int) -> list[Action]:
        """The log did not take an acknowledgement, its chain having another head there, and stands at `acked`, with
        `acked_head`. What follows is sent again; the same acknowledgement is not looked at again."""
        self._outbox.acked, self._acked_head = acked, acked_head
        self._untrue = (refused.up_to, refused.head)
        self._outbox.go_back(now_ms)
        error = WireError(wire.HEAD, f"up to {refused.up_to} of a log that is not this one, or an older copy of it")
        return self._refuse(wire.ACK, error, now_ms)

    def policy_changed(self, version: tuple[int, int], digest: bytes, now_ms: int) -> list[Action]:
        """The store has applied a change, or refused it and still holds `version`: the manager learns which."""
        is_taken = version != self._version
        self._version, self._digest = version, digest
        self._parts.settle(self._revision)
        self._parts_ms = None if not self._parts.waiting else self._parts_ms
        # The manager answers a hello with the whole policy: one that the store cannot take is not asked for at once.
        self._untaken = 0 if is_taken else self._untaken + 1
        self._hello_ms = now_ms + min(HELLO_LEAST_MS << self._untaken, HELLO_MS) if self._untaken else now_ms
        return self.tick(now_ms)

    def received(self, suffix: str, payload: bytes | policy_parts.CheckedPart, now_ms: int) -> list[Action]:
        """A message came; suffix: its topic without the controller's prefix. A part of a policy may be `checked`."""
        actions: list[Action] | None = None
        try:
            if suffix == DOWN_POLICY:
                actions = self._take_policy(payload, now_ms)
            elif isinstance(payload, bytes) and suffix in DOWN:
                take = {
                    DOWN_ACK: self._take_ack,
                    DOWN_CHALLENGE: self._take_challenge,
                    DOWN_COMMAND: self._take_command,
                }[suffix]
                actions = take(payload, now_ms)
        except WireError as error:
            return self._refuse(DOWN[suffix], error, now_ms)
        if actions is None:
            self._counts["ignored_topics"] += 1
            return []
        self._unanswered, self._deaf_at = 0, DEAF_HELLOS
        return actions

    def command_done(self, command: Command, result: str, reason: str = "", status: str = "") -> list[Action]:
        """What became of a command: result "open", "denied" or "done"."""
        return self._reply(Reply(command.request, b"", result, reason, status))

    def notice(self, notice: Notice) -> bytes:
        """A notice as it goes out, with `noticed`. Changes nothing, and may be called on any thread."""
        return signing.encode_notice(notice, self._trust, self._key) if self._can_seal else b""

    def noticed(self, raw: bytes) -> list[Action]:
        """An event was just recorded: said at once, once, for eyes only."""
        if not self._connected or not raw:
            return []
        self._counts["notices"] += 1
        return [Publish(UP_NOTICE, raw, qos=0)]

    def tick(self, now_ms: int) -> list[Action]:
        """Do what is due."""
        if not self._connected:
            return []
        self._outbox.resend_if_due(now_ms)
        if self._parts_ms is not None and now_ms >= self._parts_ms:
            self._parts_ms = None
            self._hello_soon(now_ms)
        wanted = self._outbox.to_read(now_ms) if self._can_seal else None
        return [*self._say_hello(now_ms), *([NeedEvents(*wanted)] if wanted else [])]

    def next_deadline(self) -> int | None:
        """When `tick` is due, or None while only an input can change anything."""
        if not self._connected:
            return None
        due = [self._hello_ms, self._parts_ms, self._outbox.next_deadline() if self._can_seal else None]
        return min((at for at in due if at is not None), default=None)

    # --- acknowledgements and commands ------------------------------------------------------------------------

    def _take_ack(self, payload: bytes, now_ms: int) -> list[Action]:
        ack = signing.verify_ack(payload, self._trust)
        is_ours = ack.log_id == self._log_id and (ack.up_to, ack.head) != self._untrue
        outbox = self._outbox
        if is_ours and ack.up_to > outbox.last_seq:
            raise WireError(wire.HEAD, f"up to {ack.up_to}, this log ends at {outbox.last_seq}: is it an older copy?")
        if not is_ours or ack.up_to < outbox.acked:
            self._counts["ignored_acks"] += 1
            return []
        if outbox.contradicts(ack.up_to, ack.head):
            raise WireError(wire.HEAD, f"up to {ack.up_to}, of other events than those recorded here")
        if self._hello_is_alone and not self._heard:
            self._heard = True
            self._hello_ms = now_ms + HELLO_MS
        if ack.up_to == outbox.acked:
            if ack.head and self._acked_head and ack.head != self._acked_head:
                raise WireError(wire.HEAD, f"up to {ack.up_to}, of other events than those acknowledged here")
            return []
        self._acked_head = ack.head
        outbox.acknowledged(ack.up_to)
        return [Acknowledged(ack.up_to, ack.head, payload), *self.tick(now_ms)]

    def _take_challenge(self, payload: bytes, now_ms: int) -> list[Action]:
        request = signing.verify_challenge(payload, self._trust)
        return self._reply(Reply(request, self._challenges.give(request, now_ms)))

    def _take_command(self, payload: bytes, now_ms: int) -> list[Action]:
        command = signing.verify_command(payload, self._trust)
        state = self._challenges.redeem(command, now_ms)
        if state == FRESH:
            self._counts["commands"] += 1
            return [CommandReady(command)]
        if state == AGAIN:
            self._counts["repeated_commands"] += 1
            return []
        error = WireError(STALE, f"{command.action}: its challenge is not ours, was used, or is older than 10 s")
        reply = Reply(command.request, b"", "refused", STALE)
        return [*self._reply(reply), *self._refuse(wire.COMMAND, error, now_ms)]

    def _reply(self, reply: Reply) -> list[Action]:
        if not self._connected or not self._can_seal:
            return []
        return [Publish(UP_REPLY, signing.encode_reply(reply, self._trust, self._key))]

    # --- hello and policy -------------------------------------------------------------------------------------

    def _hello_soon(self, now_ms: int) -> None:
        soon = now_ms if self._last_hello_ms is None else max(now_ms, self._last_hello_ms + HELLO_LEAST_MS)
        self._hello_ms = soon if self._hello_ms is None else min(self._hello_ms, soon)

    def _say_hello(self, now_ms: int) -> list[Action]:
        if self._hello_ms is None or now_ms < self._hello_ms:
            return []
        self._last_hello_ms = now_ms
        self._hello_is_alone = not self._outbox.under_way
        self._hello_ms = now_ms + (HELLO_MS if self._heard else HELLO_UNHEARD_MS)
        self._counts["hellos"] += 1
        start, acked = self._outbox.start, self._outbox.acked
        hello = Hello(
            self._revision,
            self._digest if self._revision else bytes(32),
            self._log_id,
            self._outbox.last_seq,
            acked,
            self._boot_id,
            self._software,
            self._acked_head,
            (start.first, start.sealed) if start is not None and start.first <= acked else None,
            self._session,
            self._counts["hellos"],
        )
        said = Publish(UP_HELLO, signing.encode_hello(hello, self._trust, self._key))
        self._unanswered += 1
        if self._unanswered <= self._deaf_at:
            return [said]
        self._unanswered, self._deaf_at = 0, min(2 * self._deaf_at, DEAF_HELLOS_MAX)
        return [ConnectAgain()]

    @property
    def _revision(self) -> int:
        """In force; what a former manager left counts as nothing."""
        return self._version[1] if self._version[0] == self._trust.epoch else 0

    def _take_policy(self, payload: bytes | policy_parts.CheckedPart, now_ms: int) -> list[Action]:
        repeated = self._parts.repeated
        delta = self._parts.add(payload, self._trust, self._revision)
        self._parts_ms = now_ms + PARTS_WAIT_MS if self._parts.waiting else None
        if delta:
            return [PolicyReady(delta)]
        if self._parts.repeated > repeated and self._connected:  # the hello that says that we have it was lost
            self._hello_soon(now_ms)
            return self._say_hello(now_ms)
        return []

    def _refuse(self, kind: str, error: WireError, now_ms: int) -> list[Action]:
        self._refused[error.reason] += 1
        actions: list[Action] = []
        if kind == wire.POLICY and error.reason == wire.VERSION and self._connected:
            self._hello_soon(now_ms)
            actions += self._say_hello(now_ms)
        case = (kind, error.reason)
        self._unsaid[case] += 1
        said_ms = self._said_ms.get(case)
        if said_ms is None or now_ms >= said_ms + REFUSED_QUIET_MS:
            self._said_ms[case] = now_ms
            actions.append(Refused(kind, error.reason, f"{kind} refused: {error}", self._unsaid.pop(case)))
        return actions


def _contiguous(stretch: Stretch) -> Stretch:
    """The events up to the first hole."""
    for i, entry in enumerate(stretch.events):
        if entry[0] != stretch.events[0][0] + i:
            return chain.cut(stretch, i)
    return stretch
