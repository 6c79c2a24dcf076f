"""The link's rules, without a line: sequence numbers, retransmission, what counts as secure, downgrade, replay."""

import random

import pytest
from osdp_device import OTHER_KEY, SCBK, Device, connect, exchange, make_link

from edge.reader.osdp import frame, link, messages, secure
from edge.reader.osdp.facts import Card, Keys, Offline, Online, Power, Suspect, Tamper
from edge.reader.osdp.native import aes_ecb

CARD = messages.Raw(0, 1, 26, b"\x12\x34\x56\x40")


def only(data: bytes) -> frame.Frame:
    (found,) = frame.Framer().feed(data)
    return found


def kinds(facts: tuple) -> list[str]:
    return [type(fact).__name__ for fact in facts]


def connected() -> tuple[link.Link, Device]:
    panel, reader = make_link(), Device()
    connect(panel, reader)
    return panel, reader


# --- the way up ---------------------------------------------------------------------------------------------------


def test_the_way_to_a_session() -> None:
    """ID, CAP, CHLNG, SCRYPT, then LSTAT and POLL inside the session; on line at the first ACK to a POLL."""
    panel, reader = make_link(), Device()
    facts = connect(panel, reader)
    assert reader.codes == [0x61, 0x62, 0x76, 0x77, 0x64, 0x60]
    assert facts == (Online("vendor cafe00 model 2.1 firmware 1.2.3"),)
    assert panel.is_secure


def test_sequence_numbers_start_at_zero_and_skip_it_afterwards() -> None:
    """0, 1, 2, 3, 1, 2, 3, … (section 5.9)."""
    panel, reader = make_link(), Device()
    seen = []
    for _ in range(9):
        command = panel.next_command(0)
        seen.append(command[4] & 3)
        panel.received(only(reader.answer(command)), 0)
    assert seen == [0, 1, 2, 3, 1, 2, 3, 1, 2]


def test_a_card_in_the_session_is_secure() -> None:
    """What the session opened is delivered as secure."""
    panel, reader = connected()
    reader.queue = [CARD, messages.Keypad(0, b"1")]
    assert exchange(panel, reader) == (Card(26, b"\x12\x34\x56\x40", True),)
    assert exchange(panel, reader) == (Keys(b"1", True),)


def test_a_pushed_command_takes_the_next_slot() -> None:
    """LED before the next POLL; refused, and counted, without a session."""
    panel, reader = make_link(), Device()
    assert not panel.push(messages.Buzzer(0, 2, 1, 1, 1))
    connect(panel, reader)
    assert panel.push(messages.Buzzer(0, 2, 1, 1, 1))
    assert panel.has_output
    exchange(panel, reader)
    exchange(panel, reader)
    assert reader.codes[-2:] == [0x6A, 0x60]
    assert panel.dropped == 1


def test_the_queue_of_commands_is_bounded() -> None:
    """More than 16 waiting commands are refused and counted."""
    panel, _ = connected()
    pushed = [panel.push(messages.Buzzer(0, 2, 1, 1, 1)) for _ in range(20)]
    assert pushed == [True] * 16 + [False] * 4
    assert panel.dropped == 4


def test_tamper_and_power_are_told_when_they_change() -> None:
    """A first report that all is well is no news."""
    panel, reader = connected()
    reports = [(0, 0), (1, 0), (1, 0), (1, 1), (0, 0)]
    reader.queue = [messages.LocalStatus(*report) for report in reports]
    facts = [exchange(panel, reader) for _ in reports]
    assert facts == [
        (), (Tamper(True),), (), (Power(True),), (Tamper(False), Power(False)),
    ]  # fmt: skip


# --- loss ---------------------------------------------------------------------------------------------------------


def test_silence_repeats_the_same_bytes() -> None:
    """No answer: the same sequence number and bytes, then off line after the last try."""
    panel, reader = connected()
    sent = []
    for _ in range(link.DEFAULT.tries - 1):
        sent.append(panel.next_command(0))
        assert panel.timed_out(0) == ()
    sent.append(panel.next_command(0))
    assert len(set(sent)) == 1
    assert panel.timed_out(0) == (Offline("no answer"),)
    assert not panel.is_secure
    assert connect(panel, reader, 2000)


