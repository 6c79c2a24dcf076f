"""One reader on an OSDP line: a state machine that says what to send and judges what comes back.

Portable and sans-io: bytes out, frames in, time as an argument. Source: SIA OSDP 2.2, section 5 (timing,
sequence numbers), annex D (secure channel). Four questions a state, in STEPS: which command, is the reply right,
what is next if so, what if not.

    OFFLINE ► CAPABILITIES ► CHALLENGE ► CRYPTOGRAM ► SECURE          any of them ► OFFLINE when nothing answers
                   └────────────┴────────────┴──► CLEAR ► OFFLINE     answers, but has not proved the key

What no setting turns off: without a base key there is no link; a card counts as secure only out of a frame that
the session opened; inside a session clear text is refused but for BUSY and for a NAK that says that the reader
has no session (kinds 5 and 6); a wrong MAC ends the session; the default key and KEYSET are never used.
"""

from collections import namedtuple

from . import frame, messages, secure

OFFLINE, CAPABILITIES, CHALLENGE, CRYPTOGRAM, SECURE, CLEAR = (
    "offline", "capabilities", "challenge", "cryptogram", "secure", "clear",
)  # fmt: skip


class Timing(
    namedtuple(
        "Timing",
        ("reply_ms", "probe_ms", "tries", "busy_ms", "busy_limit_ms", "retry_ms", "retry_limit_ms", "clear_ms"),
    )
):
    """reply_ms: how long a reader may take to answer (section 5: 200). probe_ms: the same for a reader that is
    off line, so that it costs the others little; each third probe waits reply_ms. tries: how often an unanswered
    command is sent in a session. busy_ms: pause after BUSY, for at most busy_limit_ms. retry_ms: pause before an
    off-line reader is asked again, doubling up to retry_limit_ms. clear_ms: pause between polls of a reader
    without secure channel."""

    __slots__ = ()
    reply_ms: int
    probe_ms: int
    tries: int
    busy_ms: int
    busy_limit_ms: int
    retry_ms: int
    retry_limit_ms: int
    clear_ms: int


DEFAULT = Timing(200, 40, 4, 50, 3000, 125, 1000, 200)

_STEADY_MS = 5000  # a session that lasted this long was no accident: start over with short pauses
_CLEAR_RETRY_MS = 2000  # how long a reader is polled in the clear before the secure channel is tried again
_SUSPECT_AGAIN_MS = 60000  # the same suspicion is not raised again within this
_LATE_MS = 1000  # an answer this much later than it may be is from before a gap: our own sleep, a pulled cable
_LARGEST_QUEUE = 16
_LARGEST_BACKLOG = 64  # answers after which a reader that always has something to say is called on line
_NAKS_THAT_END = (messages.NAK_SEQUENCE, messages.NAK_SECURITY_BLOCK, messages.NAK_SECURITY)
_NAKS_BY_ACCIDENT = (messages.NAK_CHECK, messages.NAK_SEQUENCE)
_PROBES_BEFORE_OFFLINE = 3  # at the start, before a silent reader is called off line


class Card(namedtuple("Card", ("bits", "data", "secure"))):
    """A card was read: `bits` bits in `data`, the first one in the highest bit of the first byte (section 7.10).
    bits 0: the reader sent characters, which no format knows."""

    __slots__ = ()
    bits: int
    data: bytes
    secure: bool


class Keys(namedtuple("Keys", ("keys", "secure"))):
    """Keys were pressed (section 7)."""

    __slots__ = ()
    keys: bytes
    secure: bool


class Online(namedtuple("Online", ("detail",))):
    """A secure session has begun, and what the reader kept from before it is gone."""

    __slots__ = ()
    detail: str


class Offline(namedtuple("Offline", ("detail",))):
    """There is no secure session, and why."""

    __slots__ = ()
    detail: str


class Tamper(namedtuple("Tamper", ("is_on",))):
    """The reader's tamper switch changed (section 7)."""

    __slots__ = ()
    is_on: bool


class Power(namedtuple("Power", ("failed",))):
    """The reader's power changed (section 7)."""

    __slots__ = ()
    failed: bool


