"""What a fleet counts, and how it is told: a bar while it runs, a report at its end."""

import json
import sys
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, TextIO

BAR = 30


@dataclass
class Figures:
    """Milliseconds in lists. batch_ms: from first sending a batch to its acknowledgement. event_ms: from an event to
    the same; a live event waits up to a second for company. counts: batches, notices, hellos, bytes_up, bytes_down
    (payloads), messages_up, messages_down, refused, policies."""

    controllers: int
    events: int = 0
    acked: int = 0
    seconds: float = 0.0
    batch_ms: list[float] = field(default_factory=list)
    event_ms: list[float] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    resends: int = 0
    connects: int = 0

    def report(self) -> dict[str, Any]:
        """As `--json` prints it."""
        names = ("batches", "notices", "hellos", "policies", "refused", "messages_up", "messages_down")
        return {
            "ok": self.acked == self.events and not self.counts["refused"],
            "controllers": self.controllers,
            "seconds": round(self.seconds, 1),
            "events": self.events,
            "acked": self.acked,
            "acked_a_second": round(self.acked / self.seconds, 1) if self.seconds else 0.0,
            "resends": self.resends,
            "connects": self.connects,
            **{name: self.counts[name] for name in names},
            "bytes_up": self.counts["bytes_up"],
            "bytes_down": self.counts["bytes_down"],
            "bytes_an_event": round(self.counts["bytes_events"] / self.events, 1) if self.events else 0.0,
            "ack_ms": _spread(self.batch_ms),
            "event_to_ack_ms": _spread(self.event_ms),
        }


def _spread(values: list[float]) -> dict[str, float]:
    if not values:
        return {"p50": 0.0, "p99": 0.0, "worst": 0.0}
    ordered = sorted(values)
    p50, p99 = (ordered[min(len(ordered) - 1, len(ordered) * part // 100)] for part in (50, 99))
    return {"p50": round(p50, 1), "p99": round(p99, 1), "worst": round(ordered[-1], 1)}


def told(report: dict[str, Any]) -> str:
    """The report for people."""
    ack, event = report["ack_ms"], report["event_to_ack_ms"]
    return "\n".join(
        [
            f"{report['controllers']} controllers, {report['seconds']} s, {report['connects']} connections made",
            f"events     {report['events']} sent, {report['acked']} acknowledged ({report['acked_a_second']} a second)",
            f"messages   {report['batches']} batches, {report['notices']} notices, {report['hellos']} hellos up; "
            f"{report['messages_down']} down; {report['resends']} times sent again",
            f"batch to acknowledgement   p50 {ack['p50']} ms, p99 {ack['p99']} ms, worst {ack['worst']} ms",
            f"event to acknowledgement   p50 {event['p50']} ms, p99 {event['p99']} ms, worst {event['worst']} ms",
            f"payloads   {report['bytes_up']} bytes up, {report['bytes_down']} down; "
            f"{report['bytes_an_event']} bytes an event in batches",
            "all acknowledged" if report["ok"] else "NOT all acknowledged",
        ]
    )


def dump(report: dict[str, Any]) -> str:
    return json.dumps(report, ensure_ascii=False)


class Bar:
    """How far something is, on one line of a terminal; nothing where stderr is none."""

    def __init__(self, out: TextIO | None = None) -> None:
        self._out = out or sys.stderr
        self._is_shown = self._out.isatty()

    def show(self, what: str, done: float, whole: float, more: str = "") -> None:
        if self._is_shown:
            full = round(BAR * min(1.0, done / whole)) if whole else BAR
            self._out.write(f"\r\x1b[K{what:<11} [{'#' * full}{'.' * (BAR - full)}] {more}")
            self._out.flush()

    def end(self) -> None:
        if self._is_shown:
            self._out.write("\r\x1b[K")
            self._out.flush()
