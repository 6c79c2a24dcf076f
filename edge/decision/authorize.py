"""May this credential open this door now? The ladder of reasons.

Portable: runs on CPython and MicroPython. The order of checks is a contract (examples/README.md, "Reasons of a
denial"), pinned by tests/decision/test_decision_ladder.py. The first that applies is the answer:

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


_NOBODY = (None, 0, 0, 0, 0)
_HAS_NEW = hasattr(tuple, "__new__")
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
    learning, locked_out, lockdown, paired, interlocked, passback = situation
    post = known = grants = None
    group, from_s, to_s, state, flags = _NOBODY
    if index is not None:
        post = index.posts.get(reader_id) if reader_id else index.door_posts.get(door_id)
        if post is not None:
            door_id, door, _, area, _ = post
            known = index.entitlement(medium, number) if number is not None else None
    if known is not None:
        group, from_s, to_s, state, flags, own_output = known
        grants = index.matching(post, group, medium, button, own_output)

    soft = False
    if not secure:
        reason = reasons.NOT_SECURE
    elif learning:
        reason = reasons.LEARNING
    elif locked_out and medium == model.CODE:
        reason = reasons.LOCKED_OUT
    elif lockdown and not flags & rows.EMERGENCY:
        reason = reasons.LOCKDOWN
    elif known is None or (grants is None and medium == model.CODE):
        reason = reasons.UNKNOWN
    elif state:
        reason = reasons.LOST if state == rows.STATE_LOST else reasons.DISABLED
    else:
        reason = _time_reason(index, grants, from_s, to_s, moment)
        if not reason:
            if door.badge_and_code != rows.NEVER and not paired and _asks_for_both(index, door, medium, moment):
                reason = reasons.CODE_NEEDED
            elif interlocked:
                reason = reasons.INTERLOCK
            elif area is not None and passback is not None:
                verdict = passback.check(area, medium, number, moment)
                soft = verdict == rows.SOFT
                if verdict == rows.HARD:
                    reason = reasons.PASSBACK
    granted = not reason
    return _decision(
        (granted, reason, door_id, reader_id, medium, number, grants[0] if granted else "", flags, soft, group)
    )


def _time_reason(index, grants, from_s, to_s, moment):
    """From not-started to outside-schedule; "" where one matching grant is open now."""
    _, utc_ms, trusted, floor_ms = moment
    if from_s and trusted and utc_ms < from_s * 1000:
        return reasons.NOT_STARTED
    if to_s and to_s * 1000 <= (utc_ms if trusted else floor_ms):
        return reasons.EXPIRED
    if grants is None:
        return reasons.NO_ACCESS
    schedules = grants[1]
    always = schedules[0] == rows.ALWAYS  # the lowest number: they are sorted
    if trusted:
        if always:
            return ""
        utc_s = utc_ms // 1000
        for schedule in schedules:
            if index.is_open(schedule, utc_s):
                return ""
        return reasons.OUTSIDE_SCHEDULE
    if always and not (from_s or to_s):
        return ""
    if schedules == (rows.NEVER,):
        return reasons.OUTSIDE_SCHEDULE
    return "" if index.site.untrusted_allow else reasons.CLOCK_UNTRUSTED


def _asks_for_both(index, door, medium, moment):
    """Whether a badge, or a code alone, needs the other one now. While the clock is untrusted, a week type that has
    any hour asks always: the stricter side."""
    if medium != model.BADGE and medium != model.CODE:
        return False
    return not moment.trusted or index.is_open(door.badge_and_code, moment.utc_ms // 1000)


def grants_of(index, presented, known):
    """The grants that match a credential (`known`: its entitlement) where it is presented: (output, schedules), or
    None."""
    post = index.posts.get(presented.reader) or index.door_posts[presented.door]
    return index.matching(post, known[0], presented.medium, presented.button, known[5])


def _decision(fields):
    """A Decision of a tuple. CPython makes a namedtuple twice as fast this way; MicroPython has only the other."""
    return tuple.__new__(Decision, fields) if _HAS_NEW else Decision(*fields)
