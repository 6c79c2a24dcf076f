"""The modem's dialogue without a port: literal lines of makers' manuals, numbers, and the table of calls."""

import pytest
from modem_bench import CALLER, RINGING, Bench, asked

from edge.reader import modem, modem_call
from edge.reader.modem import Dialogue, Up
from edge.reader.modem_call import Call, Progress
from edge.reader.modem_commands import ANSWER_MS
from edge.reader.modem_number import check_country_code, e164


def test_the_set_up_says_what_the_specifications_ask() -> None:
    """Echo off, numbered errors, caller numbers, registration, PDU form, stored messages, tones: all before Up."""
    bench = Bench()
    assert bench.told[:5] == ["AT", "AT+CMEE?", "ATE0", "ATV1", "AT+CMEE=1"]
    for command in ("AT+CLIP=1", "AT+CREG=1", "AT+CMGF=0", "AT+CNMI=2,1,0,0,0", "AT+DDET=1"):
        assert bench.told.count(command) == 1, command
    assert bench.facts == [Up("simcom modem, home network")]
    assert bench.dialogue.status()["signal"] == 18


@pytest.mark.parametrize(
    ("maker", "line", "key"),
    [
        ("SIMCOM_Ltd", "+DTMF:1", "1"),
        ("SIMCOM_Ltd", "+DTMF: #,160", "#"),
        ("SIMCOM INCORPORATED", "+RXDTMF: *", "*"),
        ("Quectel", "+QTONEDET: 49", "1"),
        ("Quectel", "+QTONEDET: 35", "#"),
        ("SIMCOM_Ltd", "+DTMF:1400", None),
        ("Quectel", "+QTONEDET: 999", None),
        ("Quectel", "+QTONEDET: 7", None),
        ("Quectel", "+DTMF: 1", None),
    ],
)
def test_keys_as_makers_tell_them(maker: str, line: str, key: str | None) -> None:
    """The unsolicited lines of the manuals give the key; others, and those of another maker, give none."""
    bench = Bench({"AT+CGMI": maker, "AT+CLCC": '+CLCC: 1,0,0,0,0,"+33612000004",145'})
    bench.dialogue.dial(33612000004, 20, bench.now_ms)
    bench.pass_time(1000)
    bench.facts.clear()
    bench.hear(f"\r\n{line}\r\n".encode())
    assert bench.facts == ([Progress("key", key)] if key else [])


@pytest.mark.parametrize(
    ("clip", "number"),
    [
        ('+CLIP: "+33612000001",145', CALLER),
        ('+CLIP: "+33612000001",145,"",0,"",0', CALLER),
        ('+CLIP: "+33612000001",145,,,"Dupont, \'Le Gal\'",0', CALLER),
        ('+CLIP: "0612000001",129,"",0,"",0', CALLER),
        ('+CLIP: "",128,"",0,"",1', None),
        ('+CLIP: "+33612000001",145,"",0,"",1', None),
        ('+CLIP: "",128', None),
        ('+CLIP: "12345",129', None),
    ],
)
def test_callers_as_modems_show_them(clip: str, number: int | None) -> None:
    """+CLIP in its forms (TS 27.007, 7.11): the number, or None where it is withheld or a short code."""
    bench = Bench()
    bench.hear(f"\r\nRING\r\n\r\n{clip}\r\n".encode())
    assert bench.rang() == [number]
    assert bench.told[-2:] == ["AT+CHUP", "AT+CLCC"]


@pytest.mark.parametrize("clip", ['+CLIP: "+3361\xff00001",145', "+CLIP: ", '+CLIP: "+33612000001"', '+CLIP: "a",x'])
def test_a_garbled_number_is_nobody(clip: str) -> None:
    """What is no number is not made one: the call is hung up as that of nobody."""
    bench = Bench()
    bench.hear(f"\r\nRING\r\n\r\n{clip}\r\n".encode("latin-1"))
    assert bench.rang() == []
    bench.pass_time(modem_call.NUMBER_MS)
    assert bench.rang() == [None]
    assert bench.told[-2:] == ["AT+CHUP", "AT+CLCC"]


@pytest.mark.parametrize(
    ("shown", "kind", "country", "number"),
    [
        ("+33612000001", 145, "33", CALLER),
        ("33612000001", 145, "33", CALLER),
        ("0033612000001", 145, "33", CALLER),
        ("0612000001", 129, "33", CALLER),
        ("0033612000001", 129, "33", CALLER),
        ("612000001", 161, "33", CALLER),
        ("0612000001", 161, "33", CALLER),
        ("+447546288399", 129, "33", 447546288399),
        ("07546288399", 129, "44", 447546288399),
        ("2125550123", 129, "1", 12125550123),
        ("12125550123", 129, "1", 12125550123),
        ("01133612000001", 129, "1", CALLER),
        ("0612345678", 129, "39", 390612345678),
        ("612345678", 129, "34", 34612345678),
        ("0612000001", 145, "33", None),
        ("3400", 129, "33", None),
        ("", 129, "33", None),
        ("+", 145, "33", None),
        ("٠٦١٢٠٠٠٠٠١", 129, "33", None),
        ("06 12 00", 129, "33", None),
        ("MaBanque", 208, "33", None),
        ("12345678901234567", 145, "33", None),
        ("0612000001", 193, "33", None),
    ],
)
def test_numbers_become_e164(shown: str, kind: int, country: str, number: int | None) -> None:
    """International, national and unknown types (TS 24.008, 10.5.4.7), trunk and foreign prefixes by country."""
    assert e164(shown, kind, country) == number


