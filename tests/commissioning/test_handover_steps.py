"""Hand-over, password and document: each refusal in its order, with its words, and a way on."""

import re
from pathlib import Path

import pytest
from commissioning_world import (
    DAY_S,
    DEVICE,
    KEY,
    NUMBER,
    OTHER_NUMBER,
    OTHER_PASSWORD,
    RESIDENT,
    SITE,
    START_S,
    STRANGER,
    Cabinet,
    claim_of,
    handover_bytes,
    key_of,
    learn,
    ready,
    release_of,
    signed_claim,
)

from edge.commissioning import journal, learning, procedure, refusals
from edge.commissioning.handover import MAX_LEAP, Handover, Pending, Standing
from edge.decision import model
from edge.uplink import statements

NOW = model.Moment(0, START_S * 1000, True, 0)


# --- the document ------------------------------------------------------------------------------------------------


def test_the_document_step_by_step() -> None:
    """hexact-change-of-manager, "Prise en compte du nouveau gestionnaire": each step, and the lights at each."""
    cabinet = Cabinet()
    cabinet.deposit(handover_bytes(2))
    assert cabinet.arm() == refusals.PASSWORD  # "entrez le mot de passe de la centrale"
    assert cabinet.unlock() == ""
    assert cabinet.arm(OTHER_NUMBER) == refusals.WRONG_NUMBER  # "tapez le numéro du nouveau gestionnaire"
    assert cabinet.arm(NUMBER, "hall") == ""  # "sélectionnez le lecteur d'apprentissage"
    assert cabinet.lights == {"hall": "learning", "court": "idle", "cellar": "idle"}
    assert cabinet.commissioning.view(cabinet.moment).left_ms == 90_000  # "un compte à rebours de 1min30"
    assert not cabinet.present("hall", RESIDENT)  # "clignote rouge/vert et est inopérant"
    assert cabinet.present("court", RESIDENT)
    cabinet.wait(90_000)
    assert cabinet.lights["hall"] == "learning-present"  # "attendez que le lecteur clignote rapidement en rouge"
    assert not cabinet.present("hall", KEY)  # "présentez la clé pendant 2 secondes environ"
    cabinet.wait(2_000)
    assert cabinet.manager["epoch"] == 1  # nothing is green before it is durable
    cabinet.store()
    assert cabinet.answers == [("hall", "learning-done")]  # "doit clignoter rapidement en vert"
    assert (cabinet.manager["epoch"], cabinet.state) == (2, learning.DONE)
    assert cabinet.present("hall", RESIDENT)  # and every pass opens, there too


def test_no_green_means_begin_again() -> None:
    """ "Si le lecteur n'a pas clignoté en vert, retournez … et recommencez": the hand-over still waits."""
    cabinet = ready()
    learn(cabinet, number=STRANGER)
    assert cabinet.answers == [("hall", "learning-failed")]
    assert (cabinet.reason, cabinet.manager["epoch"]) == (refusals.WRONG_KEY, 1)
    assert cabinet.arm() == ""
    learn(cabinet)
    assert cabinet.manager["epoch"] == 2


def test_three_controllers_take_the_same_release() -> None:
    """A release is for the site: each of its controllers uses it once."""
    for _ in range(3):
        cabinet = ready()
        learn(cabinet)
        assert cabinet.manager["epoch"] == 2


# --- the order of checks -----------------------------------------------------------------------------------------

WRONG = {  # what is wrong, in the order in which it is found
    refusals.PASSWORD: {"knows": False},
    refusals.NO_HAND_OVER: {"waits": False},
    refusals.FOREIGN_SITE: {"site": bytes(16)},
    refusals.FOREIGN_CONTROLLER: {"controller": "hall-b"},
    refusals.EPOCH: {"epoch": 5},
    refusals.SUPERSEDED: {"rank": (False, 9)},
    refusals.SECRET: {"secret": b"t" * 16},
    refusals.KEYLESS: {"key": None},
    refusals.WRONG_NUMBER: {"number": OTHER_NUMBER},
    refusals.EXPIRED: {"expires_s": START_S},
    refusals.CLOCK: {"trusted": False},
}