class Suspect(namedtuple("Suspect", ("detail",))):
    """The line did what an attack would do."""

    __slots__ = ()
    detail: str


class Link:
    """The control panel's side of one reader.

    `next_command(now_ms)` gives the bytes to send, or None before `due_ms`. Then `received` for each frame that
    comes while `is_waiting`, or `timed_out` after `wait_ms`; both return what happened, a tuple of the values
    above. `push` queues a command for the next slot; it is refused outside a session.

    aes, random_bytes: see secure.py. SecureError for a weak base key.
    """

    def __init__(self, address, scbk, aes, random_bytes, timing=DEFAULT, crc=frame.crc16):
        why = secure.weakness(scbk)
        if why:
            raise secure.SecureError("the key of the reader at address %d is refused: %s" % (address, why))
        self.address = address
        self._scbk = scbk
        self._aes = aes
        self._random_bytes = random_bytes
        self._timing = timing
        self._crc = crc
        self.state = OFFLINE
        self.due_ms = 0
        self.is_waiting = False
        self.identity = None
        self.capabilities = None
        self.tamper = None
        self.power_failed = None
        # Counters for people.
        self.polls = self.timeouts = self.refused = self.ignored = self.naks = self.stale = self.sessions = 0
        self.dropped = self.bad_frames = 0
        self.last_nak = ""
        self.last_card_ms = None
        self._is_up = None  # unknown until the first session or the first silence
        self._queue = []
        self._failures = self._probes = 0
        self._suspected = {}
        self._begun_ms = self._clear_until_ms = 0
        self._server_cryptogram = b""
        self._reset()

    # --- what the bus asks ---------------------------------------------------------------------------------------

    @property
    def is_secure(self):
        """Whether a secure session runs."""
        return self.state == SECURE

    @property
    def is_ready(self):
        """Whether what is presented now is taken: a secure session runs, and nothing from before it is left."""
        return self._is_up is True

    @property
    def is_answering(self):
        """Whether the reader answered lately; a probe of one that does not costs the others time."""
        return self.state != OFFLINE

    @property
    def has_output(self):
        """Whether a pushed command waits for a slot."""
        return self.state == SECURE and len(self._queue) > 0

    @property
    def wait_ms(self):
        """How long the reply to the command just sent may take to begin."""
        if self.state == OFFLINE and self._probes % 3:
            return self._timing.probe_ms
        return self._timing.reply_ms

    def push(self, message):
        """Queue a command's value for the next slot. False, and counted, outside a session or when 16 wait.
        MessageError where a field does not fit, and for KEYSET."""
        code, data = messages.pack_command(message)
        if code == messages.KEYSET:
            raise messages.MessageError("a key is never sent to a reader from here")
        if self.state != SECURE or len(self._queue) >= _LARGEST_QUEUE:
            self.dropped += 1
            return False
        self._queue.append((code, data))
        return True

    def next_command(self, now_ms):
        """The bytes to send now, or None where nothing is due. The same bytes again after a silence or BUSY."""
        if now_ms < self.due_ms:
            return None
        if self._sent is None:
            if self.state == OFFLINE:
                self._sequence = 0  # restarts the reader's numbering and ends any session that it holds (section 5)
                self._probes += 1
            self._sent = STEPS[self.state].command(self)
        self._sent_ms = now_ms
        self.is_waiting = True
        return self._sent

    def received(self, reply, now_ms):
        """What a frame means. While `is_waiting` stays True, it was none of ours: keep waiting."""
        if not self.is_waiting or not reply.is_reply or reply.address != self.address:
            self.ignored += 1
            return ()
        if now_ms - self._sent_ms > self._timing.reply_ms + _LATE_MS:
            self.ignored += 1
            return ()
        if _is_busy(reply) and reply.sequence in (0, self._sequence):
            return self._busy(now_ms)
        if reply.sequence != self._sequence:
            self.ignored += 1  # a late answer to an earlier command
            return ()
        return self._secured(reply, now_ms) if self.state == SECURE else self._unsecured(reply, now_ms)

    def timed_out(self, now_ms):
        """What silence means: the command again, or the reader is gone."""
        self.is_waiting = False
        self.timeouts += 1
        self._tries += 1
        tries = 1 if self.state == OFFLINE else self._timing.tries
        if self._tries < tries:
            self.due_ms = now_ms
            return ()
        is_early = self._is_up is None and self.state == OFFLINE and self._probes < _PROBES_BEFORE_OFFLINE
        return self._restart(now_ms, "" if is_early else "no answer")

    def line_lost(self, now_ms, detail):
        """The port is gone: forget the exchange, so that nothing from before is taken for an answer."""
        return self._restart(now_ms, detail)

    # --- what replies mean ---------------------------------------------------------------------------------------

    def _secured(self, reply, now_ms):
        if not reply.security:
            return self._clear_text(reply, now_ms)
        try:
            code, data = self._session.open(reply)
        except secure.SecureError as error:
            return self._end_session(now_ms, "an answer was not authentic: %s" % error)
        if data and reply.security[0] == secure.SCS_16 and code != messages.NAK:
            return self._end_session(now_ms, "data came unencrypted inside the secure channel")
        try:
            value = messages.unpack_reply(code, data)
        except messages.MessageError as error:
            self.naks += 1  # authentic, but of no use to us
            self.last_nak = str(error)
            value = None
        self._answered(now_ms)
        facts = STEPS[SECURE].take(self, value, now_ms)
        self._sent_code = None
        return facts

    def _clear_text(self, reply, now_ms):
        kinds = (messages.NAK_SECURITY_BLOCK, messages.NAK_SECURITY)
        if reply.code == messages.NAK and len(reply.data) > 0 and reply.data[0] in kinds:
            return self._restart(now_ms, "the reader ended the session")
        self.refused += 1
        return self._suspect(now_ms, "clear text inside the secure channel")

    def _end_session(self, now_ms, detail):
        self.refused += 1
        return self._suspect(now_ms, detail) + self._restart(now_ms, detail)

    def _unsecured(self, reply, now_ms):
        step = STEPS[self.state]
        if reply.code == messages.NAK and not reply.security and self.state not in (OFFLINE, CLEAR):
            return self._refused(reply, now_ms)
        if (reply.security[:1] or b"\x00")[0] != step.block:
            return self._refuse(now_ms, "no secure channel: it answers with another security block")
        try:
            value = messages.unpack_reply(reply.code, reply.data)
        except messages.MessageError:
            return self._refuse(now_ms, "no secure channel: it answers what cannot be read")
        if self.state == CLEAR:
            self._answered(now_ms)
            return step.take(self, value, now_ms)
        why = step.take(self, value, reply)
        if why:
            return self._refuse(now_ms, why)
        self._answered(now_ms)
        self.state = step.next
        if self.state == SECURE:
            self._begin(now_ms)
        return ()

    def _refused(self, reply, now_ms):
        """A NAK on the way to a session: by accident, or because the reader cannot or will not."""
        kind = reply.data[0] if len(reply.data) > 0 else 0
        if kind in _NAKS_BY_ACCIDENT:
            return self._restart(now_ms, messages.NAK_WORDS[kind])
        return self._refuse(now_ms, "no secure channel: %s" % messages.NAK_WORDS.get(kind, "refused"))

    def _refuse(self, now_ms, why):
        """The wrong answer outside a session: no secure channel for now."""
        otherwise = STEPS[self.state].otherwise
        if otherwise == OFFLINE:
            return self._restart(now_ms, why)
        self._answered(now_ms)
        facts = self._suspect(now_ms, why) + self._went_down(why)
        self.state = otherwise
        self._session = None
        self._clear_until_ms = now_ms + _CLEAR_RETRY_MS
        return facts

    def _busy(self, now_ms):
        """Section 7: the command was not carried out; send it again, unchanged."""
        self.is_waiting = False
        if self._busy_since_ms is None:
            self._busy_since_ms = now_ms
        if now_ms - self._busy_since_ms > self._timing.busy_limit_ms:
            return self._restart(now_ms, "busy for too long")
        self.due_ms = now_ms + self._timing.busy_ms
        return ()

    def _answered(self, now_ms):
        self.is_waiting = False
        self._sent = None
        self._tries = 0
        self._busy_since_ms = None
        self._sequence = self._sequence % 3 + 1  # 0, 1, 2, 3, 1, 2, 3, … (section 5)
        self.due_ms = now_ms

    def _begin(self, now_ms):
        """A session begins. What the reader kept from before is not fresh: cards and keys are dropped until it
        once has nothing to say (ACK to a POLL); only then is it called on line."""
        self.sessions += 1
        self._stale_polls = 0
        self._is_stale = True
        self._asks_status = True
        self._begun_ms = now_ms
        self._probes = 0

    def _drained(self):
        self._is_stale = False
        self._is_up = True
        return (Online(describe(self.identity)),)

    def _restart(self, now_ms, detail):
        if self.state == SECURE and now_ms - self._begun_ms >= _STEADY_MS:
            self._failures = 0
        pause = self._timing.retry_ms << self._failures if self._failures else 0
        self._failures = min(self._failures + 1, 8)
        self._reset()
        self.due_ms = now_ms + min(pause, self._timing.retry_limit_ms)
        return self._went_down(detail) if detail else ()

    def _reset(self):
        if self.state != OFFLINE:
            self._probes = 0
        self.state = OFFLINE
        self.is_waiting = False
        self._session = None
        self._sent = None
        self._sent_code = None
        self._sent_ms = 0
        self._sequence = 0
        self._tries = 0
        self._busy_since_ms = None
        self._is_stale = True
        self._stale_polls = 0
        self._asks_status = False
        self.dropped += len(self._queue)
        self._queue = []

    def _went_down(self, detail):
        if self._is_up is False:
            return ()
        self._is_up = False
        return (Offline(detail),)

    def _suspect(self, now_ms, detail):
        last_ms = self._suspected.get(detail)
        if last_ms is not None and now_ms - last_ms < _SUSPECT_AGAIN_MS:
            return ()
        self._suspected[detail] = now_ms
        return (Suspect(detail),)

    # --- building commands ---------------------------------------------------------------------------------------

    def _plain(self, message, security=b""):
        code, data = messages.pack_command(message)
        return frame.encode(self.address, self._sequence, code, data, security, False, True, self._crc)

    def _ask_id(self):
        return self._plain(messages.AskId(0))

    def _ask_capabilities(self):
        return self._plain(messages.AskCapabilities(0))

    def _challenge(self):
        cp_random = bytes(self._random_bytes(8))
        self._session = secure.Session(self._aes, self._scbk, cp_random, self._crc)
        return self._plain(messages.Challenge(cp_random), bytes((secure.SCS_11, secure.KEY_IS_OURS)))

    def _cryptogram(self):
        message = messages.ServerCryptogram(self._server_cryptogram)
        return self._plain(message, bytes((secure.SCS_13, secure.KEY_IS_OURS)))

    def _work(self):
        """In the session: what was pushed, else the reader's state once, else a poll."""
        data = b""
        if self._queue:
            code, data = self._queue.pop(0)
        elif self._asks_status:
            self._asks_status = False
            code = messages.LSTAT
        else:
            code = messages.POLL
            self.polls += 1
        self._sent_code = code
        return self._session.seal(self.address, self._sequence, code, data)

    def _poll_in_clear(self):
        self.polls += 1
        return self._plain(messages.Poll())

    # --- judging replies: "" where right, else why not -----------------------------------------------------------

    def _take_identity(self, value, reply):
        if not isinstance(value, messages.Identity):
            return "it does not say what it is"
        self.identity = value
        return ""

    def _take_capabilities(self, value, reply):
        if not isinstance(value, messages.Capabilities):
            return "no secure channel: it does not say what it can do"
        self.capabilities = value
        security = messages.capability(value, messages.CAP_SECURITY)
        if security is None or not security[0] & 1:
            return "no secure channel: the reader says that it has none"
        return ""

    def _take_client_cryptogram(self, value, reply):
        if not isinstance(value, messages.ClientCryptogram):
            return "no secure channel: the challenge was not answered"
        if reply.security[1:2] != bytes((secure.KEY_IS_OURS,)):
            return "no secure channel: the reader has only the default key"
        if not secure.is_equal(value.cryptogram, self._session.client_cryptogram(value.random)):
            return "no secure channel: the reader has another key"
        self._server_cryptogram = self._session.server_cryptogram(value.random)
        return ""

    def _take_initial_mac(self, value, reply):
        if not isinstance(value, messages.InitialMac) or reply.security[1:2] != bytes((secure.SUCCESS,)):
            return "no secure channel: the reader refused our answer"
        if not secure.is_equal(value.mac, self._session.start(self._server_cryptogram)):
            return "no secure channel: the reader's first MAC is wrong"
        return ""

    def _take_secured(self, value, now_ms):
        if isinstance(value, messages.LocalStatus):
            return self._take_status(value)
        if isinstance(value, messages.Nak):
            self.naks += 1
            self.last_nak = messages.NAK_WORDS.get(value.kind, "kind %d" % value.kind)
            return self._restart(now_ms, self.last_nak) if value.kind in _NAKS_THAT_END else ()
        if self._is_stale:
            return self._take_stale(value, now_ms)
        return self._take_presented(value, now_ms, True)

    def _take_stale(self, value, now_ms):
        if isinstance(value, (messages.Keypad, messages.Raw, messages.Formatted)):
            self.stale += 1
        self._stale_polls += 1
        is_empty = self._sent_code == messages.POLL and isinstance(value, messages.Ack)
        return self._drained() if is_empty or self._stale_polls > _LARGEST_BACKLOG else ()

    def _take_clear(self, value, now_ms):
        self.due_ms = now_ms + self._timing.clear_ms
        facts = self._take_presented(value, now_ms, False)
        if now_ms >= self._clear_until_ms:
            self._restart(now_ms, "")
        return facts

    def _take_presented(self, value, now_ms, is_secure):
        if isinstance(value, messages.Keypad):
            return (Keys(value.keys, is_secure),)
        if isinstance(value, messages.Raw):
            self.last_card_ms = now_ms
            return (Card(value.bits, value.data, is_secure),)
        if isinstance(value, messages.Formatted):
            self.last_card_ms = now_ms
            return (Card(0, value.text, is_secure),)
        return ()

    def _take_status(self, value):
        facts = ()
        tamper, failed = value.tamper != 0, value.power != 0
        if tamper != self.tamper and (tamper or self.tamper is not None):
            facts = facts + (Tamper(tamper),)
        if failed != self.power_failed and (failed or self.power_failed is not None):
            facts = facts + (Power(failed),)
        self.tamper, self.power_failed = tamper, failed
        return facts


