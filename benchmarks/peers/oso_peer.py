"""oso: grants as Polar facts, found by group, place and medium; the checks of a credential and the week type are the
application's methods, which a rule asks. The application finds the credential in a dict."""

from oso import Oso
from scene import NOBODY, Ask, Known, Scene, serve

from edge.decision.model import MEDIUM_WORDS

_RULE = (
    "allow(group: Integer, medium: String, ask: Passage) if grant(group, ask.where, medium, week) and ask.may(week);\n"
)


def prepare(scene: Scene) -> dict:
    class Passage:
        """One ask, as Polar sees it."""

        def __init__(self, ask: Ask, known: Known) -> None:
            self.where = scene.where(ask.presented, known)
            self._ask, self._known = ask, known

        def may(self, week: int) -> bool:
            return scene.may_pass(self._ask, self._known) and scene.is_within(week, self._known, self._ask.moment)

    engine = Oso()
    engine.register_class(Passage)
    facts = [f'grant({grant.group}, "{grant.where}", "{grant.medium}", {grant.week});\n' for grant in scene.grants()]
    engine.load_str(_RULE + "".join(facts))

    def decide(ask: Ask) -> bool:
        known = scene.known(ask.presented) or NOBODY
        return engine.is_allowed(known[0], MEDIUM_WORDS[ask.presented.medium], Passage(ask, known))

    return {"oso": decide}


if __name__ == "__main__":
    serve(prepare)