def asked(wrong: dict) -> str:
    """What `refusal` answers where these things are wrong."""
    given = {"knows": True, "waits": True, "site": SITE, "controller": "hall-a", "epoch": 1, "rank": (False, 0)}
    given |= {"secret": b"s" * 16, "key": KEY, "number": NUMBER, "expires_s": START_S + DAY_S, "trusted": True, **wrong}
    handover = Handover(Standing(SITE, 1, "hall-a"))
    claim = claim_of(2, secret=given["secret"], key=given["key"])
    release = release_of(2, expires_s=given["expires_s"])
    handover.pending = None
    if given["waits"]:
        handover.pending = Pending(release, claim)
    handover.standing = Standing(given["site"], given["epoch"], given["controller"])
    handover.rank = given["rank"]
    floor_ms = START_S * 1000 if given["expires_s"] == START_S else 0
    moment = model.Moment(0, START_S * 1000, given["trusted"], floor_ms)
    return handover.refusal(given["knows"], given["number"], moment)


@pytest.mark.parametrize("reason", WRONG)
def test_each_thing_that_is_wrong_has_its_reason(reason: str) -> None:
    assert asked({}) == ""
    assert asked(WRONG[reason]) == reason


def test_the_first_that_applies_is_the_answer() -> None:
    """With two things wrong, the one that is earlier in the order; all pairs."""
    order = list(WRONG)
    for i, first in enumerate(order):
        for later in order[i + 1 :]:
            assert asked({**WRONG[later], **WRONG[first]}) == first, (first, later)


def test_without_a_clock_the_installer_sets_it_first() -> None:
    """The hand-over stays, and is good once the time is known; what is proven to be over is over."""
    cabinet = Cabinet()
    cabinet.trusted = False
    cabinet.deposit(handover_bytes(2))
    cabinet.unlock()
    assert cabinet.arm() == refusals.CLOCK
    cabinet.trusted = True
    assert cabinet.arm() == ""


def test_it_can_run_out_on_the_way_to_the_reader() -> None:
    """Good when the countdown began, over when the key was held: the old manager stays."""
    cabinet = Cabinet()
    cabinet.deposit(handover_bytes(2, "short"))
    cabinet.unlock()
    assert cabinet.arm(countdown_s=110) == ""
    cabinet.wait(118_000)
    cabinet.present("hall", KEY)
    cabinet.wait(2_000)
    assert (cabinet.reason, cabinet.binds, cabinet.manager["epoch"]) == (refusals.EXPIRED, [], 1)


# --- what comes in -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("foreign-site", refusals.FOREIGN_SITE), ("foreign-controller", refusals.FOREIGN_CONTROLLER),
        ("other-secret", refusals.SECRET), ("forged", refusals.STATEMENT), ("unreleased", refusals.NEEDS_RELEASE),
        ("keyless", refusals.KEYLESS), ("good", ""), ("recovery", ""), ("expired", ""), ("withdrawn", ""),
    ],
)  # fmt: skip
def test_what_may_wait(kind: str, reason: str) -> None:
    """Refused statements take nothing's place."""
    cabinet = Cabinet()
    cabinet.deposit(handover_bytes(2, "good"))
    before = cabinet.files[journal.HANDOVER]
    assert cabinet.deposit(handover_bytes(2, kind)) == reason
    assert (cabinet.files[journal.HANDOVER] == before) == (bool(reason) or kind == "good")


def test_a_release_that_was_taken_back() -> None:
    """A later release alone withdraws: what waited is gone, what comes again is too old, the countdown ends."""
    cabinet = ready()
    assert cabinet.deposit(handover_bytes(2, "withdrawn")) == ""
    assert (cabinet.state, cabinet.reason) == (learning.FAILED, refusals.CHANGED)
    assert cabinet.arm() == refusals.NO_HAND_OVER
    assert cabinet.deposit(handover_bytes(2)) == refusals.SUPERSEDED
    cabinet.cut()
    assert cabinet.deposit(handover_bytes(2)) == refusals.SUPERSEDED
    assert cabinet.deposit(handover_bytes(2, "later")) == ""
    assert cabinet.deposit(handover_bytes(2, "recovery")) == ""  # the owner's goes before any of the manager's
    assert cabinet.deposit(handover_bytes(2, "later")) == refusals.SUPERSEDED


