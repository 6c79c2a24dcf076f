"""One reader on an OSDP line: a state machine that says what to send and judges what comes back.

Portable and sans-io: bytes out, frames in, time as an argument. Source: SIA OSDP 2.2, section 5 (timing,
sequence numbers: exchange.py), annex D (secure channel: handshake.py, the way up to a session).

What no setting turns off: without a base key there is no session; a card counts as secure only out of a frame that
the session opened; inside a session clear text is refused but for BUSY and for a NAK that says that the reader
has no session (kinds 5 and 6); a wrong MAC ends the session; the default key is used in a pairing window only,
for KEYSET and nothing else; a new key replaces the old one only when the reader has proved it (key_change.py).
"""

from . import frame, messages, secure
from .exchange import ANSWER, DEFAULT, NOT_OURS, Exchange
from .facts import Moved, Offline, Online, Suspect
from .handshake import CHALLENGE, CLEAR, OFFLINE, PAIRING, SECURE, STEPS, Handshake, describe
from .key_change import LONGEST_WINDOW_MS, PairingError, ReaderKeys
from .reports import Reports

_STEADY_MS = 5000  # a session that lasted this long was no accident: start over with short pauses
_CLEAR_RETRY_MS = 2000  # how long a reader is polled in the clear before the secure channel is tried again
_SUSPECT_AGAIN_MS = 60000  # the same suspicion is not raised again within this
_LARGEST_QUEUE = 16
_NAKS_THAT_END = (messages.NAK_SEQUENCE, messages.NAK_SECURITY_BLOCK, messages.NAK_SECURITY)
_NAKS_BY_ACCIDENT = (messages.NAK_CHECK, messages.NAK_SEQUENCE)
_PROBES_BEFORE_OFFLINE = 3  # at the start, before a silent reader is called off line
_LONG_PROBE = 9  # every so many probes one waits reply_ms
_LONG_PROBE_OF_SLOW = 3  # the same for a reader that once needed it: back on line within five seconds


