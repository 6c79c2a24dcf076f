"""The learning reader by itself: its table, its times, and each way to fail."""

import pytest

from edge.commissioning import learning, refusals
from edge.commissioning.learning import Free, Held, Hold, Learning, Note
from edge.decision import indications

KEY, OTHER = 4_711, 999


def armed(countdown_s: int = 90) -> Learning:
    learner = Learning()
    learner.arm("hall", 77, lambda number: number == KEY, 0, countdown_s)
    return learner


def presenting() -> Learning:
    """Blinking fast in red since 90,000 ms."""
    learner = armed()
    learner.tick(90_000)
    return learner


def holding(*reads_ms: int) -> Learning:
    """The key was read at these times after 90,000 ms."""
    learner = presenting()
    for at_ms in reads_ms:
        learner.read("hall", KEY, True, 90_000 + at_ms)
    return learner


def failed(outputs: list) -> str:
    """The reason, where outputs say that it failed and set the reader free."""
    notes = [output for output in outputs if isinstance(output, Note)]
    assert outputs[-1] == Free("hall", "learning-failed")
    assert notes[-1].what == "learning-failed"
    return notes[-1].detail


def test_the_countdown_blinks_and_then_asks_for_the_key() -> None:
    """90 s of red/green, then fast red; both lights hold the reader out of use."""
    learner = Learning()
    outputs = learner.arm("hall", 77, lambda number: False, 0)
    assert outputs == [Note("learning-armed", "hall", "manager 77, 90 s"), Hold("hall", "learning")]
    assert learner.tick(89_999) == []
    assert learner.tick(90_000) == [Hold("hall", "learning-present")]
    assert learner.state == learning.PRESENTING


def test_every_light_that_is_asked_for_exists() -> None:
    """The outcomes are those of the one table, lasting and passing as they are used."""
    for outcome in ("learning", "learning-present"):
        assert indications.TABLE[outcome].total_ms == 0
    assert indications.TABLE["learning-done"].total_ms == 3_000
    assert indications.TABLE["learning-failed"].total_ms > 0


@pytest.mark.parametrize(
    ("countdown_s", "steps", "left_s"),
    [(90, 1, 100), (90, -3, 60), (90, -9, 10), (90, 99, 600), (600, 1, 600), (10, -1, 10), (20, 0, 20)],
)
def test_the_menu_keys_change_the_countdown(countdown_s: int, steps: int, left_s: int) -> None:
    """By 10 s each, between 10 and 600 s."""
    learner = armed(countdown_s)
    learner.adjust(steps, 0)
    assert learner.left_ms(0) == left_s * 1000


def test_the_menu_keys_never_lengthen_by_shortening() -> None:
    """With less than 10 s left, "shorter" leaves it as it is; afterwards the keys do nothing."""
    learner = armed()
    learner.adjust(-1, 85_000)
    assert learner.left_ms(85_000) == 5_000
    learner.tick(90_000)
    learner.adjust(5, 90_000)
    assert learner.left_ms(90_000) == learning.PRESENT_MS


@pytest.mark.parametrize("countdown_s", [9, 601, 0, -90])
def test_a_countdown_out_of_bounds_is_no_countdown(countdown_s: int) -> None:
    with pytest.raises(ValueError, match="countdown"):
        armed(countdown_s)


def test_a_second_reader_cannot_learn_at_the_same_time() -> None:
    with pytest.raises(ValueError, match="armed"):
        armed().arm("court", 77, lambda number: True, 0)


def test_nothing_counts_in_the_countdown() -> None:
    """The reader is out of use: neither the key nor a resident's badge changes anything, and they are counted."""
    learner = armed()
    for number in (KEY, OTHER, None):
        assert learner.read("hall", number, True, 1_000) == []
    assert (learner.state, learner.ignored) == (learning.ARMED, 3)


def test_other_readers_are_not_looked_at() -> None:
    """Wrong cards elsewhere spoil nothing, in any state."""
    for learner in (armed(), presenting(), holding(0)):
        before = learner.state
        assert learner.read("court", OTHER, True, 90_500 if before != learning.ARMED else 500) == []
        assert learner.offline("court", 90_600 if before != learning.ARMED else 600) == []
        assert learner.state == before


def test_a_reader_that_reports_once() -> None:
    """One report, two seconds without another card, and it was held."""
    learner = holding(0)
    assert learner.tick(91_999) == []
    assert learner.tick(92_000) == [Held()]
    assert learner.stored() == [Note("learning-done", "hall", ""), Free("hall", "learning-done")]
    assert learner.state == learning.DONE