def test_the_same_hand_over_twice_disturbs_nothing() -> None:
    """A sync that repeats itself does not end a countdown."""
    cabinet = ready()
    assert cabinet.deposit(handover_bytes(2)) == ""
    assert cabinet.state == learning.ARMED


def test_nothing_comes_in_while_a_manager_is_being_stored() -> None:
    """What was checked is what is bound."""
    cabinet = ready()
    cabinet.wait(90_000)
    cabinet.present("hall", KEY)
    cabinet.wait(2_000)
    assert cabinet.deposit(handover_bytes(2, "later")) == refusals.BUSY
    assert cabinet.take(cabinet.commissioning.cancel("page", cabinet.moment)) == refusals.BUSY
    cabinet.store()
    assert cabinet.manager["epoch"] == 2


def test_it_is_used_once() -> None:
    """After the change the same statements lead nowhere, nor do the old manager's own."""
    cabinet = ready()
    learn(cabinet)
    assert cabinet.deposit(handover_bytes(2)) == refusals.STATEMENT  # its signer is obeyed no more
    own = statements.encode_release(release_of(3), key_of("operational 1"))
    assert cabinet.deposit(statements.encode_handover(own, signed_claim(claim_of(3)))) == refusals.STATEMENT
    assert cabinet.deposit(handover_bytes(3)) == ""  # the new manager may release it further


def test_the_owners_recovery_key_stays() -> None:
    """A new manager cannot bring a recovery key of his own."""
    cabinet = Cabinet()
    other = claim_of(2, recovery_key=b"r" * 32)
    raw = statements.encode_handover(
        statements.encode_release(release_of(2), key_of("operational 1")), signed_claim(other)
    )
    assert cabinet.deposit(raw) == ""
    cabinet.unlock()
    cabinet.arm()
    before = cabinet.manager["recovery"]
    learn(cabinet)
    assert (cabinet.manager["epoch"], cabinet.manager["recovery"]) == (2, before)


def test_what_comes_in_is_in_the_log() -> None:
    """Once each, not again where the same comes again; nothing that is refused, of which a stranger could send much."""
    cabinet = Cabinet()
    for kind in ("good", "good", "forged", "withdrawn", "withdrawn", "later"):
        cabinet.deposit(handover_bytes(2, kind))
    assert [note[0] for note in cabinet.notes] == ["handover-waits", "handover-withdrawn", "handover-waits"]


# --- a factory-new controller ------------------------------------------------------------------------------------


def test_the_first_manager_is_taken_on_trust() -> None:
    """No release is asked for; with a key named in the claim it has to be held, without one the password is enough."""
    cabinet = Cabinet(is_new=True)
    cabinet.trusted = False  # and no clock: nothing here has an end
    raw = statements.encode_handover(b"", signed_claim(claim_of(1)))
    assert cabinet.deposit(raw) == ""
    moment = cabinet.moment
    assert cabinet.take(cabinet.commissioning.adopt("page", NUMBER, moment)) == refusals.PASSWORD
    cabinet.unlock()
    assert cabinet.take(cabinet.commissioning.adopt("page", NUMBER, moment)) == refusals.NO_KEY
    assert cabinet.arm() == ""
    learn(cabinet)
    assert cabinet.manager["epoch"] == 1


