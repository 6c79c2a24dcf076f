"""The OSDP lines of a controller as an installer reads them: a table along the wire, and the same as values."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from edge.inspection.reader_advice import Verdict
from edge.reader.osdp.scan import Found

HEAD = ("reader", "address", "state", "vendor", "model", "firmware", "polls/s", "errors", "last card")
_RIGHT = (1, 6, 7)  # columns of numbers
NONE = "–"


class LastCard(NamedTuple):
    """`ends_in`: the last four digits, "" where they are not known; never the whole number."""

    age_s: float
    ends_in: str


class ReaderSeen(NamedTuple):
    """A reader of agent.toml. `status`: its dict of Bus.status()."""

    status: Mapping[str, Any]
    verdict: Verdict
    polls_s: float | None
    card: LastCard | None

    @property
    def shown_polls(self) -> str:
        return NONE if self.polls_s is None or not self.status["secure"] else f"{self.polls_s:.0f}"

    @property
    def errors(self) -> int:
        """Answers that did not come, or could not be read."""
        return int(self.status["time_outs"] + self.status["bad_frames"])


class LineSeen(NamedTuple):
    """An OSDP line. `strangers`: who answers on it and is not in agent.toml."""

    port: str
    baud: int
    trouble: str
    readers: Sequence[ReaderSeen]
    strangers: Sequence[Found]


def drawn(line: LineSeen) -> list[str]:
    """The line as text: a head, a row a reader, beneath it what to do."""
    well = sum(reader.verdict.ok for reader in line.readers)
    title = f"line {line.port}  {line.baud} baud  {well} of {len(line.readers)} readers secure"
    if line.trouble:
        return [title, f"       {line.trouble}"]
    noise = max((reader.status["noise_bytes"] for reader in line.readers), default=0)
    rows = [HEAD, *(_cells(reader) for reader in line.readers), *(_stranger_cells(one) for one in line.strangers)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEAD))]
    shown = [f"{title}  noise {noise} bytes", f"        {_aligned(HEAD, widths)}"]
    last = len(rows) - 2
    for at, reader in enumerate(line.readers):
        shown += _row(reader.verdict.ok, _cells(reader), widths, reader.verdict, at == last)
    for at, one in enumerate(line.strangers, len(line.readers)):
        said = Verdict(True, "", "not in agent.toml", paste(one))
        shown += _row(True, _stranger_cells(one), widths, said, at == last)
    return shown


def paste(one: Found) -> str:
    """What makes a stranger one of the line's readers."""
    return f'add {{ id = "{stranger_name(one.address)}", address = {one.address} }} to its readers in agent.toml'


def stranger_name(address: int) -> str:
    return f"reader-{address}"


def _row(is_well: bool, cells: Sequence[str], widths: Sequence[int], verdict: Verdict, is_last: bool) -> list[str]:
    rows = [f"{'ok  ' if is_well else 'FAIL'} {'└─' if is_last else '├─'} {_aligned(cells, widths)}".rstrip()]
    wire = " " if is_last else "│"
    if not verdict.ok or verdict.advice:
        rows.append(f"     {wire}  {verdict.found}")
    if verdict.advice:
        rows.append(f"     {wire}  → {verdict.advice}")
    return rows


def _aligned(cells: Sequence[str], widths: Sequence[int]) -> str:
    texts = [
        cell.rjust(width) if column in _RIGHT else cell.ljust(width)
        for column, (cell, width) in enumerate(zip(cells, widths, strict=True))
    ]
    return "  ".join(texts).rstrip()


def _cells(reader: ReaderSeen) -> tuple[str, ...]:
    status = reader.status
    return (
        status["reader"],
        str(status["address"]),
        reader.verdict.word,
        status["vendor"] or NONE,
        status["model"] or NONE,
        status["firmware"] or NONE,
        reader.shown_polls,
        str(reader.errors),
        _card(reader.card),
    )


def _stranger_cells(one: Found) -> tuple[str, ...]:
    word = "install mode" if one.waits_for_key else "unknown"
    return ("?", str(one.address), word, one.vendor, one.model, one.firmware, NONE, NONE, NONE)


def _card(card: LastCard | None) -> str:
    if card is None:
        return "none"
    ends = f"…{card.ends_in}, " if card.ends_in else ""
    return f"{ends}{age(card.age_s)} ago"


def age(seconds: float) -> str:
    """How long ago, in the largest unit that says enough: "12 s", "5 min", "3 h", "9 days"."""
    for limit, unit_s, word in ((120, 1, "s"), (7200, 60, "min"), (172_800, 3600, "h")):
        if seconds < limit:
            return f"{max(seconds, 0) // unit_s:.0f} {word}"
    return f"{seconds // 86_400:.0f} days"


def as_object(line: LineSeen) -> dict[str, Any]:
    """The same for programs."""
    return {
        "port": line.port,
        "baud": line.baud,
        "trouble": line.trouble,
        "readers": [
            {
                **reader.status,
                "ok": reader.verdict.ok,
                "found": reader.verdict.found,
                "advice": reader.verdict.advice,
                "polls_s": reader.polls_s,
                "errors": reader.errors,
                "last_card_s": None if reader.card is None else round(reader.card.age_s, 1),
                "last_card_ends_in": "" if reader.card is None else reader.card.ends_in,
            }
            for reader in line.readers
        ],
        "strangers": [{**one._asdict(), "advice": paste(one)} for one in line.strangers],
    }
