"""pycasbin's FastEnforcer, tuned: its filter by group, place and medium leaves one or two lines, so no matcher compares
them again, and the application finds the credential in a dict.

Two models: one whose matcher says the rules in Casbin's own words and asks a function only about the week type; and,
as little Casbin as can be, one whose matcher is a single function of the application that does it all.
"""

import logging
from types import SimpleNamespace

import casbin
from casbin.model import FastModel
from scene import NOBODY, Ask, Known, Scene, serve

from edge.decision import rows
from edge.decision.model import MEDIUM_WORDS

_KEY = (0, 1, 2)
_MODEL = """
[request_definition]
r = sub, obj, act, ask
[policy_definition]
p = sub, obj, act, week
[policy_effect]
e = some(where (p.eft == allow))
[matchers]
m = {matcher}
"""
_OWN_WORDS = (
    "r.ask.secure && !r.ask.learning && !(r.ask.locked_out && r.act == 'code') && (!r.ask.lockdown || r.ask.emergency)"
    " && r.ask.state == 0 && !(r.ask.trusted && r.ask.now_ms < r.ask.from_ms)"
    " && !(r.ask.to_ms > 0 && r.ask.to_ms <= r.ask.proven_ms) && within(r.ask, p.week)"
    " && (r.ask.paired || !asks_both(r.ask) || (r.act != 'badge' && r.act != 'code')) && !r.ask.interlocked"
)


class _Lines(casbin.persist.Adapter):
    def __init__(self, scene: Scene) -> None:
        self._scene = scene

    def load_policy(self, model: casbin.Model) -> None:
        for grant in self._scene.grants():
            model.add_policy("p", "p", [str(grant.group), grant.where, grant.medium, str(grant.week)])


def _enforcer(scene: Scene, matcher: str) -> casbin.FastEnforcer:
    model = FastModel(_KEY)
    model.load_model_from_text(_MODEL.format(matcher=matcher))
    return casbin.FastEnforcer(model, _Lines(scene), cache_key_order=_KEY)


def _attributes(ask: Ask, known: Known) -> SimpleNamespace:
    """Name what the matcher asks about."""
    presented, situation, moment, _ = ask
    _, from_s, to_s, state, flags, _ = known
    return SimpleNamespace(
        known=known, presented=presented, moment=moment, secure=presented.secure, learning=situation.learning,
        locked_out=situation.locked_out, lockdown=situation.lockdown, paired=situation.paired,
        interlocked=situation.interlocked, trusted=moment.trusted, now_ms=moment.utc_ms,
        proven_ms=moment.utc_ms if moment.trusted else moment.floor_ms, emergency=bool(flags & rows.EMERGENCY),
        state=state, from_ms=from_s * 1000, to_ms=to_s * 1000,
    )  # fmt: skip


def prepare(scene: Scene) -> dict:
    logging.disable()
    weeks = {str(week): week for week in scene.week_types}
    own_words, one_function = _enforcer(scene, _OWN_WORDS), _enforcer(scene, "may(r.ask, p.week)")

    def within(
        ask: SimpleNamespace, week: str
    ) -> bool:  # week "": no line is left, and the matcher is asked all the same
        return week != "" and scene.is_within(weeks[week], ask.known, ask.moment)

    def may(asked: tuple[Ask, Known], week: str) -> bool:
        ask, known = asked
        return week != "" and scene.may_pass(ask, known) and scene.is_within(weeks[week], known, ask.moment)

    own_words.add_function("within", within)
    own_words.add_function("asks_both", lambda ask: scene.asks_for_both(ask.presented.door, ask.moment))
    one_function.add_function("may", may)

    def decide_in_own_words(ask: Ask) -> bool:
        known = scene.known(ask.presented) or NOBODY
        where, medium = scene.where(ask.presented, known), MEDIUM_WORDS[ask.presented.medium]
        return own_words.enforce(str(known[0]), where, medium, _attributes(ask, known))

    def decide_by_function(ask: Ask) -> bool:
        known = scene.known(ask.presented) or NOBODY
        where, medium = scene.where(ask.presented, known), MEDIUM_WORDS[ask.presented.medium]
        return one_function.enforce(str(known[0]), where, medium, (ask, known))

    return {"pycasbin fast, rules in the model": decide_in_own_words, "pycasbin fast, one function": decide_by_function}


if __name__ == "__main__":
    serve(prepare)
