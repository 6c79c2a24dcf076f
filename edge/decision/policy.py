"""From rows to an image, and the value that a verified policy message is.

Portable: runs on CPython and MicroPython. `compile_image` packs a policy's rows into one read-only bytes image that
`index.Index` reads in place: from memory, a mapped file, or flash. Layout (big-endian):

    header  HEADER: magic, format, width, epoch, revision, digest, checksum, total length
    toc     five of SECTION: one a medium 1-5: first byte, count, buckets
    toc     TABLE x 3: (first byte, count) of small rows, displays, entitlements
    small   each row of the small tables: U32 length, packed row
    displays  count U32 offsets, in key order, then the packed rows behind U32 lengths
    entitlements  each ENTITLEMENT: what many credentials share (group, validity, state, flags, output)
    credentials, by medium: buckets + 1 U32 record numbers, then the buckets; a number's bucket is its remainder by
            their (prime) count; a bucket of n records is n 8-byte numbers and then n entitlement numbers of `width`
            bytes, so that one `find` searches it

The rows stay the truth: an image names the version and the digest of the rows that it was made from.
"""

import struct
from collections import namedtuple

from edge.decision import rows

MAGIC = b"VNTL"
FORMAT = 1
HEADER = ">4sHHIQ32sIQ"
SECTION = ">QII"
TABLE = ">QI"
ENTITLEMENT = ">HqqBBB"
HEADER_SIZE = struct.calcsize(HEADER)
SECTION_SIZE = struct.calcsize(SECTION)
TABLE_SIZE = struct.calcsize(TABLE)
ENTITLEMENT_SIZE = struct.calcsize(ENTITLEMENT)
BODY = HEADER_SIZE + 5 * SECTION_SIZE + 3 * TABLE_SIZE
MEDIA = (1, 2, 3, 4, 5)
_BUCKET = 10  # records a bucket on average: they share 4 bytes of offset


class PolicyError(ValueError):
    """Rows that no policy can hold. The message names the row and the reason."""


class VerifiedDelta(
    namedtuple(
        "VerifiedDelta",
        ("site_uid", "controller", "epoch", "from_revision", "to_revision", "rows", "gone", "digest"),
    )
):
    """A policy change whose signature, addressee and form were checked. Only uplink.signing makes one.
    rows: packed rows to set. gone: packed keys to delete. from_revision 0: a snapshot, which replaces everything.
    digest: of all rows afterwards."""

    __slots__ = ()
    site_uid: bytes
    controller: bytes
    epoch: int
    from_revision: int
    to_revision: int
    rows: "tuple[bytes, ...]"
    gone: "tuple[bytes, ...]"
    digest: bytes


def is_light(packed_rows, gone):
    """Whether a change touches only credentials, displays and modes: then it can lie over an image."""
    light = (rows.CREDENTIAL, rows.DISPLAY, rows.MODE)
    return all([packed[0] in light for packed in packed_rows]) and all([key[0] in light for key in gone])


def compile_image(packed_rows, version, digest, checksum):
    """The image of a policy. `packed_rows`: an iterable of packed rows; version: (epoch, revision); digest: 32
    bytes; checksum: bytes → U32 (crc32). PolicyError where the rows contradict each other."""
    small, displays, credentials = [], [], {medium: [] for medium in MEDIA}
    entitlements, numbers, outputs, keys = [], {}, {"": 0}, set()
    for packed in packed_rows:
        table = packed[0]
        if table == rows.CREDENTIAL:
            medium, number, shared = rows.cut_credential(packed)  # twins are found in their bucket
            entitlement = numbers.get(shared)
            if entitlement is None:
                entitlement = numbers[shared] = len(entitlements)
                entitlements.append(_entitlement(rows.unpack(packed), outputs))
            credentials[medium].append((number, entitlement))
            continue
        key = rows.key_of(packed)
        require(key not in keys, rows.unpack(packed), "it is there twice")
        keys.add(key)
        (displays if table == rows.DISPLAY else small).append(packed)
    check([rows.unpack(packed) for packed in small + displays], [entry[0] for entry in entitlements])
    small.append(_output_names(outputs))
    return _assemble(small, sorted(displays), entitlements, credentials, version, digest, checksum)