def test_the_first_manager_without_a_key() -> None:
    cabinet = Cabinet(is_new=True)
    cabinet.deposit(statements.encode_handover(b"", signed_claim(claim_of(1, key=None))))
    cabinet.unlock()
    assert cabinet.arm() == refusals.KEYLESS
    assert cabinet.take(cabinet.commissioning.adopt("page", OTHER_NUMBER, cabinet.moment)) == refusals.WRONG_NUMBER
    assert cabinet.take(cabinet.commissioning.adopt("page", NUMBER, cabinet.moment)) == ""
    cabinet.store()
    assert cabinet.manager["epoch"] == 1
    assert cabinet.take(cabinet.commissioning.adopt("page", NUMBER, cabinet.moment)) == refusals.NO_HAND_OVER


def test_a_reset_controller_knows_how_far_it_was() -> None:
    """After the button, nothing that was signed for an epoch that was binds it again."""
    cabinet = ready()
    learn(cabinet)
    for step in journal.reset_steps(list(cabinet.files), 2):
        cabinet.write(step)
    cabinet.cut()
    assert cabinet.manager is None
    old = statements.encode_handover(b"", signed_claim(claim_of(2)))
    assert cabinet.deposit(old) == refusals.EPOCH
    far = 2 + MAX_LEAP
    assert cabinet.deposit(statements.encode_handover(b"", signed_claim(claim_of(far + 1)))) == refusals.EPOCH
    assert cabinet.deposit(statements.encode_handover(b"", signed_claim(claim_of(far)))) == ""
    assert cabinet.deposit(statements.encode_handover(b"", signed_claim(claim_of(3)))) == ""


# --- on site -----------------------------------------------------------------------------------------------------


def test_arming_asks_for_everything_first() -> None:
    """Nobody walks to a reader for nothing."""
    cabinet = Cabinet()
    cabinet.unlock()
    assert cabinet.arm() == refusals.NO_HAND_OVER
    cabinet.deposit(handover_bytes(2))
    assert cabinet.arm(countdown_s=9) == refusals.COUNTDOWN
    cabinet.line("hall", False)
    assert cabinet.arm() == refusals.OFFLINE
    assert cabinet.arm(reader="court") == ""
    assert cabinet.arm(reader="cellar") == refusals.BUSY
    assert cabinet.lights["court"] == "learning"


def test_a_session_ends_by_itself() -> None:
    """Fifteen minutes after it was last used; leaving ends it at once, a new password ends the others."""
    cabinet = Cabinet()
    cabinet.deposit(handover_bytes(2))
    cabinet.unlock()
    cabinet.unlock("terminal")
    cabinet.wait(procedure.SESSION_MS - 1)
    assert cabinet.commissioning.knows_password("page", cabinet.moment)
    cabinet.wait(1)
    assert cabinet.arm(session="terminal") == refusals.PASSWORD
    assert cabinet.arm(session="page") == ""
    cabinet.unlock("terminal")
    cabinet.commissioning.password_changed("terminal")
    assert not cabinet.commissioning.knows_password("page", cabinet.moment)
    cabinet.commissioning.leave("terminal")
    assert not cabinet.commissioning.knows_password("terminal", cabinet.moment)


def test_sessions_are_few() -> None:
    """A fifth ends the one that ends soonest."""
    cabinet = Cabinet()
    for name in "abcde":
        assert cabinet.unlock(name) == ""
        cabinet.wait(1_000)
    known = [name for name in "abcde" if cabinet.commissioning.knows_password(name, cabinet.moment)]
    assert known == list("bcde")


def test_five_wrong_passwords_lock_and_outlive_a_power_cut() -> None:
    """30 s; one alarm; the right one is not looked at meanwhile."""
    cabinet = Cabinet()
    reasons = [cabinet.unlock(password=OTHER_PASSWORD) for _ in range(5)]
    assert reasons == [refusals.WRONG_PASSWORD] * 5
    assert cabinet.unlock() == refusals.LOCKED
    cabinet.cut()
    assert cabinet.unlock() == refusals.LOCKED
    cabinet.wait(30_000)
    assert cabinet.unlock() == ""


def test_a_guesser_at_the_menu_locks_no_keypad() -> None:
    """The count of wrong passwords is another than that of wrong codes."""
    cabinet = Cabinet()
    for _ in range(5):
        cabinet.unlock(password=OTHER_PASSWORD)
    assert not cabinet.controller.lockout.is_locked(cabinet.mono_ms)


