"""Asks the core what the oracle was asked, without a controller: the situation is put together by hand."""

import oracle
import site_rows

from edge.decision import authorize, model
from edge.decision.passback import Passback

MONO_MS = 10**9  # long after boot


def passback_of(state: oracle.State, now: oracle.Moment) -> Passback:
    """Who is inside, as the core keeps it."""
    places = Passback()
    for (medium, number), (area, minutes) in state.inside.items():
        entered = site_rows.moment_of(now, MONO_MS - minutes * 60000)
        places.move(area, model.MEDIUM_OF_WORD[medium], number, entered)
    return places


def ask_core(
    index: object, site: oracle.Site, state: oracle.State, ask: oracle.Ask, now: oracle.Moment
) -> oracle.Answer:
    """The core's answer in the oracle's words."""
    situation = authorize.Situation(
        ask.reader in state.learning,
        state.locked_out,
        bool(site.lockdown & {"", ask.door}),
        False,
        any(other in state.open_doors for other in site.doors[ask.door].interlock),
        passback_of(state, now),
    )
    moment = site_rows.moment_of(now, MONO_MS)
    decision = authorize.authorize(index, site_rows.presented_of(ask), situation, moment)
    assert decision.granted == (decision.reason == "")
    return oracle.Answer(decision.reason, decision.output, decision.soft)
