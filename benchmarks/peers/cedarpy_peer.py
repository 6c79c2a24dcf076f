"""Cedar by cedarpy: policies and credentials parsed once and kept, every rule in Cedar's own words, week types too.

It is measured with all policies and with those of one door, which the application picks.
"""

import json

from cedarpy import Entities, PolicySet, is_authorized
from scene import NOBODY, Ask, Grant, Scene, serve

from edge.decision import model, rows
from edge.decision.schedule import DAY_S

_EVERYBODY = """
forbid (principal, action, resource) when { !context.secure || context.learning || context.interlocked };
forbid (principal, action == Action::"code", resource) when { context.locked_out };
forbid (principal, action, resource) when { context.lockdown && !principal.emergency };
forbid (principal, action, resource) when { principal.state != 0 };
forbid (principal, action, resource) when { context.trusted && context.now_ms < principal.from_ms };
forbid (principal, action, resource) when { principal.to_ms != 0 && principal.to_ms <= context.proven_ms };
"""
_BOTH = """
forbid (principal, action in [Action::"badge", Action::"code"], resource == Place::"{place}")
when {{ !context.paired && (!context.trusted || {open_now}) }};
"""
_PERMIT = """
permit (principal in Group::"{group}", action == Action::"{medium}", resource == Place::"{where}") when {{ {when} }};
"""


def _open_now(intervals: tuple[tuple[int, int, int], ...]) -> str:
    """Write a week type as Cedar: rows of today, and what of yesterday's runs over midnight."""
    parts = []
    for row, start_min, end_min in intervals:
        end_s = end_min * 60 if end_min > start_min else DAY_S
        parts.append(f"(context.row == {row} && context.second >= {start_min * 60} && context.second < {end_s})")
        if end_min < start_min:
            parts.append(f"(context.before == {row} && context.second < {end_min * 60})")
    return f"({' || '.join(parts)})"


def _policies(scene: Scene, grants: list[Grant], doors: list[str]) -> PolicySet:
    texts = [_EVERYBODY]
    for door in doors:
        row = scene.doors[door]
        if row.badge_and_code != rows.NEVER:
            open_now = _open_now(scene.intervals[row.badge_and_code])
            texts += [_BOTH.format(place=f"{door}/{output}", open_now=open_now) for output in row.outputs]
    for grant in grants:
        when = "context.trusted || !principal.dated"
        if grant.week != rows.ALWAYS:
            when = f"context.trusted && {_open_now(scene.intervals[grant.week])}"
        texts.append(_PERMIT.format(group=grant.group, medium=grant.medium, where=grant.where, when=when))
    return PolicySet.from_str("".join(texts))


def _entities(scene: Scene) -> Entities:
    entities = [{"uid": {"type": "Group", "id": str(row.id)}, "attrs": {}, "parents": []} for row in scene.groups]
    for (medium, number), (group, from_s, to_s, state, flags, _) in scene.credentials.items():
        attrs = {"state": state, "emergency": bool(flags & rows.EMERGENCY), "dated": bool(from_s or to_s)}
        attrs |= {"from_ms": from_s * 1000, "to_ms": to_s * 1000}
        uid = {"type": "Credential", "id": f"{medium}-{number}"}
        entities.append({"uid": uid, "attrs": attrs, "parents": [{"type": "Group", "id": str(group)}]})
    return Entities.from_json_str(json.dumps(entities))


def _request(scene: Scene, ask: Ask) -> dict:
    presented, situation, moment, _ = ask
    known = scene.known(presented) if presented.medium == model.CODE else None  # a code names its output
    second, row, before = scene.local_time.at(moment.utc_ms // 1000)
    context = {
        "secure": presented.secure, "learning": situation.learning, "locked_out": situation.locked_out,
        "lockdown": situation.lockdown, "paired": situation.paired, "interlocked": situation.interlocked,
        "trusted": moment.trusted, "now_ms": moment.utc_ms,
        "proven_ms": moment.utc_ms if moment.trusted else moment.floor_ms,
        "row": row, "before": before, "second": second,
    }  # fmt: skip
    where = scene.where(presented, known or NOBODY)
    return {
        "principal": f'Credential::"{presented.medium}-{presented.number}"',
        "action": f'Action::"{model.MEDIUM_WORDS[presented.medium]}"',
        "resource": f'Place::"{where}"',
        "context": context,
    }


def prepare(scene: Scene) -> dict:
    grants = list(scene.grants())
    entities = _entities(scene)
    everything = _policies(scene, grants, list(scene.doors))
    of_door = {
        door: _policies(scene, [grant for grant in grants if grant.where.startswith(f"{door}/")], [door])
        for door in scene.doors
    }

    def decide_by_all(ask: Ask) -> bool:
        return is_authorized(_request(scene, ask), everything, entities).allowed

    def decide_by_door(ask: Ask) -> bool:
        return is_authorized(_request(scene, ask), of_door[ask.presented.door], entities).allowed

    return {f"cedarpy, all {len(everything)} policies": decide_by_all, "cedarpy, one door's policies": decide_by_door}


if __name__ == "__main__":
    serve(prepare)
