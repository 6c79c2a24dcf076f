"""The controller: every input in, outputs out. `handle(input, moment)` never calls out and never waits.

Portable. One task owns a Controller; it holds the doors, who is where, the lockout and the running calls. Outputs
come in the order in which the agent performs them: what locks, then an exit, then records, then what they allow.
"""

from edge.decision import events, model, reasons, rows
from edge.decision.authorize import Situation, authorize
from edge.decision.call import OPENED as CALL_OPENED
from edge.decision.call import Call
from edge.decision.door import STANDING
from edge.decision.doors import Doors
from edge.decision.lockout import Lockout
from edge.decision.passback import Passback

PAIR_MS = 10000  # a badge waits so long for its code
LONGEST_HOLD_MS = 86400000
_NOWHERE = (None, None, 0)


class Controller:
    """`contacts`: ids of the doors that have a door position switch. `bare_doors`: rows.Door values that exist
    without a policy, so that exit buttons always work."""

    def __init__(self, contacts=(), bare_doors=()):
        self._doors = Doors(contacts, bare_doors)
        self.index = None  # the policy in force, index.Index; None before the first
        self.lockout = Lockout()
        self.passback = Passback()
        self._learning = {}  # reader that is being used to commission → the outcome that it shows
        self._pairs = {}  # reader → (until mono_ms, the Presented badge, its credential's flags)
        self._passing = {}  # door → [(area, medium, number)]: who moves when the leaf opens
        self._calls = {}  # door → Call
        self._shown = {}  # reader → lasting outcome
        self._trusted = None
        self._log_failing = False

    @property
    def doors(self):
        """{id: door.Door}."""
        return self._doors.by_id

    def handle(self, happened, moment):
        """Take one input (a value of edge.decision.model) at a moment. Returns the outputs, in order."""
        before = self._clock_changed(moment)
        before.extend(self._due(moment))
        before.extend(self._doors.stand(moment))  # before the input: what it opens must outlast what just ended
        name = type(happened).__name__
        urgent, outputs = [], []
        if name == "ExitPressed":
            urgent = self._exit(happened, moment)
        else:
            outputs.extend(_HANDLERS[name](self, happened, moment))
        outputs.extend(self._doors.stand(moment))
        outputs.extend(self._show(moment))
        return _in_order(before, urgent, outputs)

    def next_deadline(self, moment):
        """The monotonic ms at which a Tick is due, or None."""
        times = self._doors.next_due(moment)
        times.extend([call.due_ms for call in self._calls.values()])
        times.extend([pair[0] for pair in self._pairs.values()])
        times.append(self.lockout.next_due())
        times = [at for at in times if at is not None]
        return min(times) if times else None

    def is_held(self, door_id):
        """Whether a hold is in force at a door."""
        return self._doors.is_held(door_id)

    def shown(self, reader_id):
        """The lasting outcome that a reader was told to show; "idle" before it was told any."""
        return self._shown.get(reader_id, "idle")

    def calls(self):
        """The doors whose panel is calling a resident now."""
        return sorted(self._calls)

    # --- what falls due -------------------------------------------------------------------------------------

    def _clock_changed(self, moment):
        if moment.trusted == self._trusted:
            return []
        first, self._trusted = self._trusted is None, moment.trusted
        if not moment.trusted:
            return [events.alarm(moment, reasons.CLOCK, detail="wall time is not trusted")]
        return [] if first else [events.info(moment, "clock-trusted")]

    def _due(self, moment):
        outputs = self._doors.due(moment)
        for door_id in [name for name in self._passing if not self._doors.may_still_pass(name)]:
            del self._passing[door_id]
        for reader in [name for name in self._pairs if self._pairs[name][0] <= moment.mono_ms]:
            del self._pairs[reader]
        for call in list(self._calls.values()):
            outputs.extend(self._settle(call, call.due(moment.mono_ms), moment))
        is_over, is_changed = self.lockout.due(moment.mono_ms)
        if is_over:
            outputs.append(events.info(moment, "lockout-over"))
        if is_changed:
            outputs.append(model.Keep("lockout", self.lockout.keep(moment)))
        return outputs

    def _tick(self, happened, moment):
        return []

    def _show(self, moment):
        """Each reader's lasting light, where it changed."""
        if self.index is None:
            return []
        outputs = []
        for reader_id in sorted(self.index.readers):  # MicroPython's dicts have no order
            reader = self.index.readers[reader_id]
            outcome = self._lasting(reader, moment)
            if self._shown.get(reader.id) != outcome:
                self._shown[reader.id] = outcome
                outputs.append(model.Indicate(reader.id, outcome))
        return outputs

    def _lasting(self, reader, moment):
        if reader.id in self._learning:
            return self._learning[reader.id]
        if self._doors.is_locked_down(reader.door):
            return "lockdown"
        if self.doors[reader.door].state == STANDING:
            return "standing-open"
        return "idle" if moment.trusted else "clock-untrusted"

    # --- what a person presents -----------------------------------------------------------------------------

    def _presented(self, presented, moment):
        pair = self._pairs.get(presented.reader, _NOWHERE) if presented.medium == model.CODE else _NOWHERE
        badge, badge_flags = pair[1], pair[2]
        situation = self.situation(presented, bool(badge), moment)
        if badge_flags & rows.EMERGENCY:  # the code that completes an emergency badge need not be one itself
            situation = Situation(*(situation[:2] + (False,) + situation[3:]))
        decision = authorize(self.index, presented, situation, moment)
        detail = "button %d" % presented.button if presented.medium == model.REMOTE else ""
        duress = decision.flags & rows.DURESS
        if badge and decision.granted:
            del self._pairs[presented.reader]
            decision = authorize(self.index, badge, self.situation(badge, True, moment), moment)
            duress = duress or decision.flags & rows.DURESS
            detail = "badge and code"
        outputs = [events.passage(decision, moment, detail)]
        if duress:
            outputs.append(events.alarm(moment, reasons.DURESS, decision.door, decision.reader, "", decision))
        if decision.granted:
            return outputs + self._grant(decision, moment)
        return outputs + self._refuse(decision, presented, moment)

    def situation(self, presented, paired, moment):
        """What `authorize` is told of the moment: authorize.Situation."""
        reader = self.index.readers.get(presented.reader) if self.index is not None else None
        door_id = reader.door if reader is not None else presented.door
        return Situation(
            presented.reader in self._learning,
            self.lockout.is_locked(moment.mono_ms),
            self._doors.is_locked_down(door_id),
            paired,
            self._doors.is_interlocked(door_id),
            self.passback,
        )

    def _grant(self, decision, moment):
        door = self.doors[decision.door]
        outputs = []
        if decision.soft:
            outputs.append(events.alarm(moment, reasons.PASSBACK, decision.door, decision.reader, "", decision))
        is_extended = bool(decision.flags & rows.EXTENDED)
        outputs.extend(self._doors.release(decision.door, decision.output, is_extended, moment))
        if decision.reader:
            outputs.append(model.Indicate(decision.reader, "granted"))
        outputs.extend(self._remember_passing(door, decision, moment))
        if decision.medium in (model.BADGE, model.CODE):
            outputs.extend(self._doors.first_card_shown(decision.door, moment))
        return outputs

    def _refuse(self, decision, presented, moment):
        outputs = []
        if decision.reason == reasons.UNKNOWN and decision.medium == model.CODE:
            if self.lockout.wrong(moment.mono_ms):
                outputs.append(events.alarm(moment, reasons.LOCKOUT, decision.door, decision.reader, "wrong codes"))
            outputs.append(model.Keep("lockout", self.lockout.keep(moment)))
        shown = "denied"
        if decision.reason == reasons.LOCKED_OUT:
            shown = "locked-out"
        elif decision.reason == reasons.CODE_NEEDED and decision.medium == model.BADGE:
            self._pairs[decision.reader] = (moment.mono_ms + PAIR_MS, presented, decision.flags)
            shown = "code-needed"
        if decision.reader and decision.reason != reasons.LEARNING:  # there its lasting light says all
            outputs.append(model.Indicate(decision.reader, shown))
        return outputs

    def _remember_passing(self, door, decision, moment):
        """Who was let through changes areas when the leaf opens; at once where nothing would tell."""
        reader = self.index.readers.get(decision.reader)
        if reader is None or not door.row.area_in or decision.output != door.row.outputs[0]:
            return []
        area = door.row.area_in if reader.direction == rows.IN else door.row.area_out
        move = (area, decision.medium, decision.number)
        if not door.has_contact or door.leaf_open:
            return self._move([move], moment)
        self._passing.setdefault(door.row.id, []).append(move)
        return []

    def _move(self, moves, moment):
        for area, medium, number in moves:
            self.passback.move(area, medium, number, moment)
        return [model.Keep("passback", self.passback.keep())] if moves else []

    # --- what happens at the door ---------------------------------------------------------------------------

    def _exit(self, pressed, moment):
        """The exit button asks nobody: the strike moves first, the record follows."""
        if pressed.door not in self.doors:
            return [events.info(moment, "exit-unknown-door", pressed.door)]
        moved = self._doors.release(pressed.door, "", False, moment, for_exit=True)
        return moved + [events.opening(moment, pressed.door, "exit", "", "exit", "")]

    def _contact(self, contact, moment):
        if contact.door not in self.doors:
            return []
        outputs = self._doors.contact(contact.door, contact.is_open, moment)
        if contact.is_open:
            outputs.extend(self._move(self._passing.pop(contact.door, []), moment))
        return outputs

    def _tamper(self, tamper, moment):
        where = tamper.source or "cabinet"
        if tamper.is_on:
            return [events.alarm(moment, reasons.TAMPER, tamper.door, tamper.source, where)]
        return [events.info(moment, "tamper-over", tamper.door, tamper.source, where)]

    def _reader_line(self, line, moment):
        door = self._door_of(line.reader)
        if line.is_online:
            return [events.info(moment, "reader-online", door, line.reader, line.detail)]
        self._pairs.pop(line.reader, None)
        return [events.alarm(moment, reasons.READER, door, line.reader, line.detail)]

    def _reader_alarm(self, alarm, moment):
        return [events.alarm(moment, reasons.READER, self._door_of(alarm.reader), alarm.reader, alarm.detail)]

    def _line_alarm(self, alarm, moment):
        return [events.alarm(moment, reasons.LINE, alarm.door, "", alarm.detail)]

    def _door_of(self, reader_id):
        reader = self.index.readers.get(reader_id) if self.index is not None else None
        return reader.door if reader is not None else ""

    # --- calls ----------------------------------------------------------------------------------------------

    def _call_started(self, started, moment):
        panel = self.index.panels.get(started.door) if self.index is not None else None
        display = self.index.display(panel.id, started.call_code) if panel is not None else None
        outputs = []
        if started.door in self._calls:
            running = self._calls[started.door]
            running.verdict = reasons.NOT_COMPLETED
            outputs = self._settle(running, [model.HangUp(started.door, running.panel.id)], moment)
        reason = reasons.UNKNOWN if display is None else self._doors.refusal(started.door)
        if reason:
            return outputs + [events.denial(moment, started.door, "call", reason, started.call_code)]
        call = Call(panel, display)
        if moment.trusted and self.index.is_open(display.auto_open, moment.utc_ms // 1000):
            call.verdict = CALL_OPENED
            return outputs + self._settle(call, [], moment)
        if not moment.trusted and display.auto_open == rows.ALWAYS:
            call.verdict = CALL_OPENED
            return outputs + self._settle(call, [], moment)
        self._calls[started.door] = call
        return outputs + self._settle(call, call.dial_next(moment.mono_ms), moment)

    def _call_progress(self, progress, moment):
        call = self._calls.get(progress.door)
        if call is None:
            return []
        return self._settle(call, call.progress(progress.what, progress.key, moment.mono_ms), moment)

    def _settle(self, call, outputs, moment):
        """Where a call has ended, say how; where the resident opened, open."""
        if call.verdict is None:
            return outputs
        panel = call.panel
        self._calls.pop(panel.door, None)
        reason = self._doors.refusal(panel.door) if call.verdict == CALL_OPENED else call.verdict
        if reason:
            return outputs + [events.denial(moment, panel.door, "call", reason, call.detail(), panel.modem)]
        main = self.doors[panel.door].row.outputs[0]
        moved = self._doors.release(panel.door, "", False, moment)
        return outputs + [events.opening(moment, panel.door, "call", "", main, call.detail(), panel.modem)] + moved

    # --- what the manager and the machine say ---------------------------------------------------------------

    def _command(self, command, moment):
        if command.door and command.door not in self.doors:
            return [events.denial(moment, command.door, "command", reasons.UNKNOWN, command.action)]
        if command.action == "open" or command.action == "hold":
            outputs = []
            for door_id in [command.door] if command.door else sorted(self.doors):
                outputs.extend(self._commanded_open(command, door_id, moment))
            return outputs
        outputs = []
        if command.action == "lockdown":
            self._doors.locked_down.add(command.door)
            for door_id in [command.door] if command.door else sorted(self.doors):
                outputs.extend(self._doors.lock(door_id, moment))
        elif command.action == "release":
            self._doors.locked_down = self._doors.locked_down - {command.door} if command.door else set()
            self._end_holds(command.door)
        elif command.action == "unhold":
            self._end_holds(command.door)
        elif command.action == "forgive":
            self.passback.forgive()
            self._passing = {}
        else:
            return [events.denial(moment, command.door, "command", reasons.UNKNOWN, command.action)]
        said = "release" if command.action == "unhold" else command.action
        return outputs + [
            events.info(moment, said, command.door, "", command.who),
            model.Keep("passback", self.passback.keep()),
            model.Keep("lockdown", _lines(self._doors.locked_down)),
        ]

    def _commanded_open(self, command, door_id, moment):
        reason = self._doors.refusal(door_id)
        if reason:
            return [events.denial(moment, door_id, "command", reason, command.who)]
        main = self.doors[door_id].row.outputs[0]
        if command.action == "hold":
            if not moment.trusted:  # its end would be anywhere
                return [events.denial(moment, door_id, "command", reasons.CLOCK_UNTRUSTED, command.who)]
            left_ms = min(command.until_ms - moment.utc_ms, LONGEST_HOLD_MS)
            if left_ms <= 0:
                return [events.denial(moment, door_id, "command", reasons.EXPIRED, command.who)]
            self._doors.hold(door_id, moment.mono_ms + left_ms)
            return [events.opening(moment, door_id, "command", "hold", main, command.who)]
        moved = self._doors.release(door_id, "", False, moment)
        return [events.opening(moment, door_id, "command", "", main, command.who)] + moved

    def _end_holds(self, door_id):
        for held_id in [door_id] if door_id else sorted(self.doors):
            self._doors.hold(held_id, None)

    def _policy_replaced(self, replaced, moment):
        before, self.index = self.index, replaced.index
        outputs = self._doors.use(self.index)
        for door_id in [name for name in sorted(self.doors) if self._doors.is_locked_down(name)]:
            outputs.extend(self._doors.lock(door_id, moment))
        for call in [call for door, call in self._calls.items() if self.index.panels.get(door) != call.panel]:
            call.verdict = reasons.NOT_COMPLETED
            outputs.extend(self._settle(call, [model.HangUp(call.panel.door, call.panel.id)], moment))
        self._shown = {reader: shown for reader, shown in self._shown.items() if reader in self.index.readers}
        if before is not None and before.version == self.index.version:
            return outputs  # the same policy in a new image
        return outputs + [events.info(moment, "policy", detail="epoch %d revision %d" % self.index.version)]

    def _started(self, started, moment):
        """Take up what was kept."""
        kept = started.kept
        self.lockout.restore(kept.get("lockout", b""), moment)
        self.passback.restore(kept.get("passback", b""), moment)
        prefix = "first-card:"
        first_cards = {name[len(prefix) :]: int(kept[name]) for name in kept if name.startswith(prefix)}
        locks = self._doors.restart(first_cards, set(kept.get("lockdown", b"").decode().split("\n")[:-1]))
        return [events.info(moment, "started", detail=started.detail)] + locks

    def _log_trouble(self, trouble, moment):
        """The log cannot be written. A door that denies then is locked again, and says so."""
        outputs = []
        door = self.doors.get(trouble.door)
        if door is not None and door.row.deny_on_log_failure:
            outputs.append(events.denial(moment, trouble.door, "", reasons.LOG_FAILURE, trouble.detail))
            outputs.extend(self._doors.lock(trouble.door, moment))
            self._passing.pop(trouble.door, None)
        if not self._log_failing:
            self._log_failing = True
            outputs.append(events.alarm(moment, reasons.LOG, detail=trouble.detail))
        return outputs

    def _log_alarm(self, alarm, moment):
        return [events.alarm(moment, reasons.LOG, detail=alarm.detail)]

    def _agent_alarm(self, alarm, moment):
        return [events.alarm(moment, reasons.AGENT, detail=alarm.detail)]

    def _learning_reader(self, learning, moment):
        self._learning.pop(learning.reader, None)
        if learning.outcome:
            self._learning[learning.reader] = learning.outcome
            self._pairs.pop(learning.reader, None)
        return []

    def _password_alarm(self, alarm, moment):
        return [events.alarm(moment, reasons.LOCKOUT, detail=alarm.detail)]

    def _noted(self, noted, moment):
        return [events.info(moment, noted.what, noted.door, noted.reader, noted.detail)]

    def _log_recovered(self, recovered, moment):
        self._log_failing = False
        return [events.info(moment, "log-recovered", detail="%d events were recorded late" % recovered.late)]


_HANDLERS = {
    "Tick": Controller._tick,
    "Presented": Controller._presented,
    "Contact": Controller._contact,
    "Tamper": Controller._tamper,
    "ReaderLine": Controller._reader_line,
    "ReaderAlarm": Controller._reader_alarm,
    "LineAlarm": Controller._line_alarm,
    "CallStarted": Controller._call_started,
    "CallProgress": Controller._call_progress,
    "Command": Controller._command,
    "PolicyReplaced": Controller._policy_replaced,
    "Started": Controller._started,
    "Noted": Controller._noted,
    "LogTrouble": Controller._log_trouble,
    "LogAlarm": Controller._log_alarm,
    "AgentAlarm": Controller._agent_alarm,
    "LearningReader": Controller._learning_reader,
    "PasswordAlarm": Controller._password_alarm,
    "LogRecovered": Controller._log_recovered,
}


def _lines(words):
    """Words as bytes, a line each; nothing for none."""
    return b"".join([word.encode() + b"\n" for word in sorted(words)])


def _in_order(before, urgent, outputs):
    """What locks waits for nothing, nor does the rest of a pulse that was recorded when it began; an exit waits for no
    record; what a record allows comes after it. A lock that follows the release of the same output stays behind it."""
    early, records, others = [], [], []
    released = set()
    for output in before + outputs:
        if isinstance(output, (model.Record, model.Keep)):
            records.append(output)
        elif not isinstance(output, model.Strike):
            others.append(output)
        elif output.ms == model.LOCK and (output.door, output.output) not in released:
            early.append(output)
        else:
            released.add((output.door, output.output))
            is_rest = output.ms > 0 and any([output is earlier for earlier in before])
            (early if is_rest else others).append(output)
    return early + urgent + records + others