class Link:
    """The control panel's side of one reader.

    `next_command(now_ms)` gives the bytes to send, or None before `due_ms`. Then `received` for each frame that
    comes while `is_waiting`, or `timed_out` after `wait_ms`; both return what happened, a tuple of values of
    facts.py, and so does `expire`, to be called now and then while `keys.is_changing`. `push` queues a command
    for the next slot; it is refused outside a session.

    scbk: its base key, or None: not paired yet, no session. candidate: a key that may have been sent before the
    last restart. aes, random_bytes: see secure.py. SecureError for a weak base key.
    """

    def __init__(self, address, scbk, aes, random_bytes, timing=DEFAULT, crc=frame.crc16, candidate=None):
        self.address = address
        self.keys = ReaderKeys(address, scbk, candidate)
        self.reports = Reports()
        self._exchange = Exchange(timing)
        self._handshake = Handshake(aes, random_bytes, crc)
        self._timing = timing
        self._crc = crc
        self.state = OFFLINE
        # Counters for people.
        self.polls = self.refused = self.naks = self.sessions = self.dropped = self.bad_frames = 0
        self.last_nak = ""
        self.trouble = ""  # why there is no session, "" where there is one or nothing is known yet
        self._is_up = None  # unknown until the first session or the first silence
        self._is_slow = False  # it once answered a long probe only
        self._queue = []
        self._probes = 0
        self._suspected = {}
        self._begun_ms = self._clear_until_ms = 0
        self._sent_code = None

    # --- what the bus asks ---------------------------------------------------------------------------------------

    @property
    def due_ms(self):
        """When the next command may go out."""
        return self._exchange.due_ms

    @property
    def is_waiting(self):
        """Whether an answer may still come."""
        return self._exchange.is_waiting

    @property
    def timeouts(self):
        """How often an answer did not come in time."""
        return self._exchange.timeouts

    @property
    def ignored(self):
        """Frames that were none of ours."""
        return self._exchange.ignored

    @property
    def identity(self):
        """What the reader said it is, or None."""
        return self._handshake.identity

    @property
    def capabilities(self):
        """What the reader said it can do, or None."""
        return self._handshake.capabilities

    @property
    def is_secure(self):
        """Whether a secure session runs."""
        return self.state == SECURE

    @property
    def is_ready(self):
        """Whether what is presented now is taken: a secure session runs, and nothing from before it is left."""
        return self.state == SECURE and not self.reports.is_stale

    @property
    def is_answering(self):
        """Whether the reader answered lately; a probe of one that does not costs the others time."""
        return self.state != OFFLINE

    @property
    def is_known(self):
        """Whether it was told once that the reader is there, or that it is not."""
        return self._is_up is not None

    @property
    def has_output(self):
        """Whether a pushed command waits for a slot."""
        return self.state == SECURE and len(self._queue) > 0

    @property
    def wait_ms(self):
        """How long the reply to the command just sent may take to begin. In a session the first try waits as long as a
        reader may take; a late answer to it is one to its repeats too, so they are short, and sixteen readers that are
        lost at once are all told within 10 s."""
        if self.state != OFFLINE:
            is_short = self._exchange.tries > 0 and not self._is_slow
            return self._timing.probe_ms if is_short else self._timing.reply_ms
        every = _LONG_PROBE_OF_SLOW if self._is_slow else _LONG_PROBE
        is_long = self._probes % every == 0 or self._probes == _PROBES_BEFORE_OFFLINE
        return self._timing.reply_ms if is_long else self._timing.probe_ms

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

    def restart(self, now_ms):
        """Begin again with sequence number 0, which ends the reader's session (section 5): nothing failed."""
        self._reset()
        self._exchange.over(now_ms)

    def next_command(self, now_ms):
        """The bytes to send now, or None where nothing is due. The same bytes again after a silence or BUSY."""
        if now_ms < self.due_ms:
            return None
        needs_window = self._handshake.is_default or (self.state == CHALLENGE and not self.keys.ours)
        if needs_window and not self.keys.is_window_open(now_ms):
            self.restart(now_ms)  # nothing under the default key after the window, not even once more
        if self._exchange.bytes is None:
            self._exchange.keep(self._make_command(now_ms))
        return self._exchange.send(now_ms)

    def received(self, reply, now_ms):
        """What a frame means. While `is_waiting` stays True, it was none of ours: keep waiting."""
        kind = self._exchange.judge(reply, self.address, now_ms)
        if kind == NOT_OURS:
            return ()
        if kind != ANSWER:
            return self._restart(now_ms, "busy for too long") if self._exchange.busy(now_ms) else ()
        if self.state in (SECURE, PAIRING):
            return self._secured(reply, now_ms)
        return self._cleared(reply, now_ms) if self.state == CLEAR else self._climbed(reply, now_ms)

    def timed_out(self, now_ms):
        """What silence means: the command again, or the reader is gone."""
        if not self._exchange.silent(now_ms, 1 if self.state == OFFLINE else self._timing.tries):
            return ()
        is_early = self._is_up is None and self.state == OFFLINE and self._probes < _PROBES_BEFORE_OFFLINE
        return self._restart(now_ms, "" if is_early else "no answer")

    def line_lost(self, now_ms, detail):
        """The port is gone: forget the exchange, so that nothing from before is taken for an answer."""
        return self._restart(now_ms, detail)

    # --- a new key -----------------------------------------------------------------------------------------------

    def open_pairing(self, key, window_ms, now_ms):
        """Give `key` to the reader in install mode at this address, within `window_ms`. A Paired or a NotPaired
        follows. PairingError, SecureError where it cannot begin."""
        if not 0 < window_ms <= LONGEST_WINDOW_MS:
            raise PairingError("a pairing window lasts 1 to %d s" % (LONGEST_WINDOW_MS // 1000))
        if self.state == SECURE:
            raise PairingError("the reader is on line with a key of its own: change it with rekey")
        self.keys.begin(key, now_ms + window_ms)
        self._exchange.forgive()
        self.restart(now_ms)

    def rekey(self, key):
        """Give the reader a new key inside the session that its present one began. A Paired or a NotPaired
        follows. PairingError, SecureError where it cannot begin."""
        if not self.is_ready:
            raise PairingError("the reader is not on line: a key is changed inside a session with the old one only")
        self.keys.begin(key, None)

    def close_pairing(self, now_ms):
        """Close the pairing window before its time. A rekey goes on."""
        return self._leave_default(self.keys.close_window("the pairing window was closed"), now_ms)

    def expire(self, now_ms):
        """Close a pairing window whose time is up."""
        return self._leave_default(self.keys.expire(now_ms), now_ms)

    def _leave_default(self, facts, now_ms):
        if self._handshake.is_default and not self.keys.is_window_open(now_ms):
            self.restart(now_ms)
        return facts

    def _take_key_answer(self, value, now_ms):
        """The reader's answer to KEYSET. What it says is not enough: it must prove the key next."""
        if isinstance(value, messages.Ack):
            self.keys.taken()
            self.restart(now_ms)
            return ()
        word = self.last_nak if isinstance(value, messages.Nak) else "an answer that does not belong here"
        return self._leave_default(self.keys.give_up("the reader refused the new key: %s" % word), now_ms)

    # --- building commands ---------------------------------------------------------------------------------------

    def _make_command(self, now_ms):
        if self.state in (SECURE, PAIRING):
            return self._work()
        sequence = self._exchange.sequence
        if self.state == CLEAR:
            self.polls += 1
            return frame.encode(self.address, sequence, messages.POLL, b"", b"", False, True, self._crc)
        if self.state == OFFLINE:
            self._probes += 1
        elif self.state == CHALLENGE:
            self._handshake.choose(self.keys.ours, self.keys.wants_default(now_ms))
        return self._handshake.command(self.state, self.address, sequence)

    def _work(self):
        """In a session: a new key, else what was pushed, else what is asked once, else a poll."""
        code, data = self._next_work()
        self._sent_code = code
        return self._handshake.session.seal(self.address, self._exchange.sequence, code, data)

    def _next_work(self):
        if self.keys.may_send:
            return messages.pack_command(messages.SetKey(messages.KEY_IS_SCBK, self.keys.take_for_sending()))
        if self._queue:
            return self._queue.pop(0)
        question = self.reports.next_question()
        if question is not None:
            return question, b""
        self.polls += 1
        return messages.POLL, b""

    # --- what replies mean ---------------------------------------------------------------------------------------

    def _climbed(self, reply, now_ms):
        """A reply on the way up to a session."""
        step = STEPS[self.state]
        if reply.code == messages.NAK and not reply.security and self.state != OFFLINE:
            return self._refused(reply, now_ms)
        if (reply.security[:1] or b"\x00")[0] != step.block:
            return self._refuse(now_ms, "no secure channel: it answers with another security block")
        try:
            value = messages.unpack_reply(reply.code, reply.data)
        except messages.MessageError:
            return self._refuse(now_ms, "no secure channel: it answers what cannot be read")
        why = step.take(self._handshake, value, reply)
        if why:
            return self._refuse(now_ms, why)
        return self._step_up(step, now_ms)

    def _step_up(self, step, now_ms):
        if self.state == OFFLINE:
            self._is_slow = self.wait_ms > self._timing.probe_ms
        self._exchange.answered(now_ms)
        if step.next == CHALLENGE and not self.keys.ours and not self.keys.is_window_open(now_ms):
            return self._wait_in_clear(now_ms, "not paired: it has no key yet")
        self.state = step.next
        if self.state != SECURE:
            return ()
        if self._handshake.is_default:
            self.state = PAIRING
            return ()
        self.sessions += 1
        self._begun_ms = now_ms
        self._probes = 0
        self.reports.begin(self.capabilities)
        return self.keys.proved(self._handshake.key)

    def _refused(self, reply, now_ms):
        """A NAK on the way to a session: by accident, or because the reader cannot or will not."""
        kind = reply.data[0] if len(reply.data) > 0 else 0
        if kind in _NAKS_BY_ACCIDENT:
            return self._restart(now_ms, messages.NAK_WORDS[kind])
        return self._refuse(now_ms, "no secure channel: %s" % messages.NAK_WORDS.get(kind, "refused"))

    def _refuse(self, now_ms, why):
        """The wrong answer outside a session: no secure channel for now. In an open pairing window that is no
        alarm: whoever opened it is told when it closes."""
        if self.keys.is_window_open(now_ms):
            self.keys.note(why)
            return self._restart(now_ms, "")
        if STEPS[self.state].otherwise == OFFLINE:
            return self._restart(now_ms, why)
        self._exchange.answered(now_ms)
        return self._suspect(now_ms, why) + self._wait_in_clear(now_ms, why)

    def _wait_in_clear(self, now_ms, why):
        self.state = CLEAR
        self._handshake.forget()
        self._clear_until_ms = now_ms + _CLEAR_RETRY_MS
        return self._went_down(why)

    def _cleared(self, reply, now_ms):
        """A reply of a reader that is polled in the clear: nothing of it is secure."""
        if reply.security:
            return self._restart(now_ms, "no secure channel: it answers with another security block")
        try:
            value = messages.unpack_reply(reply.code, reply.data)
        except messages.MessageError:
            return self._restart(now_ms, "no secure channel: it answers what cannot be read")
        if now_ms >= self._clear_until_ms:
            self._restart(now_ms, "")
        else:
            self._exchange.answered(now_ms)
            self._exchange.due_ms = now_ms + self._timing.clear_ms
        return self.reports.take_presented(value, now_ms, False)

    def _secured(self, reply, now_ms):
        if not reply.security:
            return self._clear_text(reply, now_ms)
        try:
            code, data = self._handshake.session.open(reply)
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
        self._exchange.answered(now_ms)
        return self._take_secured(value, now_ms)

    def _clear_text(self, reply, now_ms):
        kinds = (messages.NAK_SECURITY_BLOCK, messages.NAK_SECURITY)
        if reply.code == messages.NAK and len(reply.data) > 0 and reply.data[0] in kinds:
            return self._restart(now_ms, "the reader ended the session")
        if self._sent_code == messages.KEYSET and reply.code == messages.ACK:
            self._exchange.ignore()  # some readers end the session before they say yes: only a proof counts
            return ()
        self.refused += 1
        return self._suspect(now_ms, "clear text inside the secure channel")

    def _end_session(self, now_ms, detail):
        self.refused += 1
        return self._suspect(now_ms, detail) + self._restart(now_ms, detail)

    def _take_secured(self, value, now_ms):
        facts = ()
        if isinstance(value, messages.Nak):
            self.naks += 1
            self.last_nak = messages.NAK_WORDS.get(value.kind, "kind %d" % value.kind)
        if self._sent_code == messages.KEYSET:
            facts = self._take_key_answer(value, now_ms)
        if self.state != SECURE:
            return facts  # begun again; and under the default key nothing that the reader says counts
        if isinstance(value, messages.Nak):
            return facts + (self._restart(now_ms, self.last_nak) if value.kind in _NAKS_THAT_END else ())
        if isinstance(value, messages.Communication):
            return self._take_move(value, now_ms)
        if isinstance(value, (messages.Identity, messages.Capabilities)):
            self._handshake.know(value)
        facts = facts + self.reports.take(value, now_ms)
        if self.reports.is_stale and self.reports.is_drained(value, self._sent_code):
            self._is_up = True
            self.trouble = ""
            facts = facts + (Online(describe(self.identity)),) + self.reports.inputs_now()
        return facts

    def _take_move(self, value, now_ms):
        """The answer to COMSET (section 7): from the next command on the reader hears the new address."""
        if self._sent_code != messages.COMSET:
            return ()
        self.address = value.address & frame.BROADCAST
        self.restart(now_ms)
        return (Moved(self.address, value.baud),)

    # --- the course of a session ---------------------------------------------------------------------------------

    def _restart(self, now_ms, detail):
        was_steady = self.state == SECURE and now_ms - self._begun_ms >= _STEADY_MS
        self._reset()
        self._exchange.failed(now_ms, was_steady)
        return self._went_down(detail) if detail else ()

    def _reset(self):
        if self.state != OFFLINE:
            self._probes = 0
        self.state = OFFLINE
        self._handshake.forget()
        self.reports.forget()
        self._sent_code = None
        self.dropped += len(self._queue)
        self._queue = []

    def _went_down(self, detail):
        self.trouble = detail
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
