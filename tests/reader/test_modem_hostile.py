"""What comes over a modem's line that means harm, or is only half of what was meant: messages, noise, floods."""

import random
import tracemalloc

import pytest
from modem_bench import CALLER, RINGING, Bench, asked

from edge.reader import modem_call
from edge.reader.modem import Down, Up
from edge.reader.modem_call import Rang
from edge.reader.modem_commands import ANSWER_MS, MOST_WAITING
from edge.reader.modem_inbox import Message
from edge.reader.modem_sms import PduError, read
from edge.reader.modem_text import LONGEST, Lines, fields

# --- messages ---------------------------------------------------------------------------------------------------


def test_messages_as_the_specification_packs_them() -> None:
    """Literal PDUs: "hellohello" in 7 bits (the known example of TS 23.040's packing), 16 bits, a sender in letters."""
    centre = "07917283010010F5"
    assert read(centre + "040BC87238880900F10000993092516195800AE8329BFD4697D9EC37") == (
        "27838890001",
        200,
        "hellohello",
    )
    assert read(centre + "040B911316325476F80008993092516195800800480069002020AC") == ("+31612345678", 145, "Hi €")
    assert read(centre + "040B911316325476F80000993092516195800205" + "00")[2] == "é@"
    letters = read(centre + "0406D0C8329B0000993092516195800131")
    assert (letters[0], letters[2]) == ("Hel", "1")


@pytest.mark.parametrize(
    "pdu",
    ["", "00", "zz", "07", "07917283010010F5", "07917283010010F5040BC87238880900F10000993092516195800AE832",
     "07917283010010F5050BC87238880900F10000993092516195800AE8329BFD4697D9EC37", "FF" * 200, "00" * 200],
)  # fmt: skip
def test_a_message_that_is_none_is_refused(pdu: str) -> None:
    """Cut short, not in hex, of another type: PduError, or nothing worse than an empty text."""
    try:
        _, _, text = read(pdu)
    except PduError:
        text = ""
    assert text.strip("@ ") == ""


def test_random_messages_never_crash() -> None:
    """20,000 random and mutated PDUs: a text of at most 160 printable characters, or PduError."""
    chance = random.Random(20_260_704)
    good = bytes.fromhex("07917283010010F5040BC87238880900F10000993092516195800AE8329BFD4697D9EC37")
    for _ in range(20_000):
        data = bytearray(good if chance.random() < 0.7 else chance.randbytes(chance.randrange(80)))
        for _ in range(chance.randrange(1, 4)):
            if data:
                data[chance.randrange(len(data))] = chance.randrange(256)
        try:
            _, _, text = read(data[: chance.randrange(len(data) + 1)].hex() if chance.random() < 0.5 else data.hex())
        except PduError:
            continue
        assert len(text) <= 160
        assert text.isprintable()


def test_a_message_in_text_form_would_ring() -> None:
    """Why messages are read in PDU form: the lines of a text stand between the modem's own (negative control)."""
    bench = Bench(
        {"AT+CMGR=3": "+CMGR: 0,,30\r\n07917283010010F5040BC87238880900F10000993092516195800AE8329BFD4697D9EC37"}
    )
    bench.hear(b'\r\n+CMTI: "SM",3\r\n')
    assert [type(fact) for fact in bench.facts] == [Up, Message]
    assert bench.told[-2:] == ["AT+CMGR=3", "AT+CMGD=3"]
    bench.answers["AT+CMGR=4"] = (
        '+CMGR: "REC UNREAD","+33699999999","",""\r\nx\r\nOK\r\nRING\r\n+CLIP: "+33612000001",145'
    )
    bench.hear(b'\r\n+CMTI: "SM",4\r\n')
    assert bench.rang() == [CALLER]


# --- a line that means harm -------------------------------------------------------------------------------------