def test_an_answer_to_a_repeated_command_counts_once() -> None:
    """The first answer is lost on the line; the reader repeats it, and one card is delivered."""
    panel, reader = connected()
    reader.queue = [CARD]
    answer = reader.answer(panel.next_command(0))
    panel.timed_out(0)
    panel.next_command(0)
    assert kinds(panel.received(only(answer), 0)) == ["Card"]
    assert panel.received(only(answer), 0) == ()
    panel.next_command(0)
    assert panel.received(only(answer), 0) == ()
    assert panel.ignored == 2


def test_an_off_line_reader_is_asked_again_within_a_second() -> None:
    """Pauses grow, stay within the limit; a probe is short, but for the third and each ninth."""
    panel = make_link()
    now_ms, pauses, waits = 0, [], []
    for _ in range(9):
        assert panel.next_command(now_ms) is not None
        waits.append(panel.wait_ms)
        panel.timed_out(now_ms)
        pauses.append(panel.due_ms - now_ms)
        assert panel.next_command(panel.due_ms - 1) is None or pauses[-1] == 0
        now_ms = panel.due_ms
    assert max(pauses) == link.DEFAULT.retry_limit_ms
    assert waits == [40, 40, 200, 40, 40, 40, 40, 40, 200]


def test_a_silent_reader_is_called_off_line_once() -> None:
    """At the start after a few probes; never again until it has been on line."""
    panel = make_link()
    facts = ()
    for step in range(20):
        panel.next_command(step * 1000)
        facts += panel.timed_out(step * 1000)
    assert facts == (Offline("no answer"),)


def test_a_lost_port_ends_the_session_and_forgets_the_question() -> None:
    """What was on its way when the port was lost is not taken for an answer afterwards."""
    panel, reader = connected()
    reader.queue = [CARD]
    answer = reader.answer(panel.next_command(0))
    assert panel.line_lost(0, "port x is gone") == (Offline("port x is gone"),)
    assert panel.received(only(answer), 0) == ()
    panel.next_command(10)
    assert panel.received(only(answer), 10) == ()


def test_a_card_read_while_the_line_was_down_is_not_delivered() -> None:
    """What the reader kept is dropped after the new session begins; a card after that is delivered."""
    panel, reader = connected()
    panel.line_lost(0, "gone")
    reader.queue = [CARD, messages.Keypad(0, b"12"), CARD]
    assert kinds(connect(panel, reader, 10)) == ["Online"]
    assert panel.reports.stale == 3
    reader.queue = [CARD]
    assert kinds(exchange(panel, reader, 10)) == ["Card"]


def test_an_answer_from_before_a_gap_is_not_delivered() -> None:
    """The process slept between question and answer: too old to open a door."""
    panel, reader = connected()
    reader.queue = [CARD]
    answer = reader.answer(panel.next_command(0))
    assert panel.received(only(answer), 60_000) == ()


def test_busy_means_the_same_command_again() -> None:
    """BUSY in the clear with sequence 0 is allowed in a session; the bytes are repeated after a pause."""
    panel, reader = connected()
    command = panel.next_command(0)
    assert panel.received(only(frame.encode(1, 0, messages.BUSY, is_reply=True)), 0) == ()
    assert panel.next_command(10) is None
    assert panel.next_command(100) == command
    assert panel.received(only(reader.answer(command)), 100) == ()
    assert panel.is_secure


def test_busy_for_ever_is_off_line() -> None:
    """A reader, or somebody else, that says BUSY for seconds is off line."""
    panel, _ = connected()
    facts = ()
    for now_ms in range(0, 5000, 100):
        if panel.next_command(now_ms):
            facts += panel.received(only(frame.encode(1, 0, messages.BUSY, is_reply=True)), now_ms)
    assert facts == (Offline("busy for too long"),)


# --- no secure channel, no decision (R2) ---------------------------------------------------------------------------


def test_a_card_outside_a_session_is_not_secure() -> None:
    """A reader that says it has no secure channel: one suspicion, off line, its cards not secure."""
    panel, reader = make_link(), Device(has_channel=False)
    exchange(panel, reader)
    why = "no secure channel: the reader says that it has none"
    assert exchange(panel, reader) == (Suspect(why), Offline(why))
    reader.queue = [CARD, messages.Keypad(0, b"1")]
    assert exchange(panel, reader, 200) == (Card(26, b"\x12\x34\x56\x40", False),)
    assert exchange(panel, reader, 400) == (Keys(b"1", False),)


