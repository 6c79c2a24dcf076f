"""One command and its answer at a time: sequence numbers, repeats after a silence or BUSY, pauses.

Portable and sans-io. Source: SIA OSDP 2.2, section 5. A command that was not answered goes out again with the same
sequence number and the same bytes, and a reader that had answered it repeats that answer: one lost answer costs
neither a card nor the session. Sequence number 0 starts the numbering, and the reader, afresh.
"""

from collections import namedtuple

from . import messages


class Timing(
    namedtuple(
        "Timing",
        ("reply_ms", "probe_ms", "tries", "busy_ms", "busy_limit_ms", "retry_ms", "retry_limit_ms", "clear_ms"),
    )
):
    """reply_ms: how long a reader may take to answer (section 5: 200). probe_ms: the same for a reader that is
    off line, so that it costs the others little; now and then a probe waits reply_ms. tries: how often an
    unanswered command is sent in a session. busy_ms: pause after BUSY, for at most busy_limit_ms. retry_ms: pause
    before an off-line reader is asked again, doubling up to retry_limit_ms. clear_ms: pause between polls of a
    reader without secure channel."""

    __slots__ = ()
    reply_ms: int
    probe_ms: int
    tries: int
    busy_ms: int
    busy_limit_ms: int
    retry_ms: int
    retry_limit_ms: int
    clear_ms: int


DEFAULT = Timing(200, 40, 4, 50, 3000, 125, 2000, 200)

ANSWER, BUSY, NOT_OURS = range(3)

_LATE_MS = 1000  # an answer this much later than it may be is from before a gap: our own sleep, a pulled cable


class Exchange:
    """`keep` the bytes of a command, `send` them once or more, `judge` each frame that comes while `is_waiting`,
    then `answered` or `silent`. `over` forgets it all."""

    def __init__(self, timing):
        self._timing = timing
        self.due_ms = 0  # nothing goes out before
        self.sequence = 0
        self.timeouts = self.ignored = 0
        self._failures = 0
        self._clear()

    def _clear(self):
        self.is_waiting = False
        self.bytes = None  # of the command under way
        self._sent_ms = 0
        self.tries = 0  # how often the command was sent in vain
        self._busy_since_ms = None

    def keep(self, command):
        """A new command's bytes."""
        self.bytes = command

    def send(self, now_ms):
        """The bytes to send now, the first time or again."""
        self._sent_ms = now_ms
        self.is_waiting = True
        return self.bytes

    def judge(self, reply, address, now_ms):
        """ANSWER, BUSY, or NOT_OURS: of another reader, an echo, late, an answer to an earlier command."""
        if not self.is_waiting or not reply.is_reply or reply.address != address:
            return self.ignore()
        if now_ms - self._sent_ms > self._timing.reply_ms + _LATE_MS:
            return self.ignore()
        is_busy = reply.code == messages.BUSY and not reply.security and len(reply.data) == 0
        if is_busy and reply.sequence in (0, self.sequence):
            return BUSY
        return ANSWER if reply.sequence == self.sequence else self.ignore()

    def ignore(self):
        """Count a frame that is none of ours."""
        self.ignored += 1
        return NOT_OURS

    def answered(self, now_ms):
        """The answer came: the next command has the next number, 0, 1, 2, 3, 1, 2, 3, …"""
        self._clear()
        self.sequence = self.sequence % 3 + 1
        self.due_ms = now_ms

    def silent(self, now_ms, tries):
        """No answer in time. Whether it was asked `tries` times by now: give up."""
        self.is_waiting = False
        self.timeouts += 1
        self.tries += 1
        self.due_ms = now_ms
        return self.tries >= tries

    def busy(self, now_ms):
        """Section 7: the command was not carried out; it goes again, unchanged. Whether it was busy too long."""
        self.is_waiting = False
        if self._busy_since_ms is None:
            self._busy_since_ms = now_ms
        self.due_ms = now_ms + self._timing.busy_ms
        return now_ms - self._busy_since_ms > self._timing.busy_limit_ms

    def over(self, now_ms):
        """Start afresh at once: nothing failed."""
        self._clear()
        self.sequence = 0
        self.due_ms = now_ms

    def failed(self, now_ms, was_steady):
        """Start afresh after a pause that grows with each failure. `was_steady`: the first one in a long time."""
        if was_steady:
            self._failures = 0
        pause_ms = self._timing.retry_ms << self._failures if self._failures else 0
        self._failures = min(self._failures + 1, 8)
        self.over(now_ms + min(pause_ms, self._timing.retry_limit_ms))

    def forgive(self):
        """Somebody is at the reader: pauses are short again."""
        self._failures = 0