class Step(namedtuple("Step", ("command", "block", "take", "next", "otherwise"))):
    """command: makes the bytes. block: the security block type of a right reply, 0 for none. take: keeps a right
    reply, says what is wrong with another; in a session, gives what happened."""

    __slots__ = ()


STEPS = {
    OFFLINE: Step(Link._ask_id, 0, Link._take_identity, CAPABILITIES, OFFLINE),
    CAPABILITIES: Step(Link._ask_capabilities, 0, Link._take_capabilities, CHALLENGE, CLEAR),
    CHALLENGE: Step(Link._challenge, secure.SCS_12, Link._take_client_cryptogram, CRYPTOGRAM, CLEAR),
    CRYPTOGRAM: Step(Link._cryptogram, secure.SCS_14, Link._take_initial_mac, SECURE, CLEAR),
    SECURE: Step(Link._work, 0, Link._take_secured, SECURE, OFFLINE),
    CLEAR: Step(Link._poll_in_clear, 0, Link._take_clear, CLEAR, OFFLINE),
}


def describe(identity):
    """A reader's identity in a few words: vendor, model, firmware (section 7)."""
    if identity is None:
        return ""
    vendor = "".join("%02x" % byte for byte in identity.vendor)
    firmware = ".".join(str(byte) for byte in identity.firmware)
    return "vendor %s model %d.%d firmware %s" % (vendor, identity.model, identity.version, firmware)


def _is_busy(reply):
    return reply.code == messages.BUSY and not reply.security and len(reply.data) == 0