def test_a_downgrade_is_one_alarm() -> None:
    """Ten minutes without secure channel: at most one suspicion a minute, one loss, no session, no KEYSET."""
    panel, reader = make_link(), Device(has_channel=False)
    facts: tuple = ()
    for now_ms in range(0, 600_000, 100):
        if panel.due_ms <= now_ms:
            facts += exchange(panel, reader, now_ms)
    assert kinds(facts).count("Offline") == 1
    assert kinds(facts).count("Suspect") == 10
    assert "Online" not in kinds(facts)
    assert messages.KEYSET not in reader.codes


def test_a_reader_with_another_key_opens_nothing() -> None:
    """Key mismatch: suspicion, no session; and it works once the key is right."""
    panel, reader = make_link(), Device(scbk=OTHER_KEY)
    facts = exchange(panel, reader) + exchange(panel, reader) + exchange(panel, reader)
    why = "no secure channel: the reader has another key"
    assert facts == (Suspect(why), Offline(why))
    reader.scbk = SCBK
    now_ms = 0
    while not panel.is_secure and now_ms < 5000:
        now_ms += 100
        if panel.due_ms <= now_ms:
            exchange(panel, reader, now_ms)
    assert panel.is_secure


def test_the_default_key_is_never_used() -> None:
    """A reader that answers with the default key's mark is refused; a link with a weak key is not made."""
    panel, reader = make_link(), Device()
    exchange(panel, reader)
    exchange(panel, reader)
    command = panel.next_command(0)
    assert command[6:8] == bytes((secure.SCS_11, secure.KEY_IS_OURS))
    answer = bytearray(reader.answer(command)[:-2])
    answer[7] = 0
    facts = panel.received(only(frame.finish(answer)), 0)
    assert kinds(facts) == ["Suspect", "Offline"]
    assert panel.state == link.CLEAR
    for key in (secure.SCBK_D, bytes(16), bytes(range(16))):
        with pytest.raises(secure.SecureError, match="refused"):
            link.Link(1, key, aes_ecb, random.Random(1).randbytes)


def nak(panel: link.Link, kind: int) -> tuple:
    command = panel.next_command(panel.due_ms)
    return panel.received(only(frame.encode(1, command[4] & 3, messages.NAK, bytes((kind,)), b"", True)), panel.due_ms)


@pytest.mark.parametrize("answered", [1, 2, 3])
def test_a_refusal_on_the_way_up_is_suspicious_an_accident_is_not(answered: int) -> None:
    """NAK 3, 5 or 6 to CAP, CHLNG or SCRYPT is a downgrade; a wrong check or sequence number is tried again."""
    for kind in (3, 5, 6, 77):
        panel, reader = make_link(), Device()
        for _ in range(answered):
            exchange(panel, reader)
        assert kinds(nak(panel, kind)) == ["Suspect", "Offline"]
        assert panel.state == link.CLEAR
    for kind in (1, 4):
        panel, reader = make_link(), Device()
        for _ in range(answered):
            exchange(panel, reader)
        assert kinds(nak(panel, kind)) == ["Offline"]
        assert kinds(connect(panel, reader, panel.due_ms)) == ["Online"]


def test_a_reader_that_answers_nothing_but_its_name_is_off_line() -> None:
    """ID is answered, CAP never: told, not tried in silence for ever."""
    panel, reader = make_link(), Device()
    exchange(panel, reader)
    facts: tuple = ()
    for _ in range(link.DEFAULT.tries):
        panel.next_command(0)
        facts += panel.timed_out(0)
    assert facts == (Offline("no answer"),)


def test_a_wrong_first_mac_is_refused() -> None:
    """RMAC-I with one bit changed makes no session."""
    panel, reader = make_link(), Device()
    for _ in range(3):
        exchange(panel, reader)
    answer = bytearray(reader.answer(panel.next_command(0))[:-2])
    answer[-1] ^= 1
    assert kinds(panel.received(only(frame.finish(answer)), 0)) == ["Suspect", "Offline"]
    assert not panel.is_secure


def test_clear_text_inside_a_session_is_refused() -> None:
    """Every reply in the clear but BUSY and NAK 5 and 6: no card, no end of the session, one suspicion."""
    for value in (CARD, messages.Keypad(0, b"1"), messages.Ack(), messages.LocalStatus(1, 1), messages.Nak(3, b"")):
        panel, reader = connected()
        reader.queue = [CARD]
        command = panel.next_command(0)
        code, data = messages.pack_reply(value)
        spoken = only(frame.encode(1, command[4] & 3, code, data, b"", True))
        assert kinds(panel.received(spoken, 0)) == ["Suspect"]
        assert panel.received(spoken, 0) == ()
        assert panel.is_waiting
        assert panel.refused == 2
        assert kinds(panel.received(only(reader.answer(command)), 0)) == ["Card"]


