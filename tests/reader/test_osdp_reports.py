"""What a reader reports counts only once it has nothing more to say from before the session."""

import pytest

from edge.reader.osdp import messages, reports
from edge.reader.osdp.facts import Card, InputStates, Keys
from edge.reader.osdp.reports import Reports

CARD = messages.Raw(0, 0, 26, b"\x12\x34\x56\x40")
KEYS = messages.Keypad(0, b"4711")


def begun() -> Reports:
    it = Reports()
    it.begin(messages.Capabilities(b""))
    return it


@pytest.mark.parametrize("kept", [CARD, KEYS])
def test_what_was_presented_before_the_session_is_dropped_and_counted(kept: object) -> None:
    """Until the reader once says ACK to a POLL; then it counts."""
    it = begun()
    assert it.take(kept, 1) == ()
    assert not it.is_drained(kept, messages.POLL)
    assert it.stale == 1
    assert it.is_drained(messages.Ack(), messages.POLL)
    assert [type(fact) for fact in it.take(kept, 2)] == [Card if kept is CARD else Keys]
    assert it.stale == 1


def test_an_ack_to_another_command_does_not_say_that_nothing_is_left() -> None:
    """A reader says ACK to a LED at once, with the card of a minute ago still in its memory."""
    it = begun()
    for code in (0x69, 0x6A, 0x68):  # LED, BUZ, OUT
        assert not it.is_drained(messages.Ack(), code)
        assert it.take(CARD, 1) == ()
    assert it.is_drained(messages.Ack(), messages.POLL)


def test_a_session_that_is_lost_makes_it_stale_again() -> None:
    """What is presented while the line is away is of before the next session."""
    it = begun()
    assert it.is_drained(messages.Ack(), messages.POLL)
    it.forget()
    assert it.take(CARD, 1) == ()
    it.begin(messages.Capabilities(b""))
    assert it.take(CARD, 1) == ()


def test_a_reader_that_always_has_something_to_say_is_called_on_line_in_the_end() -> None:
    """After as many answers as no reader's memory holds."""
    it = begun()
    answers = 0
    while not it.is_drained(CARD, messages.POLL):
        answers += 1
        assert answers <= 2 * reports._LARGEST_BACKLOG
    assert answers == reports._LARGEST_BACKLOG
    assert it.take(CARD, 1) != ()


def test_inputs_from_before_tell_only_how_they_stand_in_the_end() -> None:
    """A press and its end that the reader kept are none; the last state is told when it is drained."""
    it = begun()
    for states in ((0, 1), (0, 0), (1, 0)):
        assert it.take(messages.Inputs(bytes(states)), 1) == ()
    assert it.is_drained(messages.Ack(), messages.POLL)
    assert it.inputs_now() == (InputStates((True, False)),)
    assert it.take(messages.Inputs(bytes((1, 0))), 2) == ()
    assert it.take(messages.Inputs(bytes((1, 1))), 3) == (InputStates((True, True)),)
