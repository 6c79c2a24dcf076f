"""One door: its leaf, its strike, its other outputs. A transition table; nothing else assigns the state.

Portable. The first output is the main strike, which the door position switch watches; the others are pulsed only.
Methods return outputs in the controller's words: model.Strike, and Alarm and Note, of which it makes events.
"""

from collections import namedtuple

from edge.decision import model, reasons

SECURE = "secure"
UNLOCKED = "unlocked"  # released for a pulse, leaf closed
OPENED = "open"  # the leaf is open, rightly
HELD = "held"  # open for too long
FORCED = "forced"  # opened while locked
STANDING = "standing-open"  # released until told otherwise: week type, first card, hold

_ALARM_FORCED = ("alarm", reasons.FORCED)
_ALARM_HELD = ("alarm", reasons.HELD)
_WATCH = ("watch", "")
_RELOCK = ("relock", "")
_STAND = ("stand", "")
_LOCK = ("lock", "")
_FINISH = ("finish", "")

# (state, stimulus) → (new state, actions). A pair that is not here changes nothing.
TABLE = {
    (SECURE, "released"): (UNLOCKED, ()),
    (SECURE, "leaf-opened"): (FORCED, (_ALARM_FORCED,)),
    (SECURE, "stand"): (STANDING, (_STAND,)),
    (UNLOCKED, "pulse-over"): (SECURE, ()),
    (UNLOCKED, "leaf-opened"): (OPENED, (_WATCH, _RELOCK)),
    (UNLOCKED, "stand"): (STANDING, (_STAND,)),
    (OPENED, "released"): (OPENED, (_WATCH,)),
    (OPENED, "leaf-closed"): (SECURE, ()),
    (OPENED, "leaf-closed-in-pulse"): (UNLOCKED, ()),
    (OPENED, "held-due"): (HELD, (_ALARM_HELD,)),
    (OPENED, "stand"): (STANDING, (_STAND,)),
    (HELD, "released"): (OPENED, (_WATCH,)),
    (HELD, "leaf-closed"): (SECURE, ()),
    (HELD, "leaf-closed-in-pulse"): (UNLOCKED, ()),
    (HELD, "stand"): (STANDING, (_STAND,)),
    (FORCED, "released"): (OPENED, (_WATCH,)),
    (FORCED, "leaf-closed"): (SECURE, ()),
    (FORCED, "leaf-closed-in-pulse"): (UNLOCKED, ()),
    (FORCED, "stand"): (STANDING, (_STAND,)),
    (STANDING, "stand-over"): (SECURE, (_LOCK,)),
    (STANDING, "stand-over-ajar"): (OPENED, (_LOCK, _WATCH)),
    (STANDING, "stand-over-in-pulse"): (UNLOCKED, (_FINISH,)),
    (STANDING, "stand-over-ajar-in-pulse"): (OPENED, (_FINISH, _WATCH)),
    (STANDING, "released"): (STANDING, (_STAND,)),
}


class Alarm(namedtuple("Alarm", ("kind",))):
    """An alarm of this door, a word of reasons.ALARMS."""

    __slots__ = ()


class Note(namedtuple("Note", ("what",))):
    """Something worth a line in the log that is no passage and no alarm."""

    __slots__ = ()


class Door:
    """The state of one door. `row`: rows.Door; `has_contact`: a door position switch is wired."""

    def __init__(self, row, has_contact):
        self.row = row
        self.has_contact = has_contact
        self.state = SECURE
        self.leaf_open = False
        self._pulses = {}  # output → due, monotonic ms
        self._held_due_ms = None
        self._for_exit = False  # the main strike's pulse was asked for by an exit button

    def release(self, output, ms, mono_ms, for_exit=False):
        """Unlock an output for `ms`. An exit's pulse is not cut short by `lock`."""
        is_main = output == self.row.outputs[0]
        if is_main:
            self._for_exit = for_exit or (self._for_exit and output in self._pulses)
        self._pulses[output] = max(mono_ms + ms, self._pulses.get(output, 0))
        if is_main and self.state == STANDING:  # the pulse counts where the door ceases to stand open meanwhile
            return self._go("released", mono_ms)
        strike = model.Strike(self.row.id, output, self._pulses[output] - mono_ms)
        return [strike] + (self._go("released", mono_ms) if is_main else [])

    def contact(self, is_open, mono_ms):
        """The leaf opened or closed; a repeated reading changes nothing."""
        if is_open == self.leaf_open:
            return []
        self.leaf_open = is_open
        if is_open:
            return self._go("leaf-opened", mono_ms) + [Note("door-opened")]
        self._held_due_ms = None
        stimulus = "leaf-closed-in-pulse" if self.row.outputs[0] in self._pulses else "leaf-closed"
        return self._go(stimulus, mono_ms) + [Note("door-closed")]

    def stand(self, wanted, mono_ms):
        """Stand open from now on, or no longer."""
        if wanted == (self.state == STANDING):
            return []
        if wanted:
            return self._go("stand", mono_ms)
        stimulus = "stand-over-ajar" if self.leaf_open else "stand-over"
        return self._go(stimulus + "-in-pulse" if self.pulse_running() else stimulus, mono_ms)

    def lock(self, mono_ms):
        """End every pulse but an exit's at once: a record failed at a door that denies then, or a lockdown."""
        outputs = []
        main = self.row.outputs[0]
        for output in [name for name in self._pulses if name != main or not self._for_exit]:
            outputs.extend(self._end_pulse(output, mono_ms))
        return outputs

    def due(self, mono_ms):
        """Everything whose time has come."""
        outputs = []
        for output in [name for name in self._pulses if self._pulses[name] <= mono_ms]:
            outputs.extend(self._end_pulse(output, mono_ms))
        if self._held_due_ms is not None and self._held_due_ms <= mono_ms:
            self._held_due_ms = None
            outputs.extend(self._go("held-due", mono_ms))
        return outputs

    def _end_pulse(self, output, mono_ms):
        del self._pulses[output]
        if output != self.row.outputs[0]:
            return [model.Strike(self.row.id, output, model.LOCK)]
        if self.state == STANDING:
            return []
        return [model.Strike(self.row.id, output, model.LOCK)] + self._go("pulse-over", mono_ms)

    def next_due(self):
        """The next monotonic ms at which `due` has something to do, or None."""
        times = list(self._pulses.values())
        if self._held_due_ms is not None:
            times.append(self._held_due_ms)
        return min(times) if times else None

    def pulse_running(self):
        """Whether the main strike is in a pulse."""
        return self.row.outputs[0] in self._pulses

    def _go(self, stimulus, mono_ms):
        self.state, actions = TABLE.get((self.state, stimulus), (self.state, ()))
        outputs = []
        for verb, word in actions:
            outputs.extend(self._act(verb, word, mono_ms))
        return outputs

    def _act(self, verb, word, mono_ms):
        main = self.row.outputs[0]
        if verb == "alarm":
            return [Alarm(word)]
        if verb == "watch":
            self._held_due_ms = mono_ms + self.row.held_open_s * 1000 if self.row.held_open_s else None
        elif verb == "stand":
            self._held_due_ms = None
            return [model.Strike(self.row.id, main, model.HOLD)]
        elif verb == "finish":
            return [model.Strike(self.row.id, main, self._pulses[main] - mono_ms)]
        elif verb == "lock" or (verb == "relock" and self.row.relock_on_open):
            self._pulses.pop(main, None)
            return [model.Strike(self.row.id, main, model.LOCK)]
        return []
