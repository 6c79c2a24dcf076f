"""What a reader reports in its session, and what of it is fresh.

Portable and sans-io. Source: SIA OSDP 2.2, section 7. Cards and keys that a reader kept from before the session
are dropped: who stood there then may be gone. So until it once has nothing to say (ACK to a POLL) nothing that was
presented counts, and only then is it called on line.
"""

from . import messages
from .facts import Card, InputStates, Keys, OutputStates, Power, Tamper

_LARGEST_BACKLOG = 64  # answers after which a reader that always has something to say is called on line


class Reports:
    """`begin` with each session; `take` each reply in it. `questions`: commands to ask once."""

    def __init__(self):
        self.tamper = None
        self.power_failed = None
        self.last_card_ms = None
        self.stale = 0  # cards and keys dropped
        self.forget()

    def forget(self):
        """The session is over."""
        self.is_stale = True
        self._stale_polls = 0
        self._inputs = None
        self.questions = ()

    def begin(self, capabilities):
        """A session begins."""
        self.forget()
        inputs = messages.capability(capabilities, messages.CAP_INPUTS)
        has_inputs = inputs is not None and inputs[1] > 0
        self.questions = (messages.LSTAT, messages.ISTAT) if has_inputs else (messages.LSTAT,)

    def next_question(self):
        """The code of a command that is due once, or None."""
        if not self.questions:
            return None
        code, self.questions = self.questions[0], self.questions[1:]
        return code

    def take(self, value, now_ms):
        """What an authentic reply tells, as a tuple of facts."""
        if isinstance(value, messages.LocalStatus):
            return self._take_status(value)
        if isinstance(value, messages.Inputs):
            return self._take_inputs(value)
        if isinstance(value, messages.Outputs):
            return (OutputStates(_bools(value.states)),)
        if self.is_stale:
            self.stale += isinstance(value, (messages.Keypad, messages.Raw, messages.Formatted))
            return ()
        return self.take_presented(value, now_ms, True)

    def take_presented(self, value, now_ms, is_secure):
        """A card or keys, or ()."""
        if isinstance(value, messages.Keypad):
            return (Keys(value.keys, is_secure),)
        if isinstance(value, messages.Raw):
            self.last_card_ms = now_ms
            return (Card(value.bits, value.data, is_secure),)
        if isinstance(value, messages.Formatted):
            self.last_card_ms = now_ms
            return (Card(0, value.text, is_secure),)
        return ()

    def is_drained(self, value, sent_code):
        """Whether this reply was the last from before: asked once an answer, while `is_stale`."""
        self._stale_polls += 1
        is_empty = sent_code == messages.POLL and isinstance(value, messages.Ack)
        self.is_stale = not is_empty and self._stale_polls <= _LARGEST_BACKLOG
        return not self.is_stale

    def _take_status(self, value):
        facts = ()
        tamper, failed = value.tamper != 0, value.power != 0
        if tamper != self.tamper and (tamper or self.tamper is not None):
            facts = facts + (Tamper(tamper),)
        if failed != self.power_failed and (failed or self.power_failed is not None):
            facts = facts + (Power(failed),)
        self.tamper, self.power_failed = tamper, failed
        return facts

    def _take_inputs(self, value):
        if value.states == self._inputs:
            return ()
        self._inputs = value.states
        # While what the reader kept from before comes, only how they stand in the end: no press from before counts.
        return () if self.is_stale else self.inputs_now()

    def inputs_now(self):
        """How the inputs stand, as far as it was said in this session."""
        return () if self._inputs is None else (InputStates(_bools(self._inputs)),)


def _bools(states):
    return tuple([state != 0 for state in states])