def test_the_first_lock_is_an_alarm() -> None:
    cabinet = Cabinet()
    alarms = []
    for _ in range(6):
        if not cabinet.commissioning.try_password(cabinet.moment):
            answer = cabinet.commissioning.tried("page", False, cabinet.moment)
            alarms += [output for output in answer.outputs if isinstance(output, procedure.Alarm)]
    assert len(alarms) == 1


# --- power cuts --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("after_ms", [0, 89_000, 95_000, 131_000], ids=["armed", "countdown", "fast red", "failed"])
def test_a_power_cut_while_learning_leaves_the_old_manager(after_ms: int) -> None:
    """The reader works again, the installer is told, and can go on where he was: the hand-over still waits."""
    cabinet = ready()
    cabinet.wait(after_ms)
    was_busy = cabinet.commissioning.learning.is_busy
    cabinet.cut()
    assert cabinet.manager["epoch"] == 1
    assert cabinet.reason == (refusals.INTERRUPTED if was_busy else "")
    assert set(cabinet.lights.values()) == {"idle"}
    assert cabinet.unlock() == ""
    assert cabinet.arm() == ""
    learn(cabinet)
    assert cabinet.manager["epoch"] == 2


@pytest.mark.parametrize("steps", range(6))
def test_a_power_cut_while_storing_leaves_one_whole_manager(steps: int) -> None:
    """After each step of the journal; the start says how it ended, and clears away what is of the other one."""
    cabinet = ready()
    cabinet.wait(90_000)
    cabinet.present("hall", KEY)
    cabinet.wait(2_000)
    assert len(cabinet.todo) == 5
    cabinet.store(steps)
    cabinet.cut()
    is_new = steps >= 3
    assert cabinet.manager["epoch"] == 1 + is_new
    if steps < 5:
        assert (cabinet.state, cabinet.reason) == ((learning.DONE, "") if is_new else ("failed", refusals.INTERRUPTED))
    left = {"manager.toml", *({"manager-1.toml", "enrol-2.cbor"} if is_new else {journal.HANDOVER})}
    assert set(cabinet.files) == left
    assert cabinet.handover.standing.epoch == 1 + is_new
    assert (cabinet.unlock(), cabinet.arm()) == ("", refusals.NO_HAND_OVER if is_new else "")


# --- words -------------------------------------------------------------------------------------------------------


def test_every_reason_has_words_and_a_way_on() -> None:
    """No reason without a text, no text without a reason, each one different."""
    words = {value for name, value in vars(refusals).items() if name.isupper() and isinstance(value, str)}
    words -= {value for value in words if " " in value}
    assert words == set(refusals.TEXTS)
    whats = [text.what for text in refusals.TEXTS.values()]
    assert len(set(whats)) == len(whats)
    assert all(text.way_on.endswith(".") and text.what.endswith(".") for text in refusals.TEXTS.values())


def test_every_reason_is_in_the_page() -> None:
    """docs/commissioning.md lists each of them, and no other."""
    text = (Path(__file__).parents[2] / "docs" / "commissioning.md").read_text("utf-8")
    part = text.split("## Reasons", 1)[1].split("\n## ", 1)[0]
    assert re.findall(r"^\| `([a-z-]+)` \|", part, re.MULTILINE) == list(refusals.TEXTS)


def test_the_view_tells_no_secret() -> None:
    """Neither the manager's number that has to be brought, nor the key, nor the secret."""
    cabinet = Cabinet()
    cabinet.deposit(handover_bytes(2))
    view = cabinet.commissioning.view(cabinet.moment)
    assert view.has_handover
    assert view.expires_s == START_S + 7 * DAY_S
    assert NUMBER not in view
    assert view.root_print == claim_of(2).root_print != claim_of(3).root_print
    claim = statements.verify_claim(signed_claim(claim_of(2)), DEVICE)
    assert repr(claim.secret) not in repr(claim)
    assert "code" not in repr(claim)