def test_one_byte_at_a_time_with_noise_and_echo() -> None:
    """Bytes one by one, noise before, echo on: the same caller, once."""
    bench = Bench()
    for byte in b"\x00\xff\xfe" + RINGING:
        bench.hear(bytes((byte,)))
    assert bench.rang() == [CALLER]
    assert bench.dialogue.status()["noise_bytes"] == 3


def test_lines_between_a_command_and_its_answer() -> None:
    """A caller, a key and a registration arrive before the answer to a command, which is still understood."""
    bench = Bench()
    dialogue = asked(bench)
    dialogue.received(b"\r\n+CREG: 5\r\n" + RINGING + b"\r\n+CREG: 1,1\r\n\r\n+CREG: 5\r\n", bench.now_ms)
    assert dialogue.status()["registration"] == "roaming"
    bench.hear(b"\r\nOK\r\n")
    assert bench.rang() == [CALLER]
    assert dialogue.status()["registration"] == "home network"  # what was asked for, not the lines around it
    assert (dialogue.status()["time_outs"], dialogue.status()["restarts"]) == (0, 0)


@pytest.mark.parametrize("answer", [b"AT+CREG?\r\r\n+CREG: 1,1\r\n\r\nOK\r\n", b"\r\n+CREG: 0,1\r\n\r\nOK\r\n"])
def test_a_reset_that_nobody_told_is_seen(answer: bytes) -> None:
    """Echo that was off, or a setting that is gone: the modem is set up again (negative control: the right answer)."""
    bench = Bench()
    asked(bench)
    bench.hear(answer)
    assert bench.dialogue.status()["restarts"] == 1
    bench.pass_time(2000)
    assert bench.dialogue.is_up
    asked(bench)
    bench.hear(b"\r\n+CREG: 1,1\r\n\r\nOK\r\n")
    assert bench.dialogue.status()["restarts"] == 1


def test_a_late_answer_is_nobodys() -> None:
    """After a time-out only the probe's own words end the waiting: a late OK is not taken for "no calls"."""
    bench = Bench({"AT+CLCC": '+CLCC: 1,0,0,0,0,"+33612000004",145'})
    bench.dialogue.dial(33612000004, 20, bench.now_ms)
    bench.pass_time(2000)
    bench.now_ms += modem_call.LOOK_MS
    bench.dialogue.due(bench.now_ms)
    assert bench.dialogue.take_outgoing() == b"AT+CLCC\r"
    bench.now_ms += ANSWER_MS
    bench.dialogue.due(bench.now_ms)
    bench.facts.clear()
    assert bench.dialogue.take_outgoing() == b"AT+CMEE?\r"
    bench.hear(b"\r\nOK\r\n\r\nERROR\r\n")
    assert bench.told[-1] == "AT+CLCC"
    bench.hear(b"\r\n+CMEE: 1\r\n\r\nOK\r\n")
    bench.pass_time(5000)
    assert bench.facts == []
    assert bench.dialogue.call.state == modem_call.TALKING


def test_a_cut_line_is_no_line() -> None:
    """A line that stops in the middle tells nothing, whenever the rest comes; a cut number is a number cut short."""
    bench = Bench()
    bench.hear(b'\r\nRING\r\n\r\n+CLIP: "+33612')
    assert bench.rang() == []
    bench.pass_time(modem_call.NUMBER_MS)
    assert bench.rang() == [None]


def test_long_lines_are_dropped_and_counted() -> None:
    """A quarter of a megabyte without an end takes no memory, counts once, and does not hide what follows."""
    lines = Lines()
    tracemalloc.start()
    for _ in range(256):
        assert lines.feed(b"A" * 1024) == []
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 100 * LONGEST
    assert lines.feed(b"\r\nRING\r\n") == ["RING"]
    assert lines.dropped == 1
    assert lines.feed(b"+CL\x07IP: 1\r\nOK\r\n") == ["OK"]
    assert lines.dropped == 2


def test_fields_respect_quotes() -> None:
    """Commas inside quotes do not cut; missing quotes do no harm."""
    assert fields('+CLIP: "+336",145,"a,b",0') == ["+336", "145", "a,b", "0"]
    assert fields('+X: "a') == ["a"]
    assert fields("+X") == [""]


