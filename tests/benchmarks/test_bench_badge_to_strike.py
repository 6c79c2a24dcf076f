"""benchmarks/badge_to_strike.py prints what it promises, and its goals tell a slow panel from ours."""

import json
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = ROOT / "benchmarks" / "badge_to_strike.py"
FIELDS = {"row", "case", "ours", "other", "other_name", "unit", "ratio", "goal", "ok"}
GENEROUS = 4.0  # times a bare poller: the goal is 1.5, and the machine of a test is busy

sys.path.append(str(PROGRAM.parent))
import badge_to_strike  # noqa: E402
import paced_readers  # noqa: E402
import panel_runs  # noqa: E402
from paced_readers import Lengths, Load, Task  # noqa: E402
from panel_runs import BARE, LIBOSDP, OURS, OURS_CLEAR, OURS_RECORDING, Figures  # noqa: E402


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(PROGRAM), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=110)
    assert done.returncode in (0, 1), done.stderr  # 1: a goal was missed, which a busy machine may decide
    return done


@pytest.fixture(scope="module")
def printed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The object of one run at a tiny size, the picture beside it."""
    picture = tmp_path_factory.mktemp("badge_to_strike") / "picture.svg"
    done = run("--readers", "1", "--cards", "8", "--parts", "clear,record", "--json", "--plot", str(picture))
    return json.loads(done.stdout) | {"picture": picture.read_text("utf-8")}


def rows_beside(printed: dict[str, Any], other_name: str, case: str) -> list[dict[str, Any]]:
    found = [row for row in printed["rows"] if row["other_name"].startswith(other_name) and case in row["case"]]
    assert found, f"no row beside {other_name} for {case}"
    return found


def test_one_object_of_the_required_shape(printed: dict[str, Any]) -> None:
    """One JSON object: benchmark, machine, and rows of P2 with the fields of requirements.md."""
    assert set(printed) == {"benchmark", "machine", "rows", "picture"}
    assert printed["benchmark"] == "badge_to_strike"
    assert "Python" in printed["machine"]
    for row in printed["rows"]:
        assert set(row) == FIELDS, row
        assert row["row"] == "P2"
        assert isinstance(row["ok"], bool), row
        assert min(row["ours"], row["other"], row["ratio"]) > 0, row
        assert row["goal"] is None or row["goal"] > 0, row


def test_every_side_has_p50_p95_and_processor_use(printed: dict[str, Any]) -> None:
    """Light and strike beside each side, at the median and the 95th percentile; processor use idle and with badges."""
    for side in ("bare poller", "libosdp"):
        for word in ("badge to LED", "badge to strike"):
            for percentile in ("p50", "p95"):
                rows_beside(printed, side, f"{word}, 1 reader, 115,200 baud, secure channel, {percentile}")
        for window in ("processor idle", "processor with badges"):
            assert {row["unit"] for row in rows_beside(printed, side, window)} == {"%", "us"}
    rows_beside(printed, OURS_CLEAR.name, "with secure channel, p50")
    rows_beside(printed, "strike + commit", "badge to record to strike")


def test_goals_that_no_busy_machine_decides(printed: dict[str, Any]) -> None:
    """Not slower than the bytes alone, near the bare poller, and ahead of libosdp's panel, which waits 50 ms between
    two polls; the recorded strike waits for its commit; the secure channel's bytes take longer than none."""
    for row in rows_beside(printed, "bare poller", "p50"):
        assert row["ratio"] < GENEROUS, row
    for row in rows_beside(printed, "byte times alone", "p50"):
        assert row["ratio"] > 0.6, row  # the half round is a mean, and four cards a kind are few
    for row in rows_beside(printed, "libosdp", "secure channel, p50"):
        assert row["ratio"] > 3, row
    for row in rows_beside(printed, "without secure channel", "byte times alone"):
        assert row["ratio"] > 1, row


def test_the_picture_names_every_side_and_size(printed: dict[str, Any]) -> None:
    """The SVG can be read, and says who was measured with how many readers."""
    texts = {element.text for element in ElementTree.fromstring(printed["picture"]).iter() if element.text}
    for wanted in ("vantail", "bare poller, same lengths", "libosdp ControlPanel", "1 reader", "115,200 baud"):
        assert any(wanted in text for text in texts), wanted


def test_a_slowed_panel_misses_the_goals(printed: dict[str, Any]) -> None:
    """The negative control: with 50 ms between polls our bus is within 1.5 neither of the bare poller that was just
    measured nor of the byte times."""
    line = badge_to_strike.Line(1, 115200, 8, 8, (OURS, BARE))
    slow = panel_runs.measure(OURS, Task(1, 115200, 8, idle_s=0.1, gap_ms=50))
    bare_ms = [row["other"] for row in rows_beside(printed, "bare poller", "p50")]
    bare = figures(BARE, max(bare_ms))
    measured = badge_to_strike.Measured({(line, OURS): slow, (line, BARE): bare}, {}, {}, [])
    rows = [row for row in badge_to_strike.rows_of_line(line, measured) if row["goal"]]
    assert len(rows) == 4
    assert not any(row["ok"] for row in rows), rows


