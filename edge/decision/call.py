"""A call from a door's panel to a resident: mission rows B10 and B11.

Portable. Up to three numbers in turn, each rung for its delay; refused means the next one; who answers may press
the panel's open key. The controller owns the clock and the strike; a call says what to dial and how it ended.
"""

from edge.decision import model, reasons

TALK_MS = 120000  # an answered call that nobody ends
OPENED = "open"


class Call:
    """One running call. After each method `verdict` is None (it goes on), OPENED, or a reason of the denial."""

    def __init__(self, panel, display):
        self.panel = panel
        self.display = display
        self.verdict = None
        self.due_ms = None
        self._turn = -1
        self._answered = False
        self._refused = False

    def detail(self):
        """For the log: whom, and which number answered last."""
        turn = " number %d" % (self._turn + 1) if self._turn >= 0 else ""
        return "%s %s%s" % (self.display.call_code, self.display.name, turn)

    def dial_next(self, mono_ms):
        """Ring the next number, or end. Returns outputs."""
        if self._turn + 1 >= len(self.display.numbers):
            return self._end(reasons.REFUSED if self._refused else reasons.NOT_COMPLETED)
        self._turn += 1
        number, delay_s = self.display.numbers[self._turn]
        self._answered = False
        self._refused = False
        self.due_ms = mono_ms + delay_s * 1000
        return [model.Dial(self.panel.door, self.panel.id, number, delay_s)]

    def progress(self, what, key, mono_ms):
        """What the modem says of the call: "answered", "refused", "ended", "key". Returns outputs."""
        if what == "answered" and not self._answered:
            self._answered = True
            self.due_ms = mono_ms + TALK_MS
        elif what == "key" and self._answered and key == self.panel.open_key:
            return self._end(OPENED)
        elif what in ("refused", "ended"):
            if self._answered:
                return self._end(reasons.REFUSED)
            self._refused = what == "refused"
            return self.dial_next(mono_ms)
        return []

    def due(self, mono_ms):
        """The delay is over: the next number, or the end. Returns outputs."""
        if self.due_ms is None or mono_ms < self.due_ms:
            return []
        if self._answered:
            return self._end(reasons.REFUSED)
        return [model.HangUp(self.panel.door, self.panel.id)] + self.dial_next(mono_ms)

    def _end(self, verdict):
        self.verdict = verdict
        self.due_ms = None
        return [model.HangUp(self.panel.door, self.panel.id)]
