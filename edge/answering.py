"""What the local API answers about a running agent: status, events, explanations."""

import asyncio
import time
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from edge import __version__
from edge.connectivity import badge_of
from edge.console.api import BadRequestError, Handler
from edge.decision import model
from edge.explaining import answer, presented_of
from edge.reader.osdp.scan import BAUDS
from edge.storage.backup import copy_for_backup
from edge.storage.event_log import LoggedEvent

if TYPE_CHECKING:
    from edge.agent import Agent

SOFTWARE = f"vantail {__version__}"
CODE_EXPLAINED_S = 1.0
MOST_EVENTS = 5000  # of one answer
MOST_WHO = 40  # characters of who commands; the detail of an event has 80
COMMANDS = ("open", "hold", "release", "lockdown", "forgive")
FILTERS = {"since_ms", "until_ms", "door", "reader", "result", "reason", "medium", "credential", "text"}


class Answers:
    """The operations of the local API, each an async function of the request."""

    def __init__(self, agent: "Agent") -> None:
        self._agent = agent

    def by_op(self) -> Mapping[str, Handler]:
        """{operation: what answers it}."""
        return {
            "status": self.status,
            "events": self._events,
            "explain": self._explain,
            "backup": partial(copy_for_backup, self._agent.log, self._agent.policies.store),
            "reader-move": self._move_reader,
            "command": self._command,
            **self._agent.pairing.answers,
            **self._agent.housekeeping.answers,
            **self._agent.transferring.answers,
            **self._agent.onsite.answers,
        }

    async def status(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """How the controller stands; the request says nothing."""
        agent = self._agent
        counts = await asyncio.wrap_future(agent.log.counts())
        moment = agent.clock.moment()
        epoch, revision = agent.policies.version
        return {
            "controller": agent.config.controller,
            "site": agent.keys.manager.site,
            "software": SOFTWARE,
            "uptime_s": round(time.monotonic() - agent.started_at),
            "clock": {"utc_ms": moment.utc_ms, "trusted": moment.trusted},
            "policy": {"epoch": epoch, "revision": revision, "in_force": agent.controller.index is not None},
            "log": {
                "id": agent.log.log_id.hex(),
                "last_seq": agent.log.last_seq,
                "acknowledged": agent.log.acked,
                "total": counts.total,
                "unsent": counts.unsent,
                "dropped": counts.dropped + agent.recorder.dropped,
                "late": agent.recorder.late,
            },
            "doors": [
                {
                    "id": door.row.id,
                    "name": door.row.name,
                    "state": door.state,
                    "has_contact": door.has_contact,
                    "leaf_open": door.leaf_open,
                }
                for door in agent.controller.doors.values()
            ],
            "calls": agent.controller.calls(),
            **agent.hardware.status(),
            "uplink": agent.manager_side.status(),
            "sync": self._sync(counts.unsent, moment) if agent.manager_side.has_line else None,
            "api_may_open": agent.config.api_may_open,
            "decision_us": agent.decision_us,
            "decisions": agent.decisions,
            "unwired_outputs": agent.actuators.unwired,
        }

    def _sync(self, unsent: int, moment: model.Moment) -> dict[str, Any]:
        """How this controller and its cloud stand. strip: see Connectivity; the last half hour is the one that runs."""
        now_ms = time.monotonic_ns() // 1_000_000
        since_ms = self._agent.connectivity.silent_since(now_ms)
        return {
            "badge": badge_of(unsent, since_ms),
            "waiting": unsent,
            "silent_s": 0 if since_ms is None else (now_ms - since_ms) // 1000,
            "silent_since_ms": None if since_ms is None else moment.utc_ms - (now_ms - since_ms),
            "strip": self._agent.connectivity.strip(now_ms),
        }

    async def _events(self, request: Mapping[str, Any]) -> dict[str, Any]:
        wanted = {key: request[key] for key in (*FILTERS, "after_seq") if request.get(key) is not None}
        unknown = set(request) - FILTERS - {"op", "after_seq", "limit"}
        if unknown:
            raise BadRequestError(
                f"unknown filter {', '.join(sorted(unknown))}; known are {', '.join(sorted(FILTERS))}"
            )
        limit = min(int(request.get("limit") or 100), MOST_EVENTS)
        log = self._agent.log
        found = await asyncio.wrap_future(log.query(limit=limit, **wanted))
        return {"log": log.log_id.hex(), "events": [_event_json(logged) for logged in found]}

    async def _explain(self, request: Mapping[str, Any]) -> dict[str, Any]:
        agent = self._agent
        moment = agent.clock.moment()
        if request.get("at_ms") is not None:
            moment = moment._replace(utc_ms=int(request["at_ms"]))
        presented = presented_of(
            agent.controller.index,
            agent.code_key(),
            str(request.get("door")),
            str(request.get("medium")),
            str(request.get("value")),
            int(request.get("button") or 1),
            str(request.get("reader") or ""),
        )
        if presented.medium == model.CODE:  # no oracle: it is written down and takes its time
            agent.submit(model.Noted("code-explained", presented.door, presented.reader, ""))
            await asyncio.sleep(CODE_EXPLAINED_S)
        situation = agent.controller.situation(presented, False, moment)
        return answer(agent.controller.index, presented, situation, moment, str(request.get("value")))

    async def _move_reader(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Another address or speed for a reader; whether it took it is an event, reader-moved."""
        reader = str(request.get("reader"))
        bus = self._agent.hardware.bus_of.get(reader)
        if bus is None:
            known = ", ".join(sorted(self._agent.hardware.bus_of)) or "none"
            raise BadRequestError(f"there is no OSDP reader '{reader}'; known are {known}")
        status = next(line for line in bus.status() if line["reader"] == reader)
        address = int(request["address"]) if request.get("address") is not None else int(status["address"])
        baud = int(request["baud"]) if request.get("baud") is not None else bus.baud
        if baud not in BAUDS:
            raise BadRequestError(f"{baud} baud: give one of {', '.join(map(str, BAUDS))}")
        if not bus.move(reader, address, baud):
            raise BadRequestError(f"reader {reader} is {status['state']}: it must be on line to be told")
        return {"reader": reader, "address": address, "baud": baud, "was_address": status["address"]}

    async def _command(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """What somebody beside the controller asks of a door, or with door "" of every one. It is decided and recorded
        like the manager's own commands; how it ended is an event of medium "command"."""
        action, door, who = (request.get(name) for name in ("action", "door", "who"))
        until_ms = request.get("until_ms") or 0
        doors = self._agent.controller.doors
        if not self._agent.config.api_may_open:
            raise BadRequestError("no door is opened by this socket; where that is meant: api_may_open in agent.toml")
        if action not in COMMANDS:
            raise BadRequestError(f"unknown action; known are {', '.join(COMMANDS)}")
        if not isinstance(door, str) or (door and door not in doors):
            raise BadRequestError(f'unknown door; known are {", ".join(sorted(doors))}, and "" for every one')
        if not isinstance(who, str) or not 0 < len(who) <= MOST_WHO or not who.isprintable():
            raise BadRequestError(f"who: say in 1 to {MOST_WHO} printable characters who commands")
        if type(until_ms) is not int:
            raise BadRequestError("until_ms: give UTC milliseconds, a whole number")
        self._agent.submit(model.Command(action, door, until_ms, who))
        return {"submitted": True}


def _event_json(logged: LoggedEvent) -> dict[str, Any]:
    event = logged.event
    return {
        "seq": logged.seq,
        "at_ms": event.at_ms,
        "clock_trusted": event.trusted,
        "door": event.door,
        "reader": event.reader,
        "medium": event.medium,
        "credential": _credential_text(event),
        "result": event.result,
        "reason": event.reason,
        "output": event.output,
        "detail": event.detail,
        "late": logged.late,
        "policy": logged.policy_revision,
    }


def _credential_text(event: model.Event) -> str:
    if event.credential is None:
        return ""
    return f"{event.credential:016x}" if event.medium == "code" else f"{event.credential:010d}"
