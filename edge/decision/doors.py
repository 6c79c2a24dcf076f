"""All doors of a controller: their states, what stands open, lockdown and mantraps.

Portable. Methods return outputs; what a door says of itself (door.Alarm, door.Note) becomes a record here.
"""

from edge.decision import events, model, reasons
from edge.decision.door import STANDING, Alarm, Door, Note
from edge.decision.standing import Standing


class Doors:
    """`contacts`: ids of the doors that have a door position switch. `bare_rows`: rows.Door values that exist without
    a policy, so that exit buttons always work. `by_id`: door.Door by id."""

    def __init__(self, contacts, bare_rows):
        self._contacts = set(contacts)
        self._bare_rows = tuple(bare_rows)
        self._index = None
        self.by_id = {}
        self._standing = {}  # door → Standing
        self._first_cards = {}  # door → utc seconds until which a first card from before the start counts
        self.locked_down = set()  # door ids, "" for all: what was commanded here
        self._set_rows(())

    def use(self, index):
        """Take over the doors of a policy."""
        self._index = index
        return self._set_rows(index.doors.values())

    def restart(self, first_cards, locked_down):
        """Every door afresh. Every strike is told to lock, since a pulse may have been running; what shall stand open
        is told so afterwards."""
        self._first_cards = first_cards
        self.locked_down = locked_down
        self._standing = {door_id: Standing(first_cards.get(door_id, 0)) for door_id in self.by_id}
        self.by_id = {door_id: Door(door.row, door.has_contact) for door_id, door in self.by_id.items()}
        self._sort()
        return [model.Strike(door.row.id, output, model.LOCK) for door in self._in_order for output in door.row.outputs]

    def due(self, moment):
        """Everything whose time has come."""
        outputs = []
        for door in self._in_order:
            outputs.extend(self._told(door, door.due(moment.mono_ms), moment))
        return outputs

    def next_due(self, moment):
        """The monotonic times at which something may be due, some of them None."""
        times = [door.next_due() for door in self.by_id.values()]
        return times + [standing.next_due(moment) for standing in self._standing.values()]

    def stand(self, moment):
        """Begin or cease to stand open, where that is due."""
        outputs = []
        for door in self._in_order:
            door_id = door.row.id
            wanted = self._standing[door_id].wanted(self._index, door.row, self.is_locked_down(door_id), moment)
            moved = door.stand(wanted, moment.mono_ms)
            if moved:
                outputs.append(events.info(moment, "standing-open" if wanted else "standing-over", door_id))
                outputs.extend(self._told(door, moved, moment))
        return outputs

    def release(self, door_id, output, is_extended, moment, for_exit=False):
        """Unlock an output ("" the main strike) for the door's time, or its longer one."""
        door = self.by_id[door_id]
        ms = door.row.extended_ms if is_extended else door.row.unlock_ms
        moved = door.release(output or door.row.outputs[0], ms, moment.mono_ms, for_exit)
        return self._told(door, moved, moment)

    def lock(self, door_id, moment):
        """End the door's pulses, but for an exit's."""
        door = self.by_id[door_id]
        return self._told(door, door.lock(moment.mono_ms), moment)

    def contact(self, door_id, is_open, moment):
        """The leaf opened or closed."""
        door = self.by_id[door_id]
        return self._told(door, door.contact(is_open, moment.mono_ms), moment)

    def hold(self, door_id, until_mono_ms):
        """Stand open until then; None ends a hold."""
        self._standing[door_id].hold(until_mono_ms)

    def is_held(self, door_id):
        """Whether a hold is in force."""
        return self._standing[door_id].is_held()

    def first_card_shown(self, door_id, moment):
        """A badge or code was granted. Returns what is to be kept, where that is a first card."""
        until_s = self._standing[door_id].first_card_shown(self._index, self.by_id[door_id].row, moment)
        return [model.Keep("first-card:" + door_id, b"%d" % until_s)] if until_s else []

    def may_still_pass(self, door_id):
        """Whether whoever was let through may still open the leaf."""
        door = self.by_id.get(door_id)
        return door is not None and (door.pulse_running() or door.state == STANDING)

    def refusal(self, door_id):
        """Why nobody at all may open this door now, or ""."""
        if self.is_locked_down(door_id):
            return reasons.LOCKDOWN
        return reasons.INTERLOCK if self.is_interlocked(door_id) else ""

    def is_locked_down(self, door_id):
        """By a command here, or by the policy."""
        if self.locked_down and ("" in self.locked_down or door_id in self.locked_down):
            return True
        lasting = self._index.lockdowns if self._index is not None else ()
        return bool(lasting) and ("" in lasting or door_id in lasting)

    def is_interlocked(self, door_id):
        """Another door of the mantrap is open or about to be."""
        door = self.by_id.get(door_id)
        for other_id in door.row.interlock if door is not None else ():
            other = self.by_id[other_id]
            if other.leaf_open or other.pulse_running() or other.state == STANDING:
                return True
        return False

    def _set_rows(self, policy_rows):
        """A door that stays keeps its state; one that goes, or whose outputs have other names, is locked."""
        outputs = []
        wanted = {row.id: row for row in policy_rows}
        for row in self._bare_rows:
            wanted.setdefault(row.id, row)
        for door_id in sorted(self.by_id):
            door = self.by_id[door_id]
            if door_id not in wanted or wanted[door_id].outputs != door.row.outputs:
                del self.by_id[door_id]
                outputs.extend([model.Strike(door_id, output, model.LOCK) for output in door.row.outputs])
        for row in wanted.values():
            if row.id in self.by_id:
                self.by_id[row.id].row = row
            else:
                self.by_id[row.id] = Door(row, row.id in self._contacts)
            if row.id not in self._standing:
                self._standing[row.id] = Standing(self._first_cards.get(row.id, 0))
            self._standing[row.id].replace_policy()
        self._standing = {door_id: self._standing[door_id] for door_id in self.by_id}
        self._sort()
        return outputs

    def _sort(self):
        """MicroPython's dicts have no order, and what happens must not depend on one."""
        self._in_order = [self.by_id[door_id] for door_id in sorted(self.by_id)]

    def _told(self, door, outputs, moment):
        """A door's own words, with its alarms and notes as records."""
        result = []
        for output in outputs:
            if isinstance(output, Alarm):
                result.append(events.alarm(moment, output.kind, door.row.id))
                result.extend([model.Indicate(reader, output.kind) for reader in self._readers_of(door.row.id)])
            elif isinstance(output, Note):
                result.append(events.info(moment, output.what, door.row.id))
            else:
                result.append(output)
        return result

    def _readers_of(self, door_id):
        if self._index is None:
            return []
        return [row.id for row in self._index.readers.values() if row.door == door_id]
