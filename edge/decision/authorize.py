"""May this credential open this door now? The ladder of reasons.

Portable: runs on CPython and MicroPython. The order of checks is a contract (examples/README.md, "Reasons of a
denial"), pinned by tests/decision/test_ladder.py. The first that applies is the answer:

    not-secure        the reader's channel is not
    learning          the reader is being used to commission
    locked-out        a code, while wrong codes have locked the keypads
    lockdown          the door is locked down and the credential is no emergency pass
    unknown           not in the policy; a reader or door that is not; a code that was given for no output that its
                      group grants by code at this door
    lost, disabled    the credential's state
    not-started       trusted clock only
    expired           the clock, or while it is untrusted its proven floor, is past the end
    no-access         no grant of the group matches door, output, medium and button
    clock-untrusted   a date or schedule would have to be read, the clock is not trusted, the site says deny
    outside-schedule  no matching grant's week type is open
    code-needed       a badge, or a code alone, at a door that now asks for badge and code
    interlock         a door that must be closed for this one is not
    passback          a hard or timed area that the holder has not left

What is unknown denies. A denial is a value; an exception means that something is broken.
"""

from collections import namedtuple

from edge.decision import model, reasons, rows


class Situation(namedtuple("Situation", ("learning", "locked_out", "lockdown", "paired", "interlocked", "passback"))):
    """What the controller knows about the moment besides the policy. `paired`: this credential completes a badge
    and code. `passback`: the passback.Passback that keeps who is where, or None."""

    __slots__ = ()
    learning: bool
    locked_out: bool
    lockdown: bool
    paired: bool
    interlocked: bool


_NO_DOORS = {}  # type: ignore[var-annotated]
QUIET = Situation(False, False, False, False, False, None)


class Decision(
    namedtuple(
        "Decision", ("granted", "reason", "door", "reader", "medium", "number", "output", "flags", "soft", "group")
    )
):
    """reason: "" where granted, else one of reasons.LADDER. output: the output's name that moves, "" where denied.
    flags: the credential's (rows.DURESS | …), known wherever the credential is. soft: a soft area was entered
    twice. group: access group id, or None where unknown."""

    __slots__ = ()
    granted: bool
    reason: str
    door: str
    reader: str
    medium: int
    number: "int | None"
    output: str
    flags: int
    soft: bool
    group: "int | None"


def authorize(index, presented, situation, moment):
    """Decide on one presented credential. `index`: index.Index or None (no policy: all is unknown);
    presented: model.Presented; situation: Situation; moment: model.Moment. Returns a Decision."""
    reader_id, door_id, medium, number, button, secure = presented
    reader = index.readers.get(reader_id) if index is not None and reader_id else None
    if reader is not None:
        door_id = reader.door
    door = index.doors.get(door_id) if index is not None else None
    known = None
    if door is not None and number is not None and (reader is not None or not reader_id):
        known = index.entitlement(medium, number)
    group, from_s, to_s, state, flags, own_output = known or (None, 0, 0, 0, 0, "")

    def deny(reason):
        return Decision(False, reason, door_id, reader_id, medium, number, "", flags, False, group)

    if not secure:
        return deny(reasons.NOT_SECURE)
    if situation.learning:
        return deny(reasons.LEARNING)
    if situation.locked_out and medium == model.CODE:
        return deny(reasons.LOCKED_OUT)
    if situation.lockdown and not flags & rows.EMERGENCY:
        return deny(reasons.LOCKDOWN)
    if known is None:
        return deny(reasons.UNKNOWN)

    grants = matching_grants(index, door, reader, medium, button, group, own_output)
    if not grants and medium == model.CODE:
        return deny(reasons.UNKNOWN)
    if state == rows.STATE_LOST:
        return deny(reasons.LOST)
    if state == rows.STATE_DISABLED:
        return deny(reasons.DISABLED)
    trusted = moment.trusted
    utc_s = moment.utc_ms // 1000
    if trusted and utc_s < from_s:
        return deny(reasons.NOT_STARTED)
    if to_s and to_s <= (utc_s if trusted else moment.floor_ms // 1000):
        return deny(reasons.EXPIRED)
    if not grants:
        return deny(reasons.NO_ACCESS)

    dated = from_s or to_s
    reason = _schedule_reason(index, grants, dated, trusted, utc_s)
    if reason:
        return deny(reason)
    if not situation.paired and medium in (model.BADGE, model.CODE) and asks_for_both(index, door, moment):
        return deny(reasons.CODE_NEEDED)
    if situation.interlocked:
        return deny(reasons.INTERLOCK)
    soft = False
    if situation.passback is not None and reader is not None and door.area_in and reader.direction == rows.IN:
        verdict = situation.passback.check(index.areas[door.area_in], medium, number, moment)
        if verdict == rows.HARD:
            return deny(reasons.PASSBACK)
        soft = verdict == rows.SOFT
    return Decision(True, "", door_id, reader_id, medium, number, grants[0][0], flags, soft, group)


def matching_grants(index, door, reader, medium, button, group, own_output):
    """The group's grants that match door, output, medium and button: ((output, media, buttons, schedule), …).
    A badge, phone or mobile asks for the reader's output, else the door's first; a code for the one it was given
    for; a remote for the one that its button's grant names."""
    grants = index.groups.get(group, _NO_DOORS).get(door.id, ())
    if not grants:
        return grants
    bit = 1 << medium
    if medium == model.REMOTE:
        press = 1 << (button - 1) if 1 <= button <= 4 else 0
        return [grant for grant in grants if grant[1] & bit and grant[2] & press]
    if medium == model.CODE:
        wanted = own_output or door.outputs[0]
    else:
        wanted = (reader.output if reader is not None else "") or door.outputs[0]
    return [grant for grant in grants if grant[1] & bit and grant[0] == wanted]


def asks_for_both(index, door, moment):
    """Whether a door asks for badge and code together now. While the clock is untrusted, a week type that has
    any hour asks always: the stricter side."""
    schedule = door.badge_and_code
    if schedule == rows.NEVER:
        return False
    return not moment.trusted or index.is_open(schedule, moment.utc_ms // 1000)


def _schedule_reason(index, grants, dated, trusted, utc_s):
    """ "" where one matching grant is open now, else why none is."""
    if not trusted:
        if not dated and any(grant[3] == rows.ALWAYS for grant in grants):
            return ""
        if all(grant[3] == rows.NEVER for grant in grants):
            return reasons.OUTSIDE_SCHEDULE
        return "" if index.site.untrusted_allow else reasons.CLOCK_UNTRUSTED
    for grant in grants:
        if grant[3] == rows.ALWAYS or index.is_open(grant[3], utc_s):
            return ""
    return reasons.OUTSIDE_SCHEDULE