@pytest.mark.parametrize("every_ms", [50, 100, 250, 500, 1_000])
def test_a_reader_that_repeats_until_the_key_is_taken_away(every_ms: int) -> None:
    """Green comes after the key went, not before."""
    times = list(range(0, 4_001, every_ms))
    learner = holding(*times)
    assert learner.state == learning.HOLDING
    assert learner.tick(94_000 + learning.AWAY_MS - learning.BOUNCE_MS - 1) == []
    assert learner.tick(94_000 + learning.AWAY_MS) == [Held()]


@pytest.mark.parametrize("every_ms", [100, 250, 400])
def test_a_reader_that_repeats_sees_a_key_taken_early(every_ms: int) -> None:
    """A second is too short."""
    learner = holding(*range(0, 1_001, every_ms))
    assert failed(learner.tick(95_000)) == refusals.TAKEN_EARLY


def test_a_stutter_is_no_repetition() -> None:
    """A reader that reports a key twice at the edge of its field still counts as one that reports once."""
    assert holding(0, 40, 80, 120).tick(92_000) == [Held()]
    assert holding(0, 300).tick(92_000) == [Held()]
    assert holding(0, 1_000).tick(92_500) == [Held()]


def test_a_key_that_is_left_there() -> None:
    """Half a minute at the reader is nobody's hand."""
    learner = presenting()
    outputs: list = []
    for at_ms in range(90_000, 130_000, 500):
        outputs += learner.read("hall", KEY, True, at_ms)
    assert failed(outputs) == refusals.LEFT_THERE


@pytest.mark.parametrize(
    ("number", "secure", "reason"),
    [(OTHER, True, refusals.WRONG_KEY), (None, True, refusals.UNREADABLE), (KEY, False, refusals.NOT_SECURE)],
)
def test_what_is_not_the_key_fails(number: int | None, secure: bool, reason: str) -> None:
    """One look each time: guessing takes the whole procedure again."""
    learner = presenting()
    assert failed(learner.read("hall", number, secure, 91_000)) == reason
    assert learner.read("hall", KEY, True, 91_100) == []
    assert learner.state == learning.FAILED


def test_another_card_while_the_key_is_held() -> None:
    assert failed(holding(0).read("hall", OTHER, True, 90_500)) == refusals.OTHER_CARD


def test_no_key_comes() -> None:
    learner = presenting()
    assert learner.tick(90_000 + learning.PRESENT_MS - 1) == []
    assert failed(learner.tick(90_000 + learning.PRESENT_MS)) == refusals.NO_KEY


@pytest.mark.parametrize("make", [armed, presenting, lambda: holding(0)], ids=["armed", "presenting", "holding"])
def test_a_reader_that_goes_away(make) -> None:
    """Unplugged in each state."""
    learner = make()
    at_ms = 90_100 if learner.state != learning.ARMED else 100
    assert failed(learner.offline("hall", at_ms)) == refusals.OFFLINE


def test_what_was_learnt_outlives_a_cut_cable() -> None:
    """While it is being stored, nothing at the reader matters any more."""
    learner = holding(0)
    learner.tick(92_000)
    assert learner.offline("hall", 92_001) == []
    assert learner.read("hall", OTHER, True, 92_002) == []
    assert learner.stored()[-1] == Free("hall", "learning-done")


def test_what_could_not_be_stored_is_not_green() -> None:
    learner = holding(0)
    learner.tick(92_000)
    assert failed(learner.fail(refusals.NOT_STORED)) == refusals.NOT_STORED


def test_late_ticks_run_every_step_at_its_own_time() -> None:
    """An agent that slept for an hour finds the countdown and the time for the key over."""
    outputs = armed().tick(3_600_000)
    assert outputs[0] == Hold("hall", "learning-present")
    assert failed(outputs) == refusals.NO_KEY


def test_a_read_is_judged_after_what_was_due_before_it() -> None:
    """A key that comes after the time for it is over does not count."""
    learner = armed()
    assert failed(learner.read("hall", KEY, True, 90_000 + learning.PRESENT_MS)) == refusals.NO_KEY


def test_the_table_leads_from_every_busy_state_to_an_end() -> None:
    """Every busy state can fail, only storing leads to done, and every end can begin anew."""
    for state in learning.BUSY:
        assert learning.TABLE[state, "fail"] == learning.FAILED
    assert [at for at, to in learning.TABLE.items() if to == learning.DONE] == [(learning.BINDING, "stored")]
    for state in (learning.IDLE, learning.DONE, learning.FAILED):
        assert learning.TABLE[state, "arm"] == learning.ARMED


def test_nothing_can_be_stored_that_was_not_learnt() -> None:
    for learner in (Learning(), armed(), presenting(), holding(0)):
        with pytest.raises(ValueError, match="nothing to store"):
            learner.stored()
