"""What to say to the manager and when: a state machine without I/O (docs/sync-protocol.md).

Fed with what happened, it returns a list of actions, to be performed in order. Times are milliseconds of the monotonic
clock. The broker may lose, repeat and reorder: events go out strictly in order from the last acknowledged one, a few
batches ahead, and again from there when no acknowledgement comes (go-back-N). Nothing here decides about doors.
"""

from collections import Counter, deque
from collections.abc import Sequence
from typing import NamedTuple

from edge.decision import chain
from edge.decision.chain import Start, Stretch
from edge.decision.policy import VerifiedDelta
from edge.uplink import signing, wire
from edge.uplink.columns import LoggedTuple
from edge.uplink.keys import Trust
from edge.uplink.messages import Hello
from edge.uplink.wire import WireError

UP_HELLO = "up/hello"
UP_EVENTS = "up/events"
DOWN_POLICY = "down/policy"
DOWN_ACK = "down/ack"

BATCH_EVENTS = wire.MAX_BATCH_EVENTS
WINDOW = 4  # batches under way: 2,000 events cover a second's round trip of a line that takes 100,000 a minute
CUT_AGE_MS = 1_000  # a live event waits this long for company
RESEND_MS = 10_000  # no acknowledgement for so long: again, and twice as long each further time
RESEND_MAX_MS = 30_000
HELLO_UNHEARD_MS = 20_000  # until the manager answered one on this connection
HELLO_MS = 300_000
HELLO_LEAST_MS = 5_000  # between two hellos that something refused or missing asks for
PARTS_WAIT_MS = 15_000  # parts of a policy that do not come: say hello, the manager sends them again
REFUSED_QUIET_MS = 600_000  # an attacker on the broker must not fill the log with his refusals


class Publish(NamedTuple):
    """Publish `payload` under the controller's topics; suffix: "up/hello" or "up/events"."""

    suffix: str
    payload: bytes


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


Action = Publish | NeedEvents | Acknowledged | PolicyReady | Refused


class _Batch(NamedTuple):
    last_seq: int
    sent_ms: int
    head: bytes
    starts: tuple[Start, ...]