def test_a_present_reader_answers_beside_one_that_is_off() -> None:
    """With one of two readers unplugged, every card at the other is answered, in a few times the line's own time."""
    others = panel_runs.measure(OURS, Task(2, 115200, 8, idle_s=0.1, off=1))
    assert len(others.all_ms) == 8
    alone_ms = badge_to_strike.wire_ms(others.lengths, 1, 115200, paced_readers.LED)
    assert panel_runs.p50(others.all_ms) < GENEROUS * alone_ms


# --- the arithmetic, on figures made here --------------------------------------------------------------------


def figures(side: panel_runs.Side, ms: float, told: Any = None) -> Figures:
    load = Load(0.1, 1.0, 100)
    return Figures(side, Task(1, 115200, 4), [ms] * 4, [ms] * 4, Lengths(14, 14, 30, 30, 30), load, load, 0, told)


def rows_of(ours_ms: float, bare_ms: float, libosdp_ms: float) -> list[dict[str, Any]]:
    line = badge_to_strike.Line(1, 115200, 4, 4, (OURS, BARE, LIBOSDP))
    sides = {OURS: ours_ms, BARE: bare_ms, LIBOSDP: libosdp_ms}
    of_line = {(line, side): figures(side, ms) for side, ms in sides.items()}
    return badge_to_strike.rows_of_line(line, badge_to_strike.Measured(of_line, {}, {}, []))


@pytest.mark.parametrize(
    ("ours_ms", "bare_ms", "libosdp_ms", "missed"),
    [
        (8.0, 7.0, 115.0, set()),
        (8.0, 5.0, 115.0, {BARE.name}),
        (8.0, 7.0, 90.0, {LIBOSDP.name}),
        (10.1, 7.0, 130.0, {"byte times alone"}),
    ],
)
def test_each_goal_fails_alone(ours_ms: float, bare_ms: float, libosdp_ms: float, missed: set[str]) -> None:
    """1.5 times the bare poller, 12 times ahead of libosdp's panel, 1.5 times the byte times (6.68 ms here)."""
    rows = rows_of(ours_ms, bare_ms, libosdp_ms)
    assert {row["other_name"] for row in rows if not row["ok"]} == missed


def test_the_byte_times_are_those_of_the_line() -> None:
    """Half a poll's round of 30 characters, the card's 30 and 2, the command's 30: 77 characters of 10 bits; each
    further reader adds half a round."""
    lengths = Lengths(14, 14, 30, 30, 12)
    assert badge_to_strike.wire_ms(lengths, 1, 9600, paced_readers.LED) == pytest.approx(77 * 10 / 9.6)
    assert badge_to_strike.wire_ms(lengths, 16, 9600, paced_readers.LED) == pytest.approx((77 + 15 * 15) * 10 / 9.6)
    assert badge_to_strike.wire_ms(lengths, 1, 9600, paced_readers.OUTPUT) == pytest.approx(59 * 10 / 9.6)


def test_the_recorded_strike_must_not_cost_more_than_its_commit() -> None:
    """8 ms, a commit of 2 and half an exchange of 1.3 allow 14.1 ms: 14 is met, 15 is not."""
    line = badge_to_strike.Line(1, 115200, 4, 4, (OURS,))
    plain = figures(OURS, 8.0)
    for ms, is_met in ((14.0, True), (15.0, False)):
        recorded = figures(OURS_RECORDING, ms, ([2.0] * 4, [2.0] * 4))
        assert all(row["ok"] for row in badge_to_strike.rows_of_record(line, recorded, plain)) is is_met


def test_what_readers_that_are_off_may_cost() -> None:
    """1.15 times what the others take alone, at the median."""
    line = badge_to_strike.Line(4, 115200, 4, 0, ())
    for ms, is_met in ((11.4, True), (11.6, False)):
        rows = badge_to_strike.rows_of_off(line, 1, figures(OURS, 10.0), figures(OURS, ms))
        assert all(row["ok"] for row in rows) is is_met


def test_cards_are_spread_evenly_over_the_round() -> None:
    """Each distance from the reader asked last comes once before any comes again; a reader that is off never."""
    chance = paced_readers.random.Random(1)
    places = paced_readers._Places([0, 1, 3], chance)
    for asked, behind in ((0, {1, 3, 0}), (2, {3, 0, 1}), (3, {0, 1, 3})):
        assert {places.next(paced_readers.LED, asked) for _ in range(3)} == behind


def test_without_secure_channel_nothing_counts_as_secure() -> None:
    """The link that the benchmark alone has marks every card as read in the clear, so that no agent grants it."""
    from osdp_panels import ClearLink

    link = ClearLink(1)
    link.state = "clear"
    raw = paced_readers_card()
    link._exchange.keep(link._make_command(0))
    link._exchange.send(0)
    facts = link.received(raw, 0)
    assert [fact.secure for fact in facts] == [False]
    assert OURS_CLEAR.name.endswith("not in the product")


def paced_readers_card() -> Any:
    """A raw card's frame in the clear, as reader 1 would send it in answer to sequence 0."""
    from edge.reader.osdp import frame, messages

    code, data = messages.pack_reply(messages.Raw(0, 0, 32, b"\x01\x02\x03\x04"))
    (received,) = frame.Framer().feed(frame.encode(1, 0, code, data, b"", True))
    return received