def _entitlement(row, outputs):
    check_credential(row)
    output = outputs.setdefault(row.output, len(outputs))
    return (row.group, row.from_s, row.to_s, row.state, row.flags, output)


def check_credential(row):
    """PolicyError where a credential says what does not exist."""
    require(row.medium in MEDIA, row, "medium %d does not exist" % row.medium)
    require(row.state <= rows.STATE_DISABLED, row, "state %d does not exist" % row.state)
    known = rows.DURESS | rows.EXTENDED | rows.EMERGENCY
    require(not row.flags & ~known, row, "flags %d do not exist" % row.flags)


def _output_names(outputs):
    """Output names that codes carry, as a pseudo row of table 0: they are few, an entitlement stores a number."""
    if len(outputs) > 255:
        raise PolicyError("codes name %d different outputs; at most 255 are possible" % len(outputs))
    names = sorted(outputs, key=lambda name: outputs[name])
    return b"\0" + "\n".join(names).encode()


def _assemble(small, displays, entitlements, credentials, version, digest, checksum):
    width = 2 if len(entitlements) <= 65536 else 4
    parts = []
    at = BODY
    tables = []
    for entries in (small, displays):
        tables.append((at, len(entries)))
        block = _framed(entries, entries is displays)
        parts.append(block)
        at += len(block)
    tables.append((at, len(entitlements)))
    block = b"".join([struct.pack(ENTITLEMENT, *shared) for shared in entitlements])
    parts.append(block)
    at += len(block)
    sections = []
    for medium in MEDIA:
        records = credentials[medium]
        count = _prime_from(len(records) // _BUCKET)
        sections.append((at, len(records), count))
        block = _buckets(records, count, width, medium)
        parts.append(block)
        at += len(block)
    toc = b"".join([struct.pack(SECTION, *entry) for entry in sections])
    toc += b"".join([struct.pack(TABLE, *entry) for entry in tables])
    body = toc + b"".join(parts)
    return (
        struct.pack(
            HEADER, MAGIC, FORMAT, width, version[0], version[1], digest, checksum(body), HEADER_SIZE + len(body)
        )
        + body
    )


def _framed(entries, with_offsets):
    block = b"".join([struct.pack(">I", len(entry)) + entry for entry in entries])
    if not with_offsets:
        return block
    offsets, at = bytearray(), 4 * len(entries)
    for entry in entries:
        offsets.extend(struct.pack(">I", at))
        at += 4 + len(entry)
    return bytes(offsets) + block


def _prime_from(least):
    """The first prime that is not below: runs and strides of engraved numbers then fill all buckets alike."""
    candidate = max(least, 2) | 1 if least > 2 else 2
    while any([candidate % divisor == 0 for divisor in range(3, int(candidate**0.5) + 1, 2)]):
        candidate += 2
    return candidate


def _buckets(records, bucket_count, width, medium):
    buckets = [[] for _ in range(bucket_count)]
    for record in records:
        buckets[record[0] % bucket_count].append(record)
    starts, out, count = [], [], 0
    kind = "H" if width == 2 else "I"
    for bucket in buckets:
        size = len(bucket)
        starts.append(count)
        count += size
        if len({number for number, _ in bucket}) != size:
            _refuse_twins(bucket, medium)
        bucket.sort()
        out.append(struct.pack(">%dQ" % size, *[number for number, _ in bucket]))
        out.append(struct.pack(">%d%s" % (size, kind), *[entitlement for _, entitlement in bucket]))
    starts.append(count)
    return struct.pack(">%dI" % len(starts), *starts) + b"".join(out)


def _refuse_twins(bucket, medium):
    seen = set()
    for number, _ in bucket:
        if number in seen:
            raise PolicyError("credential %d %d is there twice" % (medium, number))
        seen.add(number)


def check(values, groups_used):
    """PolicyError where the small rows contradict each other, or a credential's group does not exist."""
    by_type = {}
    for value in values:
        by_type.setdefault(type(value).__name__, []).append(value)
    if len(by_type.get("Site", ())) != 1:
        raise PolicyError("a policy has one site row, this one has %d" % len(by_type.get("Site", ())))
    schedules = {rows.ALWAYS, rows.NEVER}
    for row in by_type.get("Schedule", ()):
        _check_schedule(row)
        schedules.add(row.id)
    doors = {row.id: row for row in by_type.get("Door", ())}
    for row in by_type.get("Area", ()):
        require(row.mode <= rows.TIMED, row, "passback mode %d does not exist" % row.mode)
    areas = {row.id for row in by_type.get("Area", ())}
    for row in doors.values():
        _check_door(row, doors, areas, schedules)
    readers = {row.id: row for row in by_type.get("Reader", ())}
    for row in readers.values():
        require(row.door in doors, row, "its door %s does not exist" % row.door)
        require(not row.output or row.output in doors[row.door].outputs, row, "its door has no output " + row.output)
        require(row.direction in (rows.IN, rows.OUT), row, "direction %d does not exist" % row.direction)
    groups = set()
    for row in by_type.get("Group", ()):
        _check_group(row, doors, schedules)
        groups.add(row.id)
    for group in groups_used:
        if group not in groups:
            raise PolicyError("a credential belongs to group %d, which does not exist" % group)
    _check_panels(by_type, doors, schedules)


def require(condition, row, message):
    """PolicyError that names the row, unless the condition holds."""
    if not condition:
        raise PolicyError("%s: %s" % (rows.describe(row), message))


def _check_schedule(row):
    require(row.id >= rows.FIRST_SCHEDULE, row, "this number is built in")
    for day, start, end in row.intervals:
        require(day <= rows.HOLIDAY_ROW, row, "row %d does not exist" % day)
        require(start < 1440 and end <= 1440, row, "an interval ends after 24:00")
        require(start != end, row, "an interval ends when it starts")


def _check_door(row, doors, areas, schedules):
    require(len(row.outputs) >= 1, row, "it has no output")
    require(len(set(row.outputs)) == len(row.outputs), row, "an output is named twice")
    require(0 < row.unlock_ms <= 600000, row, "unlock_ms is outside 1 to 600,000")
    require(row.unlock_ms <= row.extended_ms <= 3600000, row, "extended_ms is under unlock_ms or over an hour")
    for area in (row.area_in, row.area_out):
        require(not area or area in areas, row, "area %s does not exist" % area)
    for other in row.interlock:
        require(other in doors and other != row.id, row, "it is interlocked with %s, which is no other door" % other)
    for schedule in (row.auto_open, row.badge_and_code):
        require(schedule in schedules, row, "week type %d does not exist" % schedule)


def _check_group(row, doors, schedules):
    taken = {}
    for door, output, media, buttons, schedule in row.grants:
        require(door in doors, row, "a grant's door %s does not exist" % door)
        outputs = doors[door].outputs
        require(not output or output in outputs, row, "door %s has no output %s" % (door, output))
        require(schedule in schedules, row, "week type %d does not exist" % schedule)
        require(media and not media & ~62, row, "a grant names a medium that does not exist")
        require(not buttons & ~rows.ALL_BUTTONS, row, "a button is outside 1 to 4")
        if not media & (1 << 2):
            continue
        for button in range(4):
            if buttons & (1 << button):
                first = taken.setdefault((door, button), output or outputs[0])
                require(
                    first == (output or outputs[0]), row, "button %d opens two outputs of door %s" % (button + 1, door)
                )


def _check_panels(by_type, doors, schedules):
    panels, at_door = set(), set()
    for row in by_type.get("Panel", ()):
        require(row.door in doors, row, "its door %s does not exist" % row.door)
        require(row.door not in at_door, row, "door %s has another panel" % row.door)
        panels.add(row.id)
        at_door.add(row.door)
    for row in by_type.get("Display", ()):
        require(row.panel in panels, row, "its panel does not exist")
        require(row.auto_open in schedules, row, "week type %d does not exist" % row.auto_open)
        require(len(row.numbers) <= 3, row, "it has more than three numbers")
