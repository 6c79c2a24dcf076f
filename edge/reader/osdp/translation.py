"""Between the agent's words and the line's: facts to inputs, signals to commands, a reader's state to plain values."""

from collections.abc import Callable
from typing import Any

from edge.decision.indications import Signal
from edge.reader import inputs
from edge.reader.osdp import facts, messages
from edge.reader.osdp.link import Link

_KEY_CHARACTERS = {messages.KEY_ENTER: "#", messages.KEY_CLEAR: "*"}

INPUT_OF: dict[type, Callable[[str, Any], inputs.ReaderInput]] = {
    facts.Card: lambda reader, fact: inputs.CardRead(reader, fact.bits, fact.data, fact.secure),
    facts.Keys: lambda reader, fact: inputs.KeysPressed(reader, _characters(fact.keys), fact.secure),
    facts.Online: lambda reader, fact: inputs.LineUp(reader, fact.detail),
    facts.Offline: lambda reader, fact: inputs.LineDown(reader, fact.detail),
    facts.Tamper: lambda reader, fact: inputs.TamperSeen(reader, fact.is_on),
    facts.Power: lambda reader, fact: inputs.PowerSeen(reader, fact.failed),
    facts.Suspect: lambda reader, fact: inputs.Suspicion(reader, fact.detail),
}
NEWS_OF: dict[type, Callable[[str, Any], inputs.ReaderNews]] = {
    facts.InputStates: lambda reader, fact: inputs.InputsSeen(reader, fact.states),
    facts.OutputStates: lambda reader, fact: inputs.OutputsSeen(reader, fact.states),
    facts.Moved: lambda reader, fact: inputs.ReaderMoved(reader, fact.address, fact.baud),
    facts.Paired: lambda reader, fact: inputs.Paired(reader),
    facts.NotPaired: lambda reader, fact: inputs.NotPaired(reader, fact.detail),
}
QUESTIONS = {
    "identity": messages.AskId(0),
    "capabilities": messages.AskCapabilities(0),
    "status": messages.AskLocalStatus(),
    "inputs": messages.AskInputs(),
    "outputs": messages.AskOutputs(),
}


def led_command(signal: Signal) -> messages.Led:
    """The LED command of a signal: for a time if it passes, else until the next lasting one (section 6)."""
    light = (tenths(signal.on_ms), tenths(signal.off_ms), signal.on_color, signal.off_color)
    if signal.total_ms:
        return messages.Led(0, 0, messages.LED_PASSING, *light, tenths(signal.total_ms), 0, 0, 0, 0, 0)
    return messages.Led(0, 0, messages.LED_KEEP, 0, 0, 0, 0, 0, messages.LED_LASTING, *light)


def buzzer_command(signal: Signal) -> messages.Buzzer:
    """The buzzer command of a signal's tones (section 6)."""
    return messages.Buzzer(0, messages.TONE, tenths(signal.beep_ms), tenths(signal.beep_gap_ms), signal.beeps)


def output_command(output_number: int, ms: int) -> messages.Output:
    """The output command: on for `ms`, 0 off, -1 on (section 6)."""
    if ms > 0:
        return messages.Output(output_number, messages.OUTPUT_TIMED, min(tenths(ms), 0xFFFF))
    return messages.Output(output_number, messages.OUTPUT_ON if ms < 0 else messages.OUTPUT_OFF, 0)


def text_command(text: str, seconds: int, row: int, column: int) -> messages.Text:
    """The text command: for `seconds`, or until the next with 0 (section 6). What is no ASCII is shown as "?"."""
    control = messages.TEXT_PASSING if seconds else messages.TEXT_LASTING
    return messages.Text(0, control, seconds, row, column, text.encode("ascii", "replace"))


def status_of(link: Link, now_ms: int) -> dict[str, Any]:
    """One reader's state for people: plain values only, no secrets. Ages are seconds."""
    card_ms = link.reports.last_card_ms
    stage = link.keys.stage(now_ms)
    return {
        "address": link.address,
        "state": link.state,
        "online": link.is_answering,
        "secure": link.is_secure,
        "ready": link.is_ready,
        "trouble": link.trouble,
        "paired": link.keys.is_paired,
        "key_change": None if stage is None else stage[0],
        "window_left_s": None if stage is None or stage[1] is None else -(-stage[1] // 1000),
        **identity_of(link.identity),
        "has_secure_channel": has_secure_channel(link.capabilities),
        "polls": link.polls,
        "time_outs": link.timeouts,
        "bad_frames": link.bad_frames,
        "ignored_frames": link.ignored,
        "refused_frames": link.refused,
        "stale_reads": link.reports.stale,
        "dropped_commands": link.dropped,
        "naks": link.naks,
        "last_nak": link.last_nak,
        "sessions": link.sessions,
        "last_card_s": None if card_ms is None else round((now_ms - card_ms) / 1000, 1),
    }


def identity_of(identity: Any) -> dict[str, Any]:
    """vendor (hex), model, firmware, serial (hex) of an Identity; each None where there is none."""
    if identity is None:
        return {"vendor": None, "model": None, "firmware": None, "serial": None}
    return {
        "vendor": identity.vendor.hex(),
        "model": f"{identity.model}.{identity.version}",
        "firmware": ".".join(str(part) for part in identity.firmware),
        "serial": f"{identity.serial:08x}",
    }


def has_secure_channel(capabilities: Any) -> bool | None:
    """Whether a reader says that it has a secure channel (annex B); None where it did not say anything yet."""
    if capabilities is None:
        return None
    security = messages.capability(capabilities, messages.CAP_SECURITY)
    return security is not None and bool(security[0] & 1)


def tenths(ms: int) -> int:
    """Tenths of a second, rounded up."""
    return -(-ms // 100)


def _characters(keys: bytes) -> str:
    return "".join(_KEY_CHARACTERS.get(key) or chr(key) for key in keys)