@pytest.mark.parametrize("kind", [5, 6])
def test_a_nak_that_says_no_session_ends_it(kind: int) -> None:
    """NAK 5 and 6 in the clear are allowed: the session is over, and a new one is made."""
    panel, reader = connected()
    command = panel.next_command(0)
    facts = panel.received(only(frame.encode(1, command[4] & 3, messages.NAK, bytes((kind,)), b"", True)), 0)
    assert facts == (Offline("the reader ended the session"),)
    assert kinds(connect(panel, reader, 0)) == ["Online"]


def test_a_wrong_mac_ends_the_session() -> None:
    """One wrong MAC: a suspicion, off line, and nothing of the old session opens any more."""
    panel, reader = connected()
    reader.queue = [CARD]
    answer = reader.answer(panel.next_command(0))
    wrong = bytearray(answer[:-2])
    wrong[-1] ^= 1
    assert kinds(panel.received(only(frame.finish(wrong)), 0)) == ["Suspect", "Offline"]
    assert panel.received(only(answer), 0) == ()
    assert not panel.is_secure


def test_unencrypted_card_data_inside_the_session_is_refused() -> None:
    """A card with a right MAC but in the clear (SCS_16): somebody would read it on the line."""
    panel, reader = connected()
    command = panel.next_command(0)
    reader.session.open(only(command))
    code, data = messages.pack_reply(CARD)
    out = frame.begin(1, command[4] & 3, bytes((secure.SCS_16,)), code, data, 4, True)
    out.extend(reader.session._mac(out, reader.session._last_mac[False])[:4])
    facts = panel.received(only(frame.finish(out)), 0)
    assert kinds(facts) == ["Suspect", "Offline"]


def test_keyset_cannot_be_pushed() -> None:
    """There is no way to send a key through a link."""
    panel, _ = connected()
    with pytest.raises(messages.MessageError, match="never sent"):
        panel.push(messages.SetKey(1, OTHER_KEY))


def test_a_session_that_keeps_breaking_is_not_rebuilt_in_a_hurry() -> None:
    """An attacker who breaks each session gets at most a few a second, and one suspicion a minute."""
    panel, reader = make_link(), Device()
    suspicions = 0
    for now_ms in range(0, 60_000, 10):
        if panel.due_ms > now_ms:
            continue

        def spoil(reply: bytes) -> bytes:
            if reply[4] & frame.SECURITY_BIT and reply[6] >= secure.SCS_15:
                return frame.finish(bytearray(reply[:-3] + bytes((reply[-3] ^ 1,))))
            return reply

        suspicions += kinds(exchange(panel, reader, now_ms, spoil)).count("Suspect")
    assert suspicions == 1
    assert panel.sessions < 70


# --- a hostile line ------------------------------------------------------------------------------------------------


def test_the_answer_of_another_address_is_none() -> None:
    """Frames of another reader, or commands heard back as an echo, leave the link waiting."""
    panel, reader = connected()
    reader.queue = [CARD]
    command = panel.next_command(0)
    assert panel.received(only(command), 0) == ()
    assert panel.received(only(frame.encode(2, command[4] & 3, messages.ACK, is_reply=True)), 0) == ()
    assert panel.is_waiting
    assert kinds(panel.received(only(reader.answer(command)), 0)) == ["Card"]


def test_replayed_frames_deliver_nothing() -> None:
    """Every reply of a session with cards, 100 times in the same session and in a new one: no card."""
    panel, reader = connected()
    heard: list[frame.Frame] = []

    def hear(reply: bytes) -> bytes:
        heard.append(only(reply))
        return reply

    cards = 0
    reader.queue = [CARD if step % 2 else messages.Ack() for step in range(20)]
    for _ in range(20):
        cards += kinds(exchange(panel, reader, 0, hear)).count("Card")
    assert cards == 10  # the negative control: these very frames delivered cards when they were fresh
    replayed = 0
    now_ms = 0
    for _ in range(100):
        for again in heard:
            now_ms += 2000
            if panel.next_command(now_ms) is None:
                continue
            replayed += kinds(panel.received(again, now_ms)).count("Card")
            if panel.is_waiting:
                panel.timed_out(now_ms)
            if not panel.is_secure:
                panel.line_lost(now_ms, "start over")
                reader.queue = []
                connect(panel, reader, panel.due_ms)
                now_ms = panel.due_ms
    assert replayed == 0
