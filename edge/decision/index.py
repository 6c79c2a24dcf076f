"""A policy image, ready to be asked: who is this, what may they, and is it time.

Portable: runs on CPython and MicroPython. Reads any buffer with `find` (bytes, mmap). The small tables are
unpacked when the image is opened; credentials and displays are searched in place.
"""

import struct

from edge.decision import policy, rows
from edge.decision.model import CODE, REMOTE
from edge.decision.schedule import BUILT_IN, LocalTime, WeekType

_unpack_from = struct.unpack_from
_READ = 4096  # entitlements and matches kept as they were read
_NO_DOORS = {}  # type: ignore[var-annotated]


class ImageError(ValueError):
    """Not an image that this version reads: rebuild it from the rows."""


class Index:
    """An open image. Public: version (epoch, revision), digest, site, doors, readers, panels, schedules,
    areas, lockdowns; each a dict by id. names_persons: whether events say who came. An index does not change: `changed`
    gives another one."""

    def __init__(self, buffer):
        if len(buffer) < policy.BODY or bytes(buffer[:4]) != policy.MAGIC:
            raise ImageError("not a policy image")
        _, form, self._width, epoch, revision, self.digest, self.checksum, length = struct.unpack_from(
            policy.HEADER, buffer, 0
        )
        if form != policy.FORMAT or length != len(buffer):
            raise ImageError("a policy image of format %d and %d bytes, %d seen" % (form, length, len(buffer)))
        self.version = (epoch, revision)
        self._overlay = {}  # credentials that changed since the image was made: {(medium, number): entitlement or None}
        self._display_overlay = {}  # likewise, {packed key: packed row or None}
        self._buffer = buffer
        self._find = buffer.find
        self._record_size = 8 + self._width
        self._number_kind = ">H" if self._width == 2 else ">I"
        self._read = {}
        try:
            self._read_contents()
            self._small_rows = self._read_small_rows()
            self._arrange()
        except Exception as error:  # whatever damage led to: the caller makes the image anew
            raise ImageError("the contents of the policy image make no sense (%s)" % type(error).__name__)  # noqa: B904

    def verify(self, checksum):
        """Whether the image's bytes are those that were compiled. `checksum`: bytes → U32 (crc32)."""
        return checksum(memoryview(self._buffer)[policy.HEADER_SIZE :]) == self.checksum

    def _read_contents(self):
        at = policy.HEADER_SIZE
        self._sections = {}
        for medium in policy.MEDIA:
            first, count, buckets = struct.unpack_from(policy.SECTION, self._buffer, at)
            at += policy.SECTION_SIZE
            if count:
                self._sections[medium] = (first, buckets, first + 4 * (buckets + 1))
        tables = []
        for _ in range(3):
            tables.append(struct.unpack_from(policy.TABLE, self._buffer, at))
            at += policy.TABLE_SIZE
        self._small, self._displays, self._entitlements = tables

    def _read_small_rows(self):
        """{packed key: row value}; a group, the largest kind of row, stays packed until it is asked."""
        found = {}
        at, count = self._small
        for _ in range(count):
            (length,) = struct.unpack_from(">I", self._buffer, at)
            packed = bytes(self._buffer[at + 4 : at + 4 + length])
            at += 4 + length
            if packed[0] == 0:
                self._outputs = packed[1:].decode().split("\n")
            else:
                found[rows.key_of(packed)] = packed if packed[0] == rows.GROUP else rows.unpack(packed)
        return found

    def changed(self, packed_rows, gone, version, digest):
        """The index of a light change (policy.is_light): this one's image, with newer rows over it. PolicyError
        where a row refers to what is not there."""
        other = Index(self._buffer)
        other.version, other.digest = version, digest
        other._overlay = dict(self._overlay)
        other._display_overlay = dict(self._display_overlay)
        other._small_rows = dict(self._small_rows)
        # Once: gathered anew for each row, a delta of 10,000 rows held the loop up for seconds.
        other._named = set(self._outputs) | {entry[5] for entry in other._overlay.values() if entry is not None}
        for key in gone:
            other._set(key, None)
        known = {}  # what many credentials of a change have in common is unpacked and checked once
        for packed in packed_rows:
            if packed[0] == rows.CREDENTIAL:
                medium, number, shared = rows.cut_credential(packed)
                if shared not in known:
                    known[shared] = other._entitlement_of(rows.unpack(packed))
                other._overlay[(medium, number)] = known[shared]
            else:
                other._set(rows.key_of(packed), packed)
        other._arrange()
        return other

    def overlaid(self):
        """How many rows lie over the image."""
        return len(self._overlay) + len(self._display_overlay)

    def _set(self, key, packed):
        """Set or (None) delete the row of that key; a credential's is only deleted here."""
        if key[0] == rows.CREDENTIAL:
            self._overlay[struct.unpack(">BQ", key[1:])] = None
        elif key[0] == rows.DISPLAY:
            if packed is not None:
                row = rows.unpack(packed)
                known = row.panel in [panel.id for panel in self.panels.values()]
                policy.require(known and row.auto_open in self.schedules, row, "its panel or week type does not exist")
                policy.require(len(row.numbers) <= 3, row, "it has more than three numbers")
            self._display_overlay[key] = packed
        elif packed is None:
            self._small_rows.pop(key, None)
        else:
            self._small_rows[key] = packed if key[0] == rows.GROUP else rows.unpack(packed)

    def _entitlement_of(self, row):
        policy.check_credential(row)
        self._named.add(row.output)
        policy.require(len(self._named) <= 255, row, "codes name more than 255 different outputs")
        policy.require(row.group in self._group_rows, row, "group %d does not exist" % row.group)
        return row.group, row.from_s, row.to_s, row.state, row.flags, row.output

    def _arrange(self):
        """Make of the small rows what is asked of them."""
        found = {}
        self._group_rows = {}
        self._groups = {}
        for key in sorted(self._small_rows):
            value = self._small_rows[key]
            if key[0] == rows.GROUP:
                self._group_rows[key[1] * 256 + key[2]] = value
            else:
                found.setdefault(type(value).__name__, []).append(value)
        self.site = found["Site"][0]
        self.areas = {row.id: row for row in found.get("Area", ())}
        self.doors = {row.id: row for row in found.get("Door", ())}
        self.readers = {row.id: row for row in found.get("Reader", ())}
        self.posts = {row.id: _post(row, self.doors[row.door], self.areas) for row in self.readers.values()}
        self.door_posts = {row.id: _post(None, row, self.areas) for row in self.doors.values()}
        self.panels = {row.door: row for row in found.get("Panel", ())}
        self.names_persons = all([row.names_persons for row in found.get("Privacy", ())])
        self.lockdowns = {row.door for row in found.get("Mode", ()) if row.lockdown}
        self.local_time = LocalTime(
            [(row.from_s, row.offset_s) for row in found.get("Offset", ())],
            [row.day for row in found.get("Holiday", ())],
        )
        self.schedule_names = {row.id: row.name for row in found.get("Schedule", ())}
        self.schedule_names[rows.ALWAYS], self.schedule_names[rows.NEVER] = "Always", "Never"
        self.schedules = {row.id: WeekType(row.intervals) for row in found.get("Schedule", ())}
        self.schedules.update(BUILT_IN)

    def group_name(self, group):
        """An access group's name, "" for one that does not exist."""
        return rows.unpack(self._group_rows[group]).name if group in self._group_rows else ""

    def _grants_of(self, group):
        """A group's grants, {door: ((output, media mask, button mask, schedule id), …)}, outputs by name."""
        if group not in self._groups:
            self._groups[group] = self._grants_by_door(rows.unpack(self._group_rows[group]))
        return self._groups[group]

    def _grants_by_door(self, group):
        by_door = {}
        for door, output, media, buttons, schedule in group.grants:
            grant = (output or self.doors[door].outputs[0], media, buttons, schedule)
            by_door[door] = by_door.get(door, ()) + (grant,)
        return by_door

    def entitlement(self, medium, number):
        """(group, from_s, to_s, state, flags, output) of a credential, or None where it is not known."""
        if self._overlay and (medium, number) in self._overlay:
            return self._overlay[(medium, number)]
        section = self._sections.get(medium)
        if section is None:
            return None
        starts, buckets, records = section
        buffer = self._buffer
        first, end = _unpack_from(">II", buffer, starts + number % buckets * 4)
        keys = records + first * self._record_size
        values = keys + 8 * (end - first)
        key = number.to_bytes(8, "big")
        at = self._find(key, keys, values)
        while at >= 0 and (at - keys) & 7:  # the bytes of a number may straddle two neighbours
            at = self._find(key, at + 1, values)
        if at < 0:
            return None
        which = _unpack_from(self._number_kind, buffer, values + ((at - keys) >> 3) * self._width)[0]
        return self._read.get(which) or self._read_entitlement(which)

    def _read_entitlement(self, which):
        """The entitlement of that number in the image, its output by name. Many credentials share one, so the
        latest are kept as they were read."""
        group, from_s, to_s, state, flags, output = _unpack_from(
            policy.ENTITLEMENT, self._buffer, self._entitlements[0] + which * policy.ENTITLEMENT_SIZE
        )
        if len(self._read) >= _READ:
            self._read.clear()
        known = self._read[which] = (group, from_s, to_s, state, flags, self._outputs[output])
        return known

    def matching(self, post, group, medium, button, own_output):
        """The grants of a group that match at a place (`post`: one of posts or door_posts): (output, schedules), or
        None where there are none. A badge, phone or mobile asks for the place's output; a code for the one it was given
        for, else the door's first; a remote for the one that its button's grant names."""
        if medium == CODE:
            asked = (group, own_output)
        else:
            asked = (group * 8 + medium) * 8 + (button if medium == REMOTE and 0 < button < 5 else 0)
        matches = post[4]
        try:
            return matches[asked]
        except KeyError:
            if len(matches) >= _READ:
                matches.clear()
            found = matches[asked] = self._match(post, group, medium, button, own_output)
            return found

    def _match(self, post, group, medium, button, own_output):
        door_id, door, output, _, _ = post
        if medium == CODE:
            output = own_output or door.outputs[0]
        press = 1 << (button - 1) if 0 < button < 5 else 0
        grants = self._grants_of(group) if group in self._group_rows else _NO_DOORS
        found = []
        for granted, media, buttons, schedule in grants.get(door_id, ()):
            if not media & (1 << medium):
                continue
            if (buttons & press) if medium == REMOTE else granted == output:
                output = granted  # a button's grants all name one output
                found.append(schedule)
        return (output, tuple(sorted(set(found)))) if found else None

    def display(self, panel, call_code):
        """The rows.Display behind a call code at a panel, or None."""
        key = bytes((rows.DISPLAY,)) + _text(panel) + _text(call_code)
        if key in self._display_overlay:
            packed = self._display_overlay[key]
            return None if packed is None else rows.unpack(packed)
        low, high = 0, self._displays[1]
        while low < high:
            middle = (low + high) // 2
            packed = self._display_at(middle)
            if packed[: len(key)] == key:
                return rows.unpack(packed)
            if packed < key:
                low = middle + 1
            else:
                high = middle
        return None

    def _display_at(self, which):
        first = self._displays[0]
        at = first + struct.unpack_from(">I", self._buffer, first + 4 * which)[0]
        (length,) = struct.unpack_from(">I", self._buffer, at)
        return bytes(self._buffer[at + 4 : at + 4 + length])

    def is_open(self, schedule, utc_s):
        """Whether the schedule of that id is open at an instant."""
        return self.schedules[schedule].is_open(self.local_time, utc_s)

    def next_change(self, schedule, utc_s):
        """When that schedule next opens or closes after an instant, or None."""
        return self.schedules[schedule].next_change(self.local_time, utc_s)


def _post(reader, door, areas):
    """What authorize asks of a place: (door id, door row, the output that a badge asks for, the area that is entered
    here or None, the matches worked out so far). Only `in` readers are asked about areas."""
    output = (reader.output if reader is not None else "") or door.outputs[0]
    enters = reader is not None and reader.direction == rows.IN and door.area_in
    return door.id, door, output, areas[door.area_in] if enters else None, {}


def _text(value):
    raw = value.encode()
    return struct.pack(">H", len(raw)) + raw
