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


_NOWHERE = (None, None)
_TWO_FACTORS = (model.BADGE, model.CODE)
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
    reader, door, known = None, None, None
    if index is not None:
        if reader_id:
            reader, door = index.posts.get(reader_id, _NOWHERE)
        else:
            door = index.doors.get(door_id)
        if door is not None:
            door_id = door.id
            known = index.entitlement(medium, number) if number is not None else None
    if known is None:
        reason = _early_reason(secure, situation, medium, 0) or reasons.UNKNOWN
        return Decision(False, reason, door_id, reader_id, medium, number, "", 0, False, None)

    group, from_s, to_s, state, flags, own_output = known
    grants = _grants(index, group, door, reader, medium, button, own_output)
    reason = (
        _early_reason(secure, situation, medium, flags)
        or _credential_reason(grants, medium, from_s, to_s, state, moment)
        or _schedule_reason(index, grants, from_s or to_s, moment)
        or _door_reason(index, door, medium, situation, moment)
    )
    soft = False
    if not reason and door.area_in and reader is not None and reader.direction == rows.IN and situation.passback:
        verdict = situation.passback.check(index.areas[door.area_in], medium, number, moment)
        soft = verdict == rows.SOFT
        reason = reasons.PASSBACK if verdict == rows.HARD else ""
    if reason:
        return Decision(False, reason, door_id, reader_id, medium, number, "", flags, False, group)
    return Decision(True, "", door_id, reader_id, medium, number, grants[0][0], flags, soft, group)


def grants_of(index, presented, known):
    """The grants that match a credential (`known`: its entitlement) where it is presented: ((output, schedule), …)."""
    reader, door = index.posts.get(presented.reader, (None, index.doors.get(presented.door)))
    return _grants(index, known[0], door, reader, presented.medium, presented.button, known[5])


def _grants(index, group, door, reader, medium, button, own_output):
    """A badge, phone or mobile asks for the reader's output, else the door's first; a code for the one it was given
    for; a remote for the one that its button's grant names."""
    if medium == model.REMOTE:
        return index.matching(group, door.id, medium, button, "")
    if medium == model.CODE:
        output = own_output
    else:
        output = reader.output if reader is not None else ""
    return index.matching(group, door.id, medium, 0, output or door.outputs[0])


def _early_reason(secure, situation, medium, flags):
    """What is refused whoever it is; flags 0 where the credential is not known."""
    if not secure:
        return reasons.NOT_SECURE
    if situation.learning:
        return reasons.LEARNING
    if situation.locked_out and medium == model.CODE:
        return reasons.LOCKED_OUT
    if situation.lockdown and not flags & rows.EMERGENCY:
        return reasons.LOCKDOWN
    return ""


def _credential_reason(grants, medium, from_s, to_s, state, moment):
    if not grants and medium == model.CODE:
        return reasons.UNKNOWN
    if state:
        return reasons.LOST if state == rows.STATE_LOST else reasons.DISABLED
    if from_s and moment.trusted and moment.utc_ms < from_s * 1000:
        return reasons.NOT_STARTED
    if to_s and to_s * 1000 <= (moment.utc_ms if moment.trusted else moment.floor_ms):
        return reasons.EXPIRED
    return "" if grants else reasons.NO_ACCESS


def _schedule_reason(index, grants, dated, moment):
    """ "" where one matching grant is open now, else why none is."""
    if moment.trusted:
        for _, schedule in grants:
            if schedule == rows.ALWAYS or index.is_open(schedule, moment.utc_ms // 1000):
                return ""
        return reasons.OUTSIDE_SCHEDULE
    schedules = [schedule for _, schedule in grants]
    if rows.ALWAYS in schedules and not dated:
        return ""
    if all([schedule == rows.NEVER for schedule in schedules]):
        return reasons.OUTSIDE_SCHEDULE
    return "" if index.site.untrusted_allow else reasons.CLOCK_UNTRUSTED


def _door_reason(index, door, medium, situation, moment):
    if not situation.paired and medium in _TWO_FACTORS and asks_for_both(index, door, moment):
        return reasons.CODE_NEEDED
    return reasons.INTERLOCK if situation.interlocked else ""


def asks_for_both(index, door, moment):
    """Whether a door asks for badge and code together now. While the clock is untrusted, a week type that has
    any hour asks always: the stricter side."""
    schedule = door.badge_and_code
    if schedule == rows.NEVER:
        return False
    return not moment.trusted or index.is_open(schedule, moment.utc_ms // 1000)
