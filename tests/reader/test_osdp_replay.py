"""Row R4: every frame of a session, replayed 100 times in that session and in new ones, opens nothing."""

from osdp_device import Device, connect, exchange, make_link

from edge.reader.osdp import frame, messages
from edge.reader.osdp.facts import Card, Keys
from edge.reader.osdp.link import Link

CARD = messages.Raw(0, 1, 26, b"\x12\x34\x56\x40")
TIMES = 100


def counting(facts: tuple) -> int:
    return sum(isinstance(fact, Card | Keys) and fact.secure for fact in facts)


def recorded() -> tuple[Link, Device, list[bytes]]:
    """A session from its first command: handshake, cards, keys, status; every reply as it was on the line."""
    panel, reader = make_link(), Device(inputs=2)
    heard: list[bytes] = []

    def hear(reply: bytes) -> bytes:
        heard.append(reply)
        return reply

    reader.queue = []
    while not panel.is_ready:
        exchange(panel, reader, 0, hear)
    counted = 0
    for step in range(12):
        reader.queue = [(CARD, messages.Keypad(0, b"4711\r"), messages.LocalStatus(step & 1, 0))[step % 3]]
        counted += counting(exchange(panel, reader, 0, hear))
    assert counted == 8  # the negative control: these very frames counted when they were fresh
    return panel, reader, heard


def at_sequence(reply: bytes, sequence: int) -> bytes:
    """The reply with another sequence number and a right CRC, as whoever replays it can make it."""
    out = bytearray(reply[:-2])
    out[4] = out[4] & ~3 | sequence
    return frame.finish(out)


def answer_with(panel: Link, reader: Device, reply: bytes, now_ms: int) -> int:
    """Answer the command that is due with a replayed frame, as it was and with the number that is due; then start
    over with whoever is there. How much counted."""
    counted = 0
    command = panel.next_command(now_ms)
    if command is not None:
        reader.answer(command)
        for again in (reply, at_sequence(reply, command[4] & 3)):
            for received in frame.Framer().feed(again):
                counted += counting(panel.received(received, now_ms))
    return counted


def test_replayed_in_the_same_session() -> None:
    """Each captured frame 100 times, each time in the very session that it comes from, right behind its last frame."""
    counted = replayed = 0
    _, _, heard = recorded()
    for at in range(len(heard)):
        for _ in range(TIMES):
            panel, reader, again = recorded()
            assert panel.is_ready
            counted += answer_with(panel, reader, again[at], 1)
            replayed += 1
    assert replayed == TIMES * len(heard) >= 1800
    assert counted == 0


def test_replayed_in_a_new_session() -> None:
    """Each captured frame 100 times, each time in a session that has just begun."""
    panel, reader, heard = recorded()
    counted = replayed = now_ms = 0
    for reply in heard:
        for _ in range(TIMES):
            now_ms += 2000
            panel.restart(now_ms)
            connect(panel, reader, now_ms)
            counted += answer_with(panel, reader, reply, now_ms)
            replayed += 1
    assert replayed == TIMES * len(heard)
    assert counted == 0


def test_a_whole_session_replayed_in_place_of_the_reader() -> None:
    """A recording answers from the first ID on, 100 times, frame by frame: the challenge is new, so no session."""
    panel, _, heard = recorded()
    counted = now_ms = 0
    for _ in range(TIMES):
        now_ms += 10_000
        panel.restart(now_ms)
        for reply in heard:
            command = panel.next_command(max(now_ms, panel.due_ms))
            for received in frame.Framer().feed(at_sequence(reply, command[4] & 3)):
                counted += counting(panel.received(received, max(now_ms, panel.due_ms)))
            if panel.is_waiting:
                panel.timed_out(max(now_ms, panel.due_ms))
        assert not panel.is_secure
    assert counted == 0
    assert panel.sessions == 1
