"""A running agent as Prometheus metrics, from its `status` answer. The only file that names prometheus-client.

Names and units after Prometheus' own conventions: seconds, `_total` for what only grows, and no metric where the
controller has no such part. Counters of a log begin anew after a restore, as counters may.
"""

import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any
from wsgiref.simple_server import WSGIServer

from prometheus_client import CollectorRegistry, generate_latest, start_http_server
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    InfoMetricFamily,
    Metric,
    StateSetMetricFamily,
)
from prometheus_client.registry import Collector

from edge.console.api import ApiError
from edge.decision import door as doors

DOOR_STATES = (doors.SECURE, doors.UNLOCKED, doors.OPENED, doors.HELD, doors.FORCED, doors.STANDING)
Ask = Callable[[], dict[str, Any]]


class AgentCollector(Collector):
    """Asks the agent at each scrape. ask: gives its `status` answer, or raises ApiError: then vantail_up is 0 and
    nothing else is told."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        self._one_at_a_time = threading.Lock()  # the agent is asked once, however many scrape

    def describe(self) -> Iterable[Metric]:
        """Nothing: the agent is not asked before the first scrape."""
        return []

    def collect(self) -> Iterator[Metric]:
        """One scrape."""
        status: dict[str, Any] | None = None
        try:
            with self._one_at_a_time:
                status = self._ask()
        except ApiError:
            pass
        yield GaugeMetricFamily("vantail_up", "Whether the agent answered this scrape.", status is not None)
        if status is not None:
            yield from families(status)


def exposition(ask: Ask) -> bytes:
    """One scrape in the text format."""
    return generate_latest(_registry(ask))


def serve(ask: Ask, address: str, port: int) -> WSGIServer:
    """Answer scrapes at an address, on threads of its own, until `shutdown()`. OSError where it cannot listen."""
    server, _ = start_http_server(port, address, _registry(ask))
    return server


def _registry(ask: Ask) -> CollectorRegistry:
    registry = CollectorRegistry(auto_describe=False)  # none of the process's own: they would be this command's
    registry.register(AgentCollector(ask))
    return registry


# --- what is told ---------------------------------------------------------------------------------------------------


def families(status: dict[str, Any]) -> Iterator[Metric]:
    """Every metric of a `status` answer."""
    about = {"version": status["software"].split()[-1], "site": status["site"], "controller": status["controller"]}
    yield InfoMetricFamily("vantail_build", "The agent's version, and which controller it is.", about)
    yield _gauge("vantail_uptime_seconds", "Since the agent's start.", status["uptime_s"])
    yield _counter("vantail_decisions", "Credentials decided since the start.", status["decisions"])
    yield _gauge("vantail_last_decision_seconds", "What the last decision took.", status["decision_us"] / 1e6)
    yield _gauge("vantail_clock_trusted", "Whether a source vouches for wall time.", status["clock"]["trusted"])
    yield _counter("vantail_unwired_outputs", "Orders to outputs that have no line.", status["unwired_outputs"])
    yield from _policy(status["policy"])
    yield from _events(status["log"])
    yield from _doors(status["doors"])
    yield from _readers(status["readers"])
    uplink = status["uplink"]
    if uplink is not None and uplink["line"] is not None:
        yield from _uplink(uplink)
    if status["sync"] is not None:
        yield _gauge(
            "vantail_uplink_silent_seconds",
            "For how long the cloud has not answered; 0 while it does.",
            status["sync"]["silent_s"],
        )


def _policy(policy: dict[str, Any]) -> Iterator[Metric]:
    yield _gauge("vantail_policy_in_force", "Whether any policy is in force.", policy["in_force"])
    yield _gauge("vantail_policy_epoch", "The manager's epoch of the policy in force.", policy["epoch"])
    yield _gauge("vantail_policy_revision", "The revision of the policy in force.", policy["revision"])


def _events(log: dict[str, Any]) -> Iterator[Metric]:
    yield _counter("vantail_events_recorded", "Events recorded since this log began.", log["last_seq"])
    yield _gauge("vantail_events_stored", "Events kept on this controller.", log["total"])
    yield _gauge("vantail_events_unsent", "Events that the cloud has not acknowledged.", log["unsent"])
    yield _counter("vantail_events_dropped", "Events never recorded, the log being full or broken.", log["dropped"])
    yield _counter("vantail_events_late", "Events recorded late, the disk having failed.", log["late"])


def _doors(found: list[dict[str, Any]]) -> Iterator[Metric]:
    state = StateSetMetricFamily(
        "vantail_door_state", "The state of each door: 1 for the one it is in.", labels=["door"]
    )
    leaf = GaugeMetricFamily("vantail_door_leaf_open", "Whether a door with a contact is open.", labels=["door"])
    for door in found:
        state.add_metric([door["id"]], {name: name == door["state"] for name in DOOR_STATES})
        if door["has_contact"]:
            leaf.add_metric([door["id"]], door["leaf_open"])
    yield state
    yield leaf


_OF_READERS = (
    ("online", GaugeMetricFamily, "vantail_reader_online", "Whether an OSDP reader answers."),
    ("secure", GaugeMetricFamily, "vantail_reader_secure", "Whether its channel is encrypted with its own key."),
    ("ready", GaugeMetricFamily, "vantail_reader_ready", "Whether what is shown to it is taken."),
    ("time_outs", CounterMetricFamily, "vantail_reader_time_outs", "Polls without an answer."),
    ("bad_frames", CounterMetricFamily, "vantail_reader_bad_frames", "Answers that were damaged or forged."),
    ("sessions", CounterMetricFamily, "vantail_reader_sessions", "Secure sessions that were set up."),
)


def _readers(found: list[dict[str, Any]]) -> Iterator[Metric]:
    """OSDP readers: those on wires say nothing while nobody shows them anything."""
    for key, kind, name, told in _OF_READERS:
        family = kind(name, told, labels=["reader"])
        for reader in found:
            family.add_metric([reader["reader"]], reader[key])
        yield family


def _uplink(uplink: dict[str, Any]) -> Iterator[Metric]:
    yield _gauge("vantail_uplink_connected", "Whether the line to the broker is up.", uplink["connected"])
    yield _gauge("vantail_uplink_in_flight_batches", "Batches sent and not acknowledged.", uplink["in_flight"])
    yield _counter("vantail_uplink_batches", "Batches of events sent.", uplink["batches"])
    yield _counter("vantail_uplink_resends", "Times that events were sent again.", uplink["resends"])
    yield _counter("vantail_uplink_hellos", "Hellos sent.", uplink["hellos"])
    yield _counter("vantail_uplink_notices", "Events shown at once, before their batch.", uplink["notices"])
    yield _counter("vantail_uplink_commands", "Commands of the manager taken.", uplink["commands"])
    yield _counter("vantail_uplink_connects", "Connections to the broker.", uplink["line"]["connects"])
    yield _counter("vantail_uplink_dropped_messages", "Messages dropped unread.", uplink["line"]["dropped"])
    refused = CounterMetricFamily("vantail_uplink_refused", "Messages refused, by reason.", labels=["reason"])
    for reason, times in uplink["refused"].items():
        refused.add_metric([reason], times)
    yield refused


def _gauge(name: str, told: str, value: float) -> Metric:
    return GaugeMetricFamily(name, told, float(value))


def _counter(name: str, told: str, value: float) -> Metric:
    return CounterMetricFamily(name, told, float(value))
