""" "Why was this refused?", answered by the code that decides.

Portable. `explain` asks `authorize` itself, once for the moment and then for the moments at which anything that it
looked at may change.
"""

from collections import namedtuple

from edge.decision import model, reasons
from edge.decision.authorize import QUIET, authorize, grants_of

_MOST_STEPS = 400  # moments looked at for the next opening: a year of twice a day is not worth more

_CHANGES = {
    reasons.NOT_SECURE: "the reader's secure channel must be up",
    reasons.LEARNING: "the commissioning at this reader must end",
    reasons.LOCKED_OUT: "the lock after wrong codes must run out",
    reasons.LOCKDOWN: "the lockdown must be released, or the pass made an emergency pass",
    reasons.UNKNOWN: "the manager must add it, for this door if it is a code",
    reasons.LOST: "the manager must give it back from the lost ones",
    reasons.DISABLED: "the manager must enable it",
    reasons.NOT_STARTED: "its first day must come, or the manager change it",
    reasons.EXPIRED: "the manager must extend its validity",
    reasons.NO_ACCESS: "its access group needs a grant for this door, output, medium and button",
    reasons.CLOCK_UNTRUSTED: "the controller's clock must be trusted: NTP, or the time set on site",
    reasons.OUTSIDE_SCHEDULE: "its week type must be open, or the manager change it",
    reasons.CODE_NEEDED: "badge and code must be given together",
    reasons.INTERLOCK: "the other door of the mantrap must be closed",
    reasons.PASSBACK: "the holder must leave the area, or be forgiven",
}


class Explanation(
    namedtuple("Explanation", ("decision", "group", "valid", "grants", "passed", "change", "next_open_s"))
):
    """decision: authorize.Decision. group: the access group's name, "" where the credential is unknown. valid:
    (from_s, to_s), utc, 0 for open. grants: those that matched, ((output, week type's name), …). passed: the reasons
    that were checked before and did not apply, in order. change: what would have to change, "" where granted.
    next_open_s: utc seconds at which it opens next if nothing else changes; None where that is never, or not within
    sight."""

    __slots__ = ()


def explain(index, presented, situation, moment):
    """Explain the answer to one presented credential. Arguments as for authorize.authorize."""
    decision = authorize(index, presented, situation, moment)
    order = reasons.LADDER
    known = _entitlement(index, presented, decision)
    grants = None if known is None else grants_of(index, presented, known)
    output, schedules = grants or ("", ())
    return Explanation(
        decision,
        "" if known is None else index.group_name(known[0]),
        (0, 0) if known is None else (known[1], known[2]),
        tuple([(output, index.schedule_names[schedule]) for schedule in schedules]),
        order if decision.granted else order[: order.index(decision.reason)],
        "" if decision.granted else _CHANGES[decision.reason],
        moment.utc_ms // 1000
        if decision.granted
        else _next_open(index, presented, known, schedules, decision.door, moment),
    )


def _entitlement(index, presented, decision):
    if index is None or presented.number is None or decision.door not in index.doors:
        return None
    return index.entitlement(presented.medium, presented.number)


def _next_open(index, presented, known, schedules, door, moment):
    """The first moment at which a quiet door opens for it, by the clock alone."""
    if known is None or not moment.trusted:
        return None
    schedules = schedules + (index.doors[door].badge_and_code,)
    utc_s = moment.utc_ms // 1000
    for _ in range(_MOST_STEPS):
        at = model.Moment(moment.mono_ms, utc_s * 1000, True, moment.floor_ms)
        if authorize(index, presented, QUIET, at).granted:
            return utc_s
        following = [index.next_change(schedule, utc_s) for schedule in schedules]
        following = [at_s for at_s in following if at_s is not None]
        if known[1] > utc_s:
            following.append(known[1])
        if not following or (known[2] and utc_s >= known[2]):
            return None
        utc_s = min(following)
    return None
