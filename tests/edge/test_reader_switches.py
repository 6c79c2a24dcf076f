"""What readers tell of their own inputs, as buttons, contacts and tampers: what counts after a session was lost."""

from edge.config import DoorLines
from edge.decision.model import Contact, ExitPressed, LineAlarm, Tamper
from edge.reader.inputs import InputsSeen
from edge.reader_switches import ReaderSwitches

CONTACT, EXIT, TAMPER = range(3)  # the reader's inputs; a closed circuit is True


def switches(**changes: object) -> ReaderSwitches:
    lines = {"contact": f"osdp:in:{CONTACT}", "exit": f"osdp:in:{EXIT}", "tamper": f"osdp:in:{TAMPER}", **changes}
    return ReaderSwitches([DoorLines(id="hall", outputs={}, **lines)])  # type: ignore[arg-type]


def seen(contact: bool = True, button: bool = False, tamper: bool = True) -> InputsSeen:
    """The leaf closed, nobody at the button, the housing closed, unless said otherwise."""
    return InputsSeen("in", (contact, button, tamper))


def test_how_things_stand_is_told_once_and_each_change() -> None:
    """At first where the leaf is; no tamper that never was, no button."""
    it = switches()
    assert it.inputs(seen()) == [Contact("hall", False)]
    assert it.inputs(seen()) == []
    assert it.inputs(seen(contact=False)) == [Contact("hall", True)]
    assert it.inputs(seen(contact=False, button=True)) == [ExitPressed("hall")]
    assert it.inputs(seen(contact=False)) == []
    assert it.inputs(seen(contact=False, tamper=False)) == [Tamper("", "hall", True)]
    assert it.inputs(seen(contact=False)) == [Tamper("", "hall", False)]


def test_a_button_that_is_held_when_a_session_begins_opens_nothing() -> None:
    """The first, and each one after a loss: it counts when it is pressed again."""
    it = switches()
    for _ in range(2):
        assert ExitPressed("hall") not in it.inputs(seen(button=True))
        assert it.inputs(seen(button=False)) == []
        assert it.inputs(seen(button=True)) == [ExitPressed("hall")]
        it.inputs(seen(button=False))
        it.line_down("in")


def test_the_leaf_is_told_anew_after_a_loss() -> None:
    """It may have moved meanwhile and be back."""
    it = switches()
    it.inputs(seen())
    it.line_down("in")
    assert it.inputs(seen()) == [Contact("hall", False)]


def test_a_tamper_is_told_once_however_often_the_line_is_lost() -> None:
    """Whoever opens the housing and shakes the cable must not fill the log; that it is over is told, too."""
    it = switches()
    it.inputs(seen())
    assert it.inputs(seen(tamper=False)) == [Tamper("", "hall", True)]
    for _ in range(3):
        it.line_down("in")
        assert Tamper("", "hall", True) not in it.inputs(seen(tamper=False))
    it.line_down("in")
    assert Tamper("", "hall", False) in it.inputs(seen())


def test_a_housing_that_is_open_when_the_session_begins_is_told() -> None:
    """Nobody told of it yet."""
    assert Tamper("", "hall", True) in switches().inputs(seen(tamper=False))


def test_an_input_that_the_reader_has_not_is_an_alarm_once() -> None:
    """Also for a tamper, which would else seem well for ever."""
    it = switches(tamper="osdp:in:7", exit="")
    alarm = LineAlarm("hall", "in has 3 inputs, agent.toml asks for input 7")
    assert it.inputs(seen()) == [Contact("hall", False), alarm]
    assert it.inputs(seen(contact=False)) == [Contact("hall", True)]


def test_another_readers_loss_changes_nothing() -> None:
    """Each reader has its own session."""
    it = switches()
    it.inputs(seen())
    it.line_down("out")
    assert it.inputs(seen()) == []
    assert it.inputs(InputsSeen("out", (False, True, False))) == []


def test_an_inverted_switch_is_the_other_way_round() -> None:
    """`inverted`: a button that opens its circuit, a contact that closes it with the leaf open."""
    it = ReaderSwitches([DoorLines(id="hall", outputs={}, contact="osdp:in:0", exit="osdp:in:1", inverted=("exit",))])
    it.inputs(InputsSeen("in", (True, True)))
    assert it.inputs(InputsSeen("in", (True, False))) == [ExitPressed("hall")]
