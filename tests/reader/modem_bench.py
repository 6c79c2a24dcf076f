"""A modem's dialogue on the bench: its commands are answered from a table, time moves where a test says."""

from edge.reader import modem
from edge.reader.modem import Dialogue
from edge.reader.modem_call import Rang

CALLER = 33612000001
RINGING = f'\r\nRING\r\n\r\n+CLIP: "+{CALLER}",145,"",0,"",0\r\n'.encode()

FINALS = ("OK", "ERROR", "NO CARRIER", "NO ANSWER", "BUSY", "+CME ERROR:")
# A modem that says yes: what it answers beside OK.
ANSWERS = {
    "AT+CMEE?": "+CMEE: 1",
    "AT+CGMI": "SIMCOM_Ltd",
    "AT+CPIN?": "+CPIN: READY",
    "AT+CREG?": "+CREG: 1,1",
    "AT+CSQ": "+CSQ: 18,0",
}


class Bench:
    """A dialogue and the answers to its commands. `told`: the commands. Time moves where a test says."""

    def __init__(self, answers: dict[str, str] | None = None, pin: str | None = None) -> None:
        self.dialogue = Dialogue(pin, "33")
        self.answers = {**ANSWERS, **(answers or {})}
        self.told: list[str] = []
        self.facts: list[object] = []
        self.now_ms = 0
        self.dialogue.opened(0)
        self.pass_time(1000)

    def hear(self, data: bytes) -> None:
        self.dialogue.received(data, self.now_ms)
        self.converse()

    def converse(self) -> None:
        """Answer commands until there are none."""
        for _ in range(200):
            self.facts += self.dialogue.take_facts()
            commands = self.dialogue.take_outgoing().decode().split("\r")[:-1]
            if not commands:
                return
            for command in commands:
                self.told.append(command)
                answer = self.answers.get(command, "OK")
                final = "" if answer.startswith(FINALS) else "OK"
                reply = "".join(f"\r\n{line}\r\n" for line in (answer, final) if line)
                self.dialogue.received(reply.encode(), self.now_ms)
        raise AssertionError("the dialogue never stops talking")

    def pass_time(self, ms: int) -> None:
        end_ms = self.now_ms + ms
        self.converse()
        while (due_ms := self.dialogue.next_due()) is not None and due_ms <= end_ms:
            self.now_ms = max(self.now_ms, due_ms)
            self.dialogue.due(self.now_ms)
            self.converse()
        self.now_ms = end_ms

    def rang(self) -> list[int | None]:
        return [fact.number for fact in self.facts if isinstance(fact, Rang)]


def asked(bench: Bench) -> Dialogue:
    """A dialogue that has just asked for the registration and waits for the answer."""
    bench.now_ms += modem.POLL_MS
    bench.dialogue.due(bench.now_ms)
    assert bench.dialogue.take_outgoing() == b"AT+CREG?\r"
    return bench.dialogue