@pytest.mark.parametrize("code", ["", "0", "033", "+33", "3333", "FR", "٣٣"])
def test_a_country_code_that_is_none(code: str) -> None:
    """A wrong country code is refused when the modem is made."""
    with pytest.raises(ValueError, match="country code"):
        check_country_code(code)


@pytest.mark.parametrize("pin", ["", "123", "123456789", "12a4", '1"4\r', "١٢٣٤"])
def test_a_pin_that_is_none_is_not_shown(pin: str) -> None:
    """A PIN that cannot be one is refused without being repeated."""
    with pytest.raises(ValueError, match="4 to 8 digits") as caught:
        Dialogue(pin, "33")
    assert not pin or pin not in str(caught.value)


# --- the table of calls -----------------------------------------------------------------------------------------


def test_the_tables_are_whole() -> None:
    """Every action of a table exists, every state is entered and left, and each that rings or calls can be cleared."""
    states = {modem_call.IDLE, modem_call.RUNG, modem_call.CLEARING, *modem_call.OUTGOING}
    assert {state for state, _ in modem_call.TABLE} == states == {state for state, _ in modem_call.TABLE.values()}
    for _, action in modem_call.TABLE.values():
        assert action == "" or callable(getattr(Call, action))
    for state in states - {modem_call.IDLE, modem_call.CLEARING}:
        ways = {following for (before, _), (following, _) in modem_call.TABLE.items() if before == state}
        assert modem_call.CLEARING in ways or state == modem_call.DIALLING
    entered = set(modem.LINK.values())
    assert entered == {modem.CLOSED, modem.WAKING, modem.SIM, modem.SETTING_UP, modem.SEARCHING, modem.READY}
    assert {state for state, _ in modem.LINK} == entered


@pytest.mark.parametrize(
    ("final", "told"),
    [
        ("BUSY", "refused"),
        ("NO CARRIER", "ended"),
        ("NO ANSWER", "ended"),
        ("ERROR", "ended"),
        ("+CME ERROR: 30", "ended"),
    ],
)
def test_results_of_dialling(final: str, told: str) -> None:
    """A dial command that ends with another result than OK (V.250, 6.3.1; TS 27.007, 9.2)."""
    bench = Bench({"ATD+33612000004;": final})
    bench.facts.clear()
    bench.dialogue.dial(33612000004, 20, bench.now_ms)
    bench.converse()
    if final == "NO ANSWER":
        bench.hear(b"\r\nNO ANSWER\r\n")
    bench.pass_time(5000)
    assert bench.facts == [Progress(told)]
    assert bench.dialogue.call.state == modem_call.IDLE


def test_another_ones_end_is_not_ours() -> None:
    """NO CARRIER of a caller who was turned away does not end our call: +CLCC is asked, and shows it."""
    bench = Bench({"AT+CLCC": '+CLCC: 1,0,0,0,0,"+33612000004",145'})
    bench.dialogue.dial(33612000004, 20, bench.now_ms)
    bench.pass_time(2000)
    bench.facts.clear()
    bench.hear(b'\r\n+CCWA: "+33612000001",145,1\r\n')
    bench.hear(b"\r\nNO CARRIER\r\n")
    bench.pass_time(5000)
    assert bench.facts == []
    assert bench.told.count("AT+CHLD=0") == 1
    bench.answers["AT+CLCC"] = "OK"
    bench.pass_time(5000)
    assert bench.facts == [Progress("ended")]


@pytest.mark.parametrize("unasked", [b'\r\n+CCWA: "+33612000001",145,1\r\n' + RINGING, b""])
def test_a_caller_is_turned_away_once_however_often_he_is_shown(unasked: bytes) -> None:
    """+CCWA, RING, +CLIP and +CLCC, or +CLCC alone, show a waiting caller: one AT+CHLD=0, one count."""
    bench = Bench({"AT+CLCC": '+CLCC: 1,0,0,0,0,"+33612000004",145\r\n+CLCC: 2,1,5,0,0,"+33612000001",145'})
    bench.dialogue.dial(33612000004, 20, bench.now_ms)
    own, waiting = bench.answers["AT+CLCC"].split("\r\n")
    bench.answers["AT+CLCC"] = own
    bench.pass_time(1000)
    bench.answers["AT+CLCC"] = f"{own}\r\n{waiting}"
    bench.hear(unasked)
    bench.pass_time(3000)
    assert bench.told.count("AT+CHLD=0") == 1
    assert bench.dialogue.status()["turned_away"] == 1
    assert bench.rang() == []