def test_floods_are_bounded() -> None:
    """10,000 of each unsolicited line: nobody is told twice, queues stay short, the dialogue goes on."""
    bench = Bench()
    dialogue = bench.dialogue
    told_before = len(bench.told)
    dialogue.received(RINGING * 10_000, bench.now_ms)
    dialogue.received(b"".join(b'\r\n+CMTI: "SM",%d\r\n' % at for at in range(10_000)), bench.now_ms)
    dialogue.received(b"\r\nNO CARRIER\r\nBUSY\r\n+DTMF: 1\r\n+CREG: 1\r\nhello\r\n" * 10_000, bench.now_ms)
    assert len(dialogue._commands._waiting) <= MOST_WAITING
    bench.converse()
    assert bench.rang() == [CALLER]
    assert len(bench.told) - told_before < 60
    assert dialogue.status()["lost_messages"] >= 9_990
    for _ in range(1000):
        dialogue.received(b"\r\nRDY\r\n", bench.now_ms)
    bench.converse()
    bench.pass_time(120_000)
    assert dialogue.is_up


def test_random_lines_never_crash_and_open_nothing() -> None:
    """20,000 mutations of a modem's whole talk, split anywhere, with time going by: no exception, bounded facts,
    and no number or PIN in the status."""
    seed = 20_260_705
    chance = random.Random(seed)
    talk = (
        RINGING + b'\r\n+CMTI: "SM",1\r\n\r\n+CREG: 1\r\n\r\nRDY\r\n\r\n+CPIN: SIM PIN\r\n\r\nOK\r\n\r\nERROR\r\n'
        b'\r\n+CME ERROR: 10\r\n\r\n+CLCC: 1,0,0,0,0,"+33612000004",145\r\n\r\n+CMEE: 1\r\n\r\nBUSY\r\n'
        b'\r\nNO CARRIER\r\n\r\n+DTMF: 1\r\n\r\n+CCWA: "+33612000002",145,1\r\n\r\n+SPIC: 3,3,10,10\r\n'
        b"\r\n+CSQ: 99,99\r\n"
    )
    bench = Bench(pin="4821")
    dialogue = bench.dialogue
    for turn in range(20_000):
        data = bytearray(talk[chance.randrange(len(talk)) :][: chance.randrange(1, 120)])
        for _ in range(chance.randrange(4)):
            data[chance.randrange(len(data))] = chance.randrange(256)
        if turn % 50 == 0:
            dialogue.dial(33612000004, 20, bench.now_ms)
        if turn % 70 == 0:
            dialogue.hang_up(bench.now_ms)
        bench.now_ms += chance.choice((0, 1, 40, 700, 5000))
        dialogue.received(bytes(data), bench.now_ms)
        dialogue.due(bench.now_ms)
        assert len(dialogue.take_facts()) < 50, f"seed {seed}, turn {turn}"
        assert len(dialogue.take_outgoing()) < 2000
        due_ms = dialogue.next_due()
        assert due_ms is None or due_ms >= bench.now_ms, f"seed {seed}, turn {turn}"
    assert not any(digits in str(dialogue.status()) for digits in ("612000", "4821"))
    bench.pass_time(300_000)
    assert dialogue.is_up


def test_numbers_and_pins_are_not_shown() -> None:
    """Nothing that is printed holds a number, a text or a PIN."""
    for value in (Rang(CALLER), Message(str(CALLER), "secret")):
        assert str(CALLER) not in repr(value)
        assert "secret" not in repr(value)
    bench = Bench({"AT+CPIN?": "+CPIN: SIM PIN", "AT+SPIC": "+SPIC: 3,3,10,10"}, pin="4821")
    bench.pass_time(60_000)
    assert 'AT+CPIN="4821"' in bench.told
    assert "4821" not in str(bench.dialogue.status()) + repr(bench.facts)
    assert any(isinstance(fact, Down) for fact in bench.facts)
