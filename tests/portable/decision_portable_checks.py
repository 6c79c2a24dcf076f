"""The decision core's checks that also run on MicroPython: no pytest, no typing, one line a check.

Run as a script with the project's root as its argument. Everything is made from a seed by a generator of its own, so
that both interpreters print the same lines: the image's digest, digests of 2,000 decisions and of a day at the doors.
"""
# ruff: noqa: UP031

import hashlib
import struct
import sys

sys.path.insert(0, sys.argv[1])

from edge.decision import authorize, model, policy, reasons, rows, schedule
from edge.decision.controller import Controller
from edge.decision.index import Index
from edge.decision.lockout import Lockout
from edge.decision.passback import Passback

MONDAY_S = 1795388400  # 2026-11-23 00:00 in Paris
SPRING_S = 1774745999 + 1  # 2026-03-29T01:00:00Z, when Paris steps from 02:00 to 03:00
AUTUMN_S = 1792890000  # 2026-10-25T01:00:00Z
checks = 0


def check(holds, what):
    global checks
    checks += 1
    if not holds:
        raise AssertionError(what)


class Dice:
    """A small generator of its own: MicroPython's random is another than CPython's."""

    def __init__(self, seed):
        self.state = seed

    def below(self, count):
        self.state = (self.state * 6364136223846793005 + 1442695040888963407) & 0xFFFFFFFFFFFFFFFF
        return (self.state >> 33) % count

    def pick(self, values):
        return values[self.below(len(values))]


def checksum(data):
    """Adler-32: MicroPython's unix port has no zlib.crc32 to call."""
    low, high = 1, 0
    for byte in bytes(data):
        low = (low + byte) % 65521
        high = (high + low) % 65521
    return high << 16 | low


def hex_of(data):
    return "".join(["%02x" % byte for byte in data])


def digest_of(lines):
    found = hashlib.sha256()
    for line in lines:
        found.update(line.encode() + b"\n")
    return hex_of(found.digest())


def door(name, outputs, **more):
    fields = {
        "unlock_ms": 5000, "extended_ms": 12000, "held_open_s": 30, "auto_open": rows.NEVER, "first_card": False,
        "deny_on_log_failure": False, "relock_on_open": True, "area_in": "", "area_out": "", "interlock": (),
        "badge_and_code": rows.NEVER,
    }  # fmt: skip
    fields.update(more)
    return rows.Door(
        name, "Tür " + name, outputs, fields["unlock_ms"], fields["extended_ms"], fields["held_open_s"],
        fields["auto_open"], fields["first_card"], fields["deny_on_log_failure"], fields["relock_on_open"],
        fields["area_in"], fields["area_out"], fields["interlock"], fields["badge_and_code"],
    )  # fmt: skip


