"""An OSDP line as text: aligned, its advice on the wire, ages and the bar of a search."""

import io

import pytest

from edge.commands.scan_progress import ScanProgress, bar
from edge.inspection.line_table import LastCard, LineSeen, ReaderSeen, age, as_object, drawn
from edge.inspection.reader_advice import Verdict
from edge.reader.osdp.scan import Found, Progress

STATUS = {
    "secure": True, "vendor": "feca00", "model": "2.1", "firmware": "1.2.3", "noise_bytes": 3,
    "time_outs": 2, "bad_frames": 1,
}  # fmt: skip
STRANGER = Found(7, 9600, "feca00", "2.1", "1.2.3", "00001234", True, True)


def line() -> LineSeen:
    """A reader that is well, one that is not, and a stranger."""
    first = ReaderSeen({**STATUS, "reader": "a", "address": 0}, Verdict(True, "secure", "secure"), 88.2, None)
    away = {**STATUS, "reader": "a-rather-long-name", "address": 12, "secure": False, "vendor": None}
    second = ReaderSeen(away, Verdict(False, "not there", "not there", "check its cable"), 3.0, LastCard(300, "0007"))
    return LineSeen("/dev/ttyUSB0", 9600, "", [first, second], [STRANGER])


def test_the_drawing_is_aligned() -> None:
    """Every column begins, or ends, at one place in each row; what to do stands beneath its reader, on the wire."""
    title, head, first, second, found, advice, stranger, *more = drawn(line())
    assert title == "line /dev/ttyUSB0  9600 baud  1 of 2 readers secure  noise 3 bytes"
    assert head.index("state") == first.index("secure") == second.index("not there") == stranger.index("install mode")
    assert head.index("firmware") == first.index("1.2.3") == second.index("1.2.3") == stranger.index("1.2.3")
    assert head.index("address") + 6 == first.index(" 0 ") + 1 == second.index("12 ") + 1 == stranger.index(" 7 ") + 1
    assert head.index("polls/s") + 6 == first.index("88") + 1
    assert head.index("last card") == second.index("…0007, 5 min ago") == first.index("none")
    assert (first[:8], second[:8], stranger[:8]) == ("ok   ├─ ", "FAIL ├─ ", "ok   └─ ")
    assert [found, advice] == ["     │  not there", "     │  → check its cable"]
    assert more[1] == '        → add { id = "reader-7", address = 7 } to its readers in agent.toml'


def test_a_line_that_was_not_seen_says_why() -> None:
    """The reason, in place of a table."""
    said = drawn(LineSeen("/dev/x", 9600, "port /dev/x does not exist", [], []))
    assert [text.strip() for text in said[1:]] == ["port /dev/x does not exist"]


def test_programs_get_the_same() -> None:
    """Every fact of the drawing is in the object; of a card the last digits only."""
    told = as_object(line())
    assert [reader["ok"] for reader in told["readers"]] == [True, False]
    assert told["readers"][1]["last_card_ends_in"] == "0007"
    assert told["readers"][1]["errors"] == 3
    assert told["strangers"][0]["address"] == 7


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (-1, "0 s"),
        (12.9, "12 s"),
        (119, "119 s"),
        (120, "2 min"),
        (7199, "119 min"),
        (7200, "2 h"),
        (172_800, "2 days"),
    ],
)
def test_ages(seconds: float, said: str) -> None:
    """In the largest unit that says enough."""
    assert age(seconds) == said


def test_the_bar_fills() -> None:
    """From nothing to its whole width."""
    empty, half, full = (bar("/dev/x", Progress(done, 8, 9600, 3, done // 4)) for done in (0, 4, 8))
    assert (empty.count("█"), half.count("█"), full.count("█")) == (0, 15, 30)
    assert "none found yet" in empty
    assert "9600 baud, address 3: 1 found" in half


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_gets_a_bar_and_a_file_gets_lines() -> None:
    """The bar is drawn over itself and wiped away at the end; without a terminal there is a line for each speed."""
    steps = [Progress(done, 4, 9600 if done < 2 else 115200, done % 2, 0) for done in range(5)]
    terminal, file = _Terminal(), io.StringIO()
    for stream in (terminal, file):
        with ScanProgress(stream) as progress:
            for step in steps:
                progress.tell("/dev/x", step)
    assert "\n" not in terminal.getvalue()
    assert terminal.getvalue().count("█" * 30) == 1
    assert terminal.getvalue().endswith("\r\x1b[K")
    assert file.getvalue() == "".join(f"looking for readers on /dev/x at {baud} baud\n" for baud in (9600, 115200))