def test_a_key_may_be_heard_before_the_answer_is_seen() -> None:
    """A key that comes first is told after "answered"; one of a call that nobody answered is not told."""
    for lines, told in (
        ('+CLCC: 1,0,0,0,0,"+33612000004",145', [Progress("answered"), Progress("key", "1")]),
        ('+CLCC: 1,0,3,0,0,"+33612000004",145', []),
    ):
        bench = Bench({"AT+CLCC": lines})
        bench.facts.clear()
        bench.dialogue.dial(33612000004, 20, bench.now_ms)
        bench.converse()
        bench.hear(b"\r\n+DTMF: 1\r\n")
        assert bench.facts == told


def test_a_call_may_be_listed_late() -> None:
    """One empty +CLCC right after dialling is not yet an end; two are."""
    bench = Bench({"AT+CLCC": "OK"})
    bench.facts.clear()
    bench.dialogue.dial(33612000004, 20, bench.now_ms)
    bench.pass_time(modem_call.LOOK_MS)
    assert bench.facts == []
    bench.pass_time(modem_call.LOOK_MS)
    assert bench.facts == [Progress("ended")]


def test_a_dial_command_that_hangs_is_interrupted() -> None:
    """The call is dropped while the modem still dials: a character ends the command, else its time does, and the
    call is hung up; a dial command that was not sent yet is not sent."""
    bench = Bench()
    dialogue = bench.dialogue
    dialogue.dial(33612000004, 20, bench.now_ms)
    assert dialogue.take_outgoing() == b"ATD+33612000004;\r"
    dialogue.hang_up(bench.now_ms)
    assert dialogue.take_outgoing() == b"\r"
    bench.pass_time(ANSWER_MS)
    assert "AT+CHUP" in bench.told[-3:]
    assert dialogue.call.state == modem_call.IDLE
    asked(bench)
    dialogue.dial(33612000004, 20, bench.now_ms)
    dialogue.hang_up(bench.now_ms)
    bench.told.clear()
    bench.hear(b"\r\n+CREG: 1,1\r\n\r\nOK\r\n")
    assert "AT+CHUP" in bench.told
    assert not any(command.startswith("ATD") for command in bench.told)


def test_a_ring_after_the_end_belongs_to_the_same_call() -> None:
    """A RING that was on its way when the call was hung up is hung up again but not told; later it is a new call.
    A number shown without or before its RING counts once too."""
    bench = Bench()
    bench.hear(RINGING)
    bench.pass_time(200)
    bench.hear(RINGING)
    assert bench.rang() == [CALLER]
    assert bench.told.count("AT+CHUP") == 3  # the set-up's, and one each
    bench.pass_time(5000)
    bench.hear(b'\r\n+CLIP: "+33612000001",145\r\n\r\nRING\r\n')
    bench.pass_time(5000)
    assert bench.rang() == [CALLER, CALLER]


def test_a_pin_is_not_tried_again_even_if_the_modem_says_it_may() -> None:
    """The counter says three for ever: a refused PIN is still sent only once, however often the modem restarts."""
    bench = Bench(
        {"AT+CPIN?": "+CPIN: SIM PIN", "AT+SPIC": "+SPIC: 3,3", 'AT+CPIN="4821"': "+CME ERROR: 16"}, pin="4821"
    )
    for _ in range(5):
        bench.pass_time(60_000)
        bench.hear(b"\r\nRDY\r\n")
    assert bench.told.count('AT+CPIN="4821"') == 1


def test_a_data_connection_is_no_call() -> None:
    """LTE modems list their data connection in +CLCC (mode 1): it neither answers nor keeps the line."""
    bench = Bench({"AT+CLCC": '+CLCC: 1,0,0,1,0,"",128'})
    bench.hear(RINGING)
    bench.pass_time(2000)
    assert bench.dialogue.call.state == modem_call.IDLE
    bench.dialogue.dial(33612000004, 20, bench.now_ms)
    bench.pass_time(3000)
    assert Progress("answered") not in bench.facts


def test_a_call_that_cannot_be_hung_up_sets_the_modem_up_again() -> None:
    """+CLCC goes on showing the caller: he is told once, and after a while the modem is set up anew."""
    bench = Bench({"AT+CLCC": '+CLCC: 1,1,4,0,0,"+33612000001",145'})
    bench.hear(RINGING)
    for _ in range(4):
        bench.pass_time(5000)
        bench.hear(RINGING)
    assert bench.dialogue.status()["restarts"] >= 1
    assert bench.rang()[:1] == [CALLER]
    assert bench.told.count("AT+CHUP") > 3


def test_the_second_of_two_who_call_is_told_too() -> None:
    """While one caller is being hung up another one is shown: both are told, each once."""
    bench = Bench({"AT+CLCC": '+CLCC: 1,1,4,0,0,"+33612000001",145'})
    bench.hear(RINGING)
    for _ in range(3):
        bench.hear(RINGING)
        bench.hear(b'\r\nRING\r\n\r\n+CLIP: "+33612000002",145\r\n')
    assert bench.rang() == [CALLER, CALLER + 1]
