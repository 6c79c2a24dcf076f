"""From what readers and lines report to inputs of the decision core: card bits to numbers, keys to code numbers."""

from collections.abc import Callable

from edge.codes import code_number
from edge.decision import model
from edge.lines.simulated import LinePresented
from edge.reader import card_format
from edge.reader.inputs import CardRead, KeysPressed, LineDown, LineUp, PowerSeen, ReaderInput, Suspicion, TamperSeen
from edge.reader.keypad import Keypad
from edge.reader.modem_line import Ringing, TextReceived
from edge.reader.radio import RemotePressed

Report = ReaderInput | RemotePressed | Ringing | TextReceived | LinePresented


class Presenting:
    """Turns reports into inputs. `code_key()`: under which the codes of the policy in force are.
    `format_of(reader)`: the card format that the policy names for it, or ""."""

    def __init__(self, code_key: Callable[[], bytes], format_of: Callable[[str], str]) -> None:
        self._code_key = code_key
        self._format_of = format_of
        self._keypads: dict[str, Keypad] = {}

    def inputs(self, seen: Report, door: str, now_ms: int) -> list[object]:
        """The inputs that a report completes. `door`: the reader's; `now_ms`: real monotonic time, for keys."""
        match seen:
            case CardRead(reader, bits, data, secure):
                number = self._number(bits, data, self._format_of(reader))
                return [model.Presented(reader, "", model.BADGE, number, 0, secure)]
            case KeysPressed(reader, text, secure):
                codes = self._keypads.setdefault(reader, Keypad()).feed(text, now_ms)
                return [self._code(reader, digits, secure) for digits in codes]
            case LineUp(reader, detail):
                self._keypads.pop(reader, None)  # half a code from before is none
                return [model.ReaderLine(reader, True, detail)]
            case LineDown(reader, detail):
                return [model.ReaderLine(reader, False, detail)]
            case TamperSeen(reader, is_on):
                return [model.Tamper(reader, door, is_on)]
            case PowerSeen(reader, failed):
                return [model.Noted("reader-power", door, reader, "failed" if failed else "back")]
            case Suspicion(reader, detail):
                return [model.ReaderAlarm(reader, detail)]
            case RemotePressed(reader, number, button):
                return [model.Presented(reader, "", model.REMOTE, number, button, True)]
            case Ringing(reader, number):
                return [model.Presented(reader, "", model.PHONE, number, 0, True)]
            case TextReceived(reader):
                return [model.Noted("text-received", door, reader, "")]  # a text may say anything: it is not logged
            case LinePresented():
                return [self._wired(seen)]
        raise TypeError(f"a reader reported {type(seen).__name__}")

    def _number(self, bits: int, data: bytes, name: str) -> int | None:
        """A card's number; None, which is unknown, also where the policy names a format that this agent has not."""
        return card_format.number_of(bits, data, name) if not name or name in card_format.FORMATS else None

    def _wired(self, seen: LinePresented) -> object:
        """A wired reader: its line is inside the wall, there is no channel to secure."""
        medium = model.MEDIUM_OF_WORD[seen.medium]
        if medium == model.CODE:
            return self._code(seen.reader, seen.value, True)
        digits = seen.value.removeprefix("+").removeprefix("00") if medium == model.PHONE else seen.value
        number = int(digits) if digits.isdecimal() and int(digits) < 1 << 64 else None
        return model.Presented(seen.reader, "", medium, number, seen.button, True)

    def _code(self, reader: str, digits: str, secure: bool) -> model.Presented:
        usable = digits.isdecimal() and digits.isascii()
        number = code_number(self._code_key(), digits) if usable else None
        return model.Presented(reader, "", model.CODE, number, 0, secure)