class Sync:
    """One controller's side of the uplink. digest: of the rows of `version`, (epoch, revision) in force.
    last_seq, acked: of the log as it is on disk. acked_head, start: of its chain after event `acked`. session: 8 bytes
    that no start of the agent had before."""

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
    ) -> None:
        self._trust, self._key = trust, device_key
        self._log_id, self._last_seq, self._acked = log_id, last_seq, acked
        self._version, self._digest = version, digest
        self._boot_id, self._software = boot_id, software
        self._acked_head, self._start, self._session = acked_head, start, session
        self._untrue: tuple[int, bytes] | None = None  # the last acknowledgement that the log refused
        self._parts = signing.PolicyParts()
        self._connected = False
        self._next_seq = acked + 1  # the first event that is not under way
        self._under_way: deque[_Batch] = deque()
        self._reading: int | None = None  # first seq of the NeedEvents that is not answered
        self._waiting_since_ms: int | None = None  # since when events wait to be sent; None: none does
        self._resend_ms = RESEND_MS
        self._heard = False  # a hello was answered on this connection
        self._hello_is_alone = False  # nothing else was sent since, so an acknowledgement answers the hello
        self._hello_ms: int | None = None  # when the next hello is due
        self._last_hello_ms: int | None = None
        self._parts_ms: int | None = None  # when waiting for the missing parts ends
        self._untaken = 0  # policies in a row that the store did not take
        self._refused: Counter[str] = Counter()
        self._unsaid: Counter[tuple[str, str]] = Counter()
        self._said_ms: dict[tuple[str, str], int] = {}
        self._counts: Counter[str] = Counter()

    @property
    def pending(self) -> int:
        """Events that the manager has not acknowledged."""
        return self._last_seq - self._acked

    def status(self) -> dict[str, object]:
        """For people and for `status --json`: where the uplink stands."""
        return {
            "connected": self._connected,
            "heard": self._heard,
            "pending": self.pending,
            "in_flight": len(self._under_way),
            "acked": self._acked,
            "last_seq": self._last_seq,
            "batches": self._counts["batches"],
            "resends": self._counts["resends"],
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
        self._resend_ms = RESEND_MS
        self._hello_ms = now_ms
        self._go_back(now_ms - CUT_AGE_MS)
        return self.tick(now_ms)

    def disconnected(self, now_ms: int) -> list[Action]:
        """The line is down: what was under way counts as lost."""
        self._connected = False
        self._heard = False
        self._go_back(now_ms)
        return []

    def log_advanced(self, last_seq: int, now_ms: int) -> list[Action]:
        """Events up to `last_seq` are durable."""
        if last_seq <= self._last_seq:
            return []
        self._last_seq = last_seq
        if self._waiting_since_ms is None:
            self._waiting_since_ms = now_ms
        return self.tick(now_ms)

    def encoded(self, events: Sequence[LoggedTuple] | Stretch) -> Encoded:
        """The answer to NeedEvents, up to the first hole, as a message. Changes nothing: it takes milliseconds, and may
        be called on any thread."""
        stretch = _contiguous(events if isinstance(events, Stretch) else chain.plain(events))
        if not stretch.events:
            return Encoded(stretch, b"", 0)
        return Encoded(stretch, *signing.encode_events(self._log_id, stretch, self._trust, self._key))

    def checked(self, payload: bytes) -> signing.CheckedPart:
        """A part of a policy, verified. Changes nothing: it takes milliseconds, and may be called on any thread.
        WireError: give `received` the payload itself, so that it is counted."""
        return signing.check_policy_part(payload, self._trust)

    def events_read(
        self, first_seq: int, events: Sequence[LoggedTuple] | Stretch | Encoded, now_ms: int
    ) -> list[Action]:
        """The answer to NeedEvents; an answer that has been overtaken is ignored. A hole (rows that a damaged disk
        lost) is counted and stepped over, and the manager's acknowledgement stays before it."""
        if first_seq != self._reading:
            return []
        self._reading = None
        usable, raw, count = events if isinstance(events, Encoded) else self.encoded(events)
        if not usable.events or usable.events[0][0] != self._next_seq:
            self._counts["gaps"] += 1
        if not usable.events:
            self._waiting_since_ms = now_ms
            return []
        self._next_seq = usable.events[0][0] + count
        sent = chain.cut(usable, count)
        self._under_way.append(_Batch(self._next_seq - 1, now_ms, sent.heads[-1], sent.starts))
        self._hello_is_alone = False
        self._counts["batches"] += 1
        if self._next_seq > self._last_seq:
            self._waiting_since_ms = None
        return [Publish(UP_EVENTS, raw), *self.tick(now_ms)]

    def events_failed(self, first_seq: int, now_ms: int) -> list[Action]:
        """NeedEvents could not be answered; it is asked again a second later."""
        if first_seq == self._reading:
            self._reading = None
            self._waiting_since_ms = now_ms
        return []

    def ack_refused(self, acked: int, acked_head: bytes, refused: Acknowledged, now_ms: int) -> list[Action]:
        """The log did not take an acknowledgement, its chain having another head there, and stands at `acked`, with
        `acked_head`. What follows is sent again; the same acknowledgement is not looked at again."""
        self._acked, self._acked_head = acked, acked_head
        self._untrue = (refused.up_to, refused.head)
        self._go_back(now_ms)
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

    def received(self, suffix: str, payload: bytes | signing.CheckedPart, now_ms: int) -> list[Action]:
        """A message came; suffix: its topic without the controller's prefix. A part of a policy may be `checked`."""
        try:
            if suffix == DOWN_POLICY:
                return self._take_policy(payload, now_ms)
            if suffix == DOWN_ACK and isinstance(payload, bytes):
                return self._take_ack(payload, now_ms)
        except WireError as error:
            return self._refuse(wire.ACK if suffix == DOWN_ACK else wire.POLICY, error, now_ms)
        self._counts["ignored_topics"] += 1
        return []

    def tick(self, now_ms: int) -> list[Action]:
        """Do what is due."""
        if not self._connected:
            return []
        if self._under_way and now_ms >= self._under_way[0].sent_ms + self._resend_ms:
            self._counts["resends"] += 1
            self._resend_ms = min(2 * self._resend_ms, RESEND_MAX_MS)
            self._go_back(now_ms - CUT_AGE_MS)
        if self._parts_ms is not None and now_ms >= self._parts_ms:
            self._parts_ms = None
            self._hello_soon(now_ms)
        return [*self._say_hello(now_ms), *self._ask_for_events(now_ms)]

    def next_deadline(self) -> int | None:
        """When `tick` is due, or None while only an input can change anything."""
        if not self._connected:
            return None
        due = [self._hello_ms, self._parts_ms]
        if self._under_way:
            due.append(self._under_way[0].sent_ms + self._resend_ms)
        if self._may_read() and self._waiting_since_ms is not None:
            due.append(self._waiting_since_ms + CUT_AGE_MS)
        return min((at for at in due if at is not None), default=None)

    # --- events -----------------------------------------------------------------------------------------------

    def _go_back(self, since_ms: int) -> None:
        """Everything from the first event that is not acknowledged has to be sent."""
        self._under_way.clear()
        self._reading = None
        self._next_seq = self._acked + 1
        self._waiting_since_ms = since_ms if self._next_seq <= self._last_seq else None

    def _may_read(self) -> bool:
        return self._reading is None and self._next_seq <= self._last_seq and len(self._under_way) < WINDOW

    def _ask_for_events(self, now_ms: int) -> list[Action]:
        if not self._may_read():
            return []
        since_ms = now_ms if self._waiting_since_ms is None else self._waiting_since_ms
        waiting = self._last_seq - self._next_seq + 1
        if waiting < BATCH_EVENTS and now_ms < since_ms + CUT_AGE_MS:
            self._waiting_since_ms = since_ms
            return []
        self._reading = self._next_seq
        return [NeedEvents(self._next_seq, min(waiting, BATCH_EVENTS))]

    def _take_ack(self, payload: bytes, now_ms: int) -> list[Action]:
        ack = signing.verify_ack(payload, self._trust)
        is_ours = ack.log_id == self._log_id and (ack.up_to, ack.head) != self._untrue
        if is_ours and ack.up_to > self._last_seq:
            raise WireError(wire.HEAD, f"up to {ack.up_to}, this log ends at {self._last_seq}: is it an older copy?")
        if not is_ours or ack.up_to < self._acked:
            self._counts["ignored_acks"] += 1
            return []
        if any(batch.last_seq == ack.up_to and batch.head != ack.head for batch in self._under_way):
            raise WireError(wire.HEAD, f"up to {ack.up_to}, of other events than those recorded here")
        if self._hello_is_alone and not self._heard:
            self._heard = True
            self._hello_ms = now_ms + HELLO_MS
        if ack.up_to == self._acked:
            if ack.head and self._acked_head and ack.head != self._acked_head:
                raise WireError(wire.HEAD, f"up to {ack.up_to}, of other events than those acknowledged here")
            return []
        self._acked, self._acked_head = ack.up_to, ack.head
        self._resend_ms = RESEND_MS
        while self._under_way and self._under_way[0].last_seq <= ack.up_to:
            done = self._under_way.popleft()
            self._start = done.starts[-1] if done.starts else self._start
        if self._next_seq <= ack.up_to:  # the manager knows more than is under way: it was sent before
            self._next_seq = ack.up_to + 1
            self._reading = None
            if self._next_seq > self._last_seq:
                self._waiting_since_ms = None
        return [Acknowledged(ack.up_to, ack.head, payload), *self.tick(now_ms)]

    # --- hello and policy -------------------------------------------------------------------------------------

    def _hello_soon(self, now_ms: int) -> None:
        soon = now_ms if self._last_hello_ms is None else max(now_ms, self._last_hello_ms + HELLO_LEAST_MS)
        self._hello_ms = soon if self._hello_ms is None else min(self._hello_ms, soon)

    def _say_hello(self, now_ms: int) -> list[Action]:
        if self._hello_ms is None or now_ms < self._hello_ms:
            return []
        self._last_hello_ms = now_ms
        self._hello_is_alone = not self._under_way
        self._hello_ms = now_ms + (HELLO_MS if self._heard else HELLO_UNHEARD_MS)
        self._counts["hellos"] += 1
        start = self._start
        hello = Hello(
            self._revision,
            self._digest if self._revision else bytes(32),
            self._log_id,
            self._last_seq,
            self._acked,
            self._boot_id,
            self._software,
            self._acked_head,
            (start.first, start.sealed) if start is not None and start.first <= self._acked else None,
            self._session,
            self._counts["hellos"],
        )
        return [Publish(UP_HELLO, signing.encode_hello(hello, self._trust, self._key))]

    @property
    def _revision(self) -> int:
        """In force; what a former manager left counts as nothing."""
        return self._version[1] if self._version[0] == self._trust.epoch else 0

    def _take_policy(self, payload: bytes | signing.CheckedPart, now_ms: int) -> list[Action]:
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