def policy_rows():
    """Every table; 3,000 credentials, with 0, 2^64-1 and neighbours that differ in one byte."""
    dice = Dice(7)
    found = [
        rows.Site(bytes(range(16)), "Résidence", False, 4711),
        rows.Offset(0, 3600), rows.Offset(SPRING_S, 7200), rows.Offset(AUTUMN_S, 3600),
        rows.Holiday((MONDAY_S + 3600) // 86400 + 1, "Dienstag"),
        rows.Schedule(2, "day", tuple([(day, 480, 1140) for day in range(5)])),
        rows.Schedule(3, "night", ((4, 1200, 150), (5, 1200, 150), (7, 1200, 1440))),
        rows.Schedule(4, "edges", ((0, 0, 1), (0, 1439, 1440), (6, 120, 180), (6, 60, 130))),
        rows.Area("hard", rows.HARD, 0), rows.Area("soft", rows.SOFT, 0), rows.Area("timed", rows.TIMED, 10),
        door("a", ("door", "aux1", "aux2"), auto_open=2, first_card=True),
        door("b", ("door",), area_in="hard", interlock=("c",)),
        door("c", ("door",), area_in="soft", badge_and_code=3),
        door("d", ("door", "aux1"), area_in="timed", area_out="hard", relock_on_open=False),
        rows.Panel("panel", "a", "a-gsm", "1"),
        rows.Display("panel", "A1", "Solomon", rows.NEVER, ((33612000001, 20), (33612000002, 20))),
        rows.Display("panel", "A2", "Garfield", 2, ((33612000003, 20),)),
        rows.Mode("d", False, "manager"),
        rows.Privacy(False),
    ]  # fmt: skip
    for name in ("a", "b", "c", "d"):
        for direction in (rows.IN, rows.OUT):
            found.append(rows.Reader(name + ("-in", "-out")[direction], name, "osdp", direction, "", True, ""))
    found.append(rows.Reader("a-gsm", "a", "gsm", rows.IN, "", False, ""))
    found.append(rows.Reader("a-side", "a", "osdp", rows.IN, "aux1", False, ""))
    for group in range(12):
        grants = []
        for which in range(dice.below(5)):
            output = ("", "aux1")[dice.below(2)] if which == 0 else ""
            name = "a" if output else dice.pick("abcd")
            media = 2 + (8 << dice.below(3)) + (0 if output else 4)
            grants.append((name, output, media, 1 + dice.below(15), dice.pick((0, 0, 2, 3, 4, 1))))
        found.append(rows.Group(group, "group %d" % group, tuple(grants)))
    numbers = [0, (1 << 64) - 1, 1, 256, 0x0101010101010101, 1 << 56]
    while len(numbers) < 600:
        numbers.append(
            numbers[-1] + 1 + dice.below(3) * 255 if dice.below(4) else dice.below(1 << 31) << dice.below(33)
        )
    for medium in policy.MEDIA:
        seen = set()
        for number in numbers:
            if number > (1 << 64) - 1 or number in seen:
                continue
            seen.add(number)
            first_s = MONDAY_S + (dice.below(60) - 30) * 86400 if dice.below(5) == 0 else 0
            last_s = MONDAY_S + (dice.below(60) - 20) * 86400 if dice.below(5) == 0 else 0
            state = 0 if dice.below(8) else dice.below(3)
            found.append(
                rows.Credential(
                    medium, number, dice.below(12), first_s, last_s, state, dice.below(8),
                    ("", "aux1")[dice.below(2)] if medium == model.CODE else "", "",
                )
            )  # fmt: skip
    return found, numbers


def image_of(values):
    packed = [rows.pack(row) for row in values]
    for row, data in zip(values, packed):  # noqa: B905
        check(rows.unpack(data) == row, "a row does not survive packing: %s" % rows.describe(row))
        check(data[: len(rows.key_of(data))] == rows.key_of(data), "a key is no prefix")
    total = 0
    for data in packed:
        total = (total + int.from_bytes(hashlib.sha256(data).digest(), "big")) & ((1 << 256) - 1)
    return policy.compile_image(packed, (1, 2), total.to_bytes(32, "big"), checksum)


def a_moment(dice):
    base_s = dice.pick((MONDAY_S, MONDAY_S, SPRING_S, AUTUMN_S))
    utc_s = base_s + (dice.below(14 * 24) - 4 * 24) * 3600 + dice.pick((0, 0, -1, 1, dice.below(3600)))
    return model.Moment(10**9, utc_s * 1000, dice.below(5) > 0, (MONDAY_S - 86400 * dice.below(40)) * 1000)


def decisions(index, numbers):
    """2,000 seeded decisions, each as a line."""
    dice = Dice(11)
    places = Passback()
    for number in numbers[:60]:
        at = model.Moment(10**9 - dice.below(20) * 60000, 0, True, 0)
        places.move(dice.pick(("hard", "soft", "timed")), model.BADGE, number, at)
    lines, seen = [], {}
    for _ in range(2000):
        reader = dice.pick(sorted(index.readers))
        medium = dice.pick((1, 1, 2, 3, 4, 5))
        number = dice.pick(numbers[:60] if dice.below(2) else numbers)
        number = None if dice.below(40) == 0 else min(number + (dice.below(20) == 0), (1 << 64) - 1)
        presented = model.Presented(reader, "", medium, number, dice.below(6), dice.below(40) > 0)
        situation = authorize.Situation(
            dice.below(40) == 0,
            dice.below(10) == 0,
            dice.below(10) == 0,
            dice.below(3) == 0,
            dice.below(10) == 0,
            places,
        )
        decision = authorize.authorize(index, presented, situation, a_moment(dice))
        seen[decision.reason] = seen.get(decision.reason, 0) + 1
        lines.append("%s %s %s %s" % (decision.granted, decision.reason, decision.output, decision.soft))
    check(len(seen) == len(reasons.LADDER) + 1, "not every answer came: %s" % sorted(seen))
    return lines


def schedules(index):
    """Each schedule about both DST nights: open or not, and when it next changes."""
    lines = []
    for base_s in (SPRING_S, AUTUMN_S):
        for quarter in range(-4 * 30, 4 * 30):
            utc_s = base_s + quarter * 900
            bits = [index.is_open(which, utc_s) for which in range(5)]
            lines.append("%d %s" % (utc_s, bits))
        for hours in range(-30, 30, 7):
            utc_s = base_s + hours * 3600
            lines.append("%s" % [index.next_change(which, utc_s) for which in (0, 1, 2, 4)])
    return lines


def a_day(index, numbers):
    """1,500 inputs at a controller: every output as a line."""
    dice = Dice(13)
    controller = Controller(("a", "b", "c"))
    mono_ms, lines = 5000, []

    def take(happened, trusted=True):
        moment = model.Moment(mono_ms, MONDAY_S * 1000 + 6 * 3600000 + mono_ms, trusted, 0)
        said = []  # sorted: among doors and readers no order is promised, and MicroPython's dicts have none
        for output in controller.handle(happened, moment):
            words = ["%s" % (value,) for value in output]
            said.append("%d %s %s" % (mono_ms, type(output).__name__, " ".join(words)))
        lines.extend(sorted(said))
        return controller.next_deadline(moment)

    take(model.Started({"lockdown": b"", "first-card:a": b"0"}, "portable"))
    due = take(model.PolicyReplaced(index))
    for _ in range(1500):
        until = mono_ms + dice.pick((0, 10, 400, 1000, 5000, 40000))
        while due is not None and due <= until:
            mono_ms = max(mono_ms, due)
            due = take(model.Tick())
        mono_ms = until
        name, number = dice.pick("abcd"), dice.pick(numbers[:80])
        kind = dice.below(12)
        if kind < 5:
            medium = dice.pick((1, 1, 2, 3))
            due = take(model.Presented(name + "-in", "", medium, number, dice.below(5), True))
        elif kind < 8:
            due = take(model.Contact(name, dice.below(2) == 1))
        elif kind == 8:
            due = take(model.ExitPressed(name))
        elif kind == 9:
            due = take(model.CallStarted("a", dice.pick(("A1", "A2", "ZZ"))))
        elif kind == 10:
            due = take(model.CallProgress("a", dice.pick(("answered", "key", "refused")), "1"))
        else:
            action = dice.pick(("open", "hold", "release", "release", "lockdown", "forgive"))
            due = take(model.Command(action, dice.pick(("", name)), MONDAY_S * 1000 + 8 * 3600000, "manager"))
    return lines


def keepings():
    """What is kept has one form, and comes back."""
    moment = model.Moment(100, 200, True, 0)
    lock = Lockout()
    for at in range(7):
        lock.wrong(at * 40000)
    later = model.Moment(280000, 200, True, 0)
    again = Lockout()
    again.restore(lock.keep(later), later)
    check(again.keep(later) == lock.keep(later), "a lockout does not survive")
    places = Passback()
    places.move("hard", 1, (1 << 64) - 1, moment)
    places.move("soft", 2, 0, moment)
    back = Passback()
    back.restore(places.keep(), moment)
    check(back.keep() == places.keep(), "places do not survive")
    return hex_of(lock.keep(later) + places.keep())


def learning(index):
    """A reader that learns shows what it is told, opens nothing and waits for no code; the others go on."""
    controller = Controller()
    moment = model.Moment(5000, MONDAY_S * 1000, True, 0)

    def take(happened):
        outputs = controller.handle(happened, moment)
        lights = [tuple(output) for output in outputs if isinstance(output, model.Indicate)]
        said = [output.event.reason for output in outputs if isinstance(output, model.Record)]
        return lights, said

    take(model.PolicyReplaced(index))
    badge = model.Presented("a-in", "", model.BADGE, 1, 0, True)
    controller._pairs["a-in"] = (moment.mono_ms + 1000, badge, 0)
    check(take(model.LearningReader("a-in", "learning")) == ([("a-in", "learning")], []), "no blinking")
    check("a-in" not in controller._pairs, "a badge still waits for its code")
    check(take(badge) == ([], [reasons.LEARNING]), "a learning reader decides, or stops blinking")
    check(reasons.LEARNING not in take(model.Presented("a-out", "", model.BADGE, 1, 0, True))[1], "so do others")
    check(take(model.LearningReader("a-in", "learning-present"))[0] == [("a-in", "learning-present")], "no red")
    check(take(model.LearningReader("a-in", ""))[0] == [("a-in", "idle")], "still learning")
    check(reasons.LEARNING not in take(badge)[1], "a free reader is learning")
    check(take(model.LearningReader("new", "learning")) == ([], []), "a reader that no policy knows")
    check(take(model.PasswordAlarm("x")) == ([], [reasons.LOCKOUT]), "no alarm")


def refusals(values):
    """What no image can hold is refused here as well."""
    for row in (
        rows.Schedule(9, "x", ((0, 60, 60),)),
        rows.Group(99, "x", (("a", "", 4, 16, 0),)),
        rows.Group(99, "x", (("a", "", 4, 1, 0), ("a", "aux1", 4, 1, 0))),
        rows.Credential(1, 0, 1, 0, 0, 0, 0, "", ""),
        rows.Site(bytes(16), "x", False, 1),
    ):
        try:
            policy.compile_image([rows.pack(value) for value in values] + [rows.pack(row)], (1, 1), bytes(32), checksum)
        except (policy.PolicyError, rows.RowError) as error:
            check(str(error), "a refusal without words")
        else:
            check(False, "not refused: %s" % rows.describe(row))


def main():
    values, numbers = policy_rows()
    image = bytes(image_of(values))
    print("image", len(image), hex_of(hashlib.sha256(image).digest()))
    index = Index(image)
    check(not index.names_persons, "persons are named")
    check(index.verify(checksum), "the image does not verify")
    for value in values:
        if isinstance(value, rows.Credential):
            check(index.entitlement(value.medium, value.number) == value[2:8], "a credential is not found")
    check(index.entitlement(1, 0x0102030405060708) is None, "found what is not there")
    check(index.display("panel", "A2").name == "Garfield", "a display is not found")
    check(schedule.BUILT_IN[rows.ALWAYS].is_open(None, 0), "Always")
    print("decisions", digest_of(decisions(index, numbers)))
    print("schedules", digest_of(schedules(index)))
    day = a_day(index, numbers)
    check(len(day) > 2000, "the day is too quiet")
    print("day", len(day), digest_of(day))
    print("kept", keepings())
    learning(index)
    refusals([value for value in values if not isinstance(value, rows.Credential) or value.number < 9])
    check(struct.calcsize(">Q") == 8, "struct")
    print("ok", checks)


main()
