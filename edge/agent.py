"""The composition root: builds every part, owns the loop, performs outputs.

One task takes inputs from one queue, asks the controller, and performs what it answers. Records go to the storage
thread; what they allow follows when they are durable, while the next input is already being decided.
"""

import asyncio
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from edge.actuators import Actuators
from edge.answering import SOFTWARE, Answers
from edge.clock import Clock, boot_id
from edge.closed_logs import ClosedLogs
from edge.commanding import Answered, Asked, Commands
from edge.config import Config
from edge.connectivity import Connectivity
from edge.console.api import ApiServer
from edge.decision import model, rows
from edge.decision.chain import is_personal, without_person
from edge.decision.controller import Controller
from edge.hardware import Hardware
from edge.housekeeping import Housekeeping
from edge.keyring import Keyring
from edge.later_enrolment import LaterEnrolment, uplink_of
from edge.learning_readers import LearningReaders
from edge.lines.gpio import RequestLines
from edge.lines.simulated import Barrier
from edge.manager_side import ManagerSide
from edge.onsite import OnSite
from edge.opening_files import CLOCK_TRUST, POLICY_FLOOR, RUNNING, damages, open_files
from edge.pairing import Pairing
from edge.policies import Policies
from edge.policy_care import PolicyCare
from edge.presenting import Presenting, Report
from edge.reader.inputs import InputsSeen, LineDown, LineUp, NotPaired, Paired, ReaderMoved, ReaderNews
from edge.reader_switches import ReaderSwitches
from edge.recorder import Recorder
from edge.storage.event_log import EventLog
from edge.storage.opening import OpenReport
from edge.storage.state_store import StateStore
from edge.succession import LOG_EPOCH, is_of_present
from edge.transferring import Transferring
from edge.uplink.messages import Command

SWITCH_S = 0.0002  # Python's 5 ms is what a door would wait for each thread that works, again and again
BLIP_S = 1.0
LOCK_S = 0.25  # some slots of a bus, for the locks of a stop


class Agent:
    """One controller at work. Build it in a running loop with `await Agent.start(…)`, then `await run()`."""

    def __init__(
        self,
        config: Config,
        keys: Keyring,
        clock: Clock,
        log: EventLog,
        kept: dict[str, bytes],
        policies: Policies,
        request_lines: RequestLines | None = None,
        may_send_log: bool = True,
    ) -> None:
        self.config = config
        self.keys = keys
        self.clock = clock
        self.log = log
        self.policies = policies
        self._queue: asyncio.Queue[object] = asyncio.Queue()
        self._performing: set[asyncio.Task[None]] = set()
        self._lost_readers: dict[str, asyncio.TimerHandle] = {}  # away, for less than BLIP_S so far
        self._broken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._kept_version = policies.floor
        self._trust_is_kept = False  # that this boot's clock is trusted
        self.decisions = 0  # credentials decided
        self.decision_us = 0.0  # what the last one took
        self.started_at = time.monotonic()
        self.controller = Controller(
            [door.id for door in config.door if door.contact], [_bare_door(door) for door in config.door]
        )
        self.recorder = Recorder(log, self._log_troubled, self._log_recovered, self._log_committed)
        loop = asyncio.get_running_loop()
        log.on_new_file = lambda report: loop.call_soon_threadsafe(self._log_begun_anew, report)
        policies.store.on_new_file = lambda report: loop.call_soon_threadsafe(self._policy_begun_anew, report)
        self._presenting = Presenting(self.code_key, self._format_of)
        self._switches = ReaderSwitches(config.door)
        self.hardware = Hardware(
            config, keys, self.submit, self._reader_news, self._board_troubled, self._board_back, request_lines
        )
        self.pairing = Pairing(Path(config.keys) / "osdp.toml", self.hardware.bus_of, self.submit)
        self.actuators = Actuators(config, self.hardware, self._modem_of)
        self.connectivity = Connectivity(time.monotonic_ns() // 1_000_000)
        self._closed_logs = ClosedLogs(
            Path(config.data),
            lambda: self.housekeeping.purge_before_ms(),
            lambda said: self.housekeeping.alarm(said),
            lambda kept: is_of_present(kept, keys),
        )
        self.policy_care = PolicyCare(
            policies, self.submit, lambda: self.manager_side.policy_differs(), lambda: self.onsite.is_over
        )
        readers = LearningReaders(config, self.controller, self.hardware, self.submit)
        self.onsite = OnSite(config, keys, clock, kept, lambda: StateStore(self.log.database), self.submit, readers)
        self.answers = Answers(self)
        self.manager_side = ManagerSide(
            uplink_of(config, keys) if may_send_log else None,
            keys,
            clock,
            log,
            self._closed_logs,
            self.policy_care,
            self._carry_out,
            self.connectivity.see,
        )
        self._later_enrolment = LaterEnrolment(
            config,
            keys,
            clock,
            lambda what, detail: self.submit(model.Noted(what, "", "", detail)),
            self.manager_side.line_changed if may_send_log else lambda uplink: None,
        )
        self.transferring = Transferring(
            keys,
            clock,
            log,
            self._closed_logs,
            self.policy_care,
            lambda: self.manager_side.synchroniser,
            self.onsite.deposit,
            Path(config.data),
            may_send_log,
        )
        self.housekeeping = Housekeeping(
            log,
            clock,
            config.keep_events,
            config.keep_personal_days,
            self.manager_side.countersigned,
            self.submit,
            self._closed_logs.erase,
        )
        self.submit(model.Started(kept, SOFTWARE))

    @classmethod
    async def start(
        cls, config: Config, keys: Keyring, clock: Clock, request_lines: RequestLines | None = None
    ) -> "Agent":
        """Open the files, restore what was kept, load the policy. StorageError where the log cannot be opened.
        `request_lines`: a double of gpiod's, where there is no GPIO."""
        sys.setswitchinterval(SWITCH_S)
        opened = await open_files(config, keys, clock)
        agent = cls(config, keys, clock, opened.log, opened.kept, opened.policies, request_lines, opened.may_send_log)
        agent._submit_all(opened.said)
        if opened.in_force is not None:
            agent.policy_care.put_in_force(opened.in_force)
        return agent

    async def run(self) -> None:
        """Until cancelled, or a part breaks: then its exception is raised, with every strike locked."""
        api = ApiServer(Path(self.config.api), self.answers.by_op())
        await api.start()
        was_told = False
        try:
            self.hardware.claim()
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._decide())
                tasks.create_task(self._watch())
                tasks.create_task(self.housekeeping.run())
                tasks.create_task(self._closed_logs.keep_purging())
                tasks.create_task(self.policy_care.keep_rebuilding())
                tasks.create_task(self.policy_care.keep_checking())
                self.hardware.start(tasks)
                tasks.create_task(self.manager_side.run())
                tasks.create_task(self.onsite.run())
                tasks.create_task(self._later_enrolment.run())
                tasks.create_task(self.transferring.take_up())
        except asyncio.CancelledError:
            was_told = True
            raise
        finally:
            self._lock_everything()
            self.hardware.release()
            await api.stop()
            await self.pairing.finish()
            await self.recorder.close()
            if was_told:
                StateStore(self.log.database).keep({RUNNING: b""})
            await asyncio.to_thread(self.log.close)
            await asyncio.to_thread(self.policies.close)

    async def stop(self) -> None:
        """Lock every strike while its line is still served; then `run` may be cancelled."""
        self._lock_everything()
        self.actuators.is_stopping = True
        if self.hardware.locks_slowly:
            await asyncio.sleep(LOCK_S)

    def submit(self, happened: object) -> None:
        """Take something that happened: an input of the decision core, or a report of a reader or line."""
        self._queue.put_nowait(happened)

    def _submit_all(self, happened: Iterable[object]) -> None:
        for each in happened:
            self.submit(each)

    async def settle(self) -> None:
        """Return when everything submitted so far was decided and performed."""
        done = asyncio.get_running_loop().create_future()
        self._queue.put_nowait(done)
        await done
        while self._performing:
            await asyncio.wait(self._performing)

    # --- the loop -------------------------------------------------------------------------------------------

    async def _decide(self) -> None:
        while True:
            happened = await self._next()
            if isinstance(happened, asyncio.Future):
                happened.set_result(None)
            elif isinstance(happened, Asked):
                self._handle(happened.value, happened.answer)
            elif self.actuators.is_stopping and not isinstance(happened, model.Tick):
                continue  # a badge would get its green light and its record, and no open door
            elif isinstance(happened, Barrier):
                self._spawn(self._answer_barrier(happened.number, set(self._performing)))
            else:
                for value in self._inputs(happened):
                    self._handle(value)
                    self.onsite.follow(value)

    async def _next(self) -> object:
        if not self._queue.empty():
            return self._queue.get_nowait()
        wait_s = self.clock.wait_s(self.next_deadline())
        try:
            async with asyncio.timeout(wait_s):
                return await self._queue.get()
        except TimeoutError:
            return model.Tick()

    def next_deadline(self) -> int | None:
        """The monotonic ms at which a Tick is due, or None."""
        dues = (self.controller.next_deadline(self.clock.moment()), self.onsite.next_due())
        return min((due for due in dues if due is not None), default=None)

    def _inputs(self, happened: object) -> Sequence[object]:
        if isinstance(happened, LineDown):
            self._switches.line_down(happened.reader)
            self._lose(happened)
            return ()
        if isinstance(happened, InputsSeen):
            return self._switches.inputs(happened)
        if isinstance(happened, model.Indicate):  # of a reader that commissioning uses
            self._show([happened])
            return ()
        if isinstance(happened, LineUp):
            self.actuators.reader_back(happened.reader)
            waiting = self._lost_readers.pop(happened.reader, None)
            if waiting is not None:
                waiting.cancel()
        if isinstance(happened, Report):
            now_ms = time.monotonic_ns() // 1_000_000
            return self._presenting.inputs(happened, self._door_of(happened.reader), now_ms)
        return (happened,)

    def _lose(self, down: LineDown) -> None:
        """A reader is away. One that is back within BLIP_S had its session renewed: nothing opened meanwhile, and an
        alarm for each renewal would bury those of cut cables."""
        earlier = self._lost_readers.pop(down.reader, None)
        if earlier is not None:
            earlier.cancel()
        loop = asyncio.get_running_loop()
        self._lost_readers[down.reader] = loop.call_later(BLIP_S, self._stayed_away, down)

    def _stayed_away(self, down: LineDown) -> None:
        del self._lost_readers[down.reader]
        self.submit(model.ReaderLine(down.reader, False, down.detail))

    async def _carry_out(self, command: Command) -> tuple[str, str, str]:
        """A fresh command of the manager's; once another one is bound, nothing of it is done."""
        if self.onsite.is_over or self.actuators.is_stopping:
            return model.DENIED, "learning" if self.onsite.is_over else "stopping", ""
        return await Commands(self.ask, self.answers.status).carry_out(command)

    def code_key(self) -> bytes:
        """The key under which the codes of the policy in force are."""
        index = self.controller.index
        return self.keys.code_key if index is None else self.keys.code_key_of(index.version[0])

    async def ask(self, value: object) -> Answered:
        """What became of an input, which is performed like any other."""
        answer: asyncio.Future[Answered] = asyncio.get_running_loop().create_future()
        self.submit(Asked(value, answer))
        return await answer

    def _handle(self, happened: object, answer: "asyncio.Future[Answered] | None" = None) -> None:
        moment = self.clock.moment()
        started = time.perf_counter_ns()
        outputs = self.controller.handle(happened, moment)
        if isinstance(happened, model.PolicyReplaced):
            self.log.is_nominative = self.config.names_persons and self.controller.index.names_persons
        if isinstance(happened, model.Presented):
            self.decision_us = round((time.perf_counter_ns() - started) / 1000, 1)
            self.decisions += 1
        self._perform(outputs, answer)

    def _perform(self, outputs: Sequence[object], answer: "asyncio.Future[Answered] | None" = None) -> None:
        """In order: what comes before the first record at once, then the records, then what they allow. Lights do
        not wait, except at a door that denies when its log fails."""
        events: list[model.Event] = []
        keep: dict[str, bytes] = {}
        allowed: list[tuple[model.Strike, int]] = []
        lights: list[model.Indicate] = []
        for output in outputs:
            match output:
                case model.Record(event):
                    events.append(event)
                case model.Keep(name, value):
                    keep[name] = value
                case model.Strike() if output.ms == model.LOCK or not events:
                    self.actuators.strike(output)
                case model.Strike():
                    allowed.append((output, self.actuators.ticket(output)))
                case model.Indicate():
                    lights.append(output)
                case model.Dial():
                    self.actuators.dial(output)
                case model.HangUp():
                    self.actuators.hang_up(output)
        denying = [strike.door for strike, _ in allowed if self._denies_on_failure(strike.door)]
        if not denying:
            self._show(lights)
        if events or keep:
            index = self.controller.index  # that decided; a newer policy may be stored already
            revision = index.version[1] if index is not None else self.policies.version[1]
            self._spawn(self._record_then(events, keep, revision, allowed, lights if denying else [], answer))
        elif answer is not None:
            answer.set_result(Answered([], frozenset()))

    async def _record_then(
        self,
        events: list[model.Event],
        keep: dict[str, bytes],
        revision: int,
        allowed: list[tuple[model.Strike, int]],
        lights: list[model.Indicate],
        answer: "asyncio.Future[Answered] | None",
    ) -> None:
        if self.policies.version > self._kept_version:
            self._kept_version = self.policies.version
            keep[POLICY_FLOOR] = b"%d %d" % self._kept_version
        trusted_ms = [event.at_ms for event in events if event.trusted]
        if trusted_ms:
            self.clock.raise_floor(max(trusted_ms))
            if not self._trust_is_kept and not self.clock.is_declared:
                keep[CLOCK_TRUST] = boot_id().encode()
                self._trust_is_kept = True
        failure = await self.recorder.record(events, keep, revision, waits=bool(allowed))
        denied = {strike.door for strike, _ in allowed if failure and self._denies_on_failure(strike.door)}
        for strike, ticket in allowed:
            if strike.door in denied:
                self.submit(model.LogTrouble(strike.door, failure))
            else:
                self.actuators.strike(strike, ticket)
        if not failure:
            self._show(lights)
        if answer is not None and not answer.done():
            answer.set_result(Answered(events, frozenset(denied)))

    def _show(self, lights: Sequence[model.Indicate]) -> None:
        for shown in lights:
            self.actuators.indicate(shown)

    def _spawn(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._performing.add(task)
        task.add_done_callback(self._performed)

    def _performed(self, task: asyncio.Task[None]) -> None:
        self._performing.discard(task)
        if not task.cancelled() and task.exception() is not None and not self._broken.done():
            self._broken.set_exception(task.exception() or RuntimeError())

    async def _watch(self) -> None:
        """Raise what broke while outputs were performed: a part that fails unseen is worse than a new start."""
        await self._broken

    async def _answer_barrier(self, number: int, before: set[asyncio.Task[None]]) -> None:
        if before:
            await asyncio.wait(before)
        if self.hardware.simulated is not None and not self.actuators.is_stopping:  # what came before may be undone
            self.hardware.simulated.answer_barrier(number)

    def _lock_everything(self) -> None:
        for door in self.controller.doors.values():
            for output in door.row.outputs:
                self.actuators.strike(model.Strike(door.row.id, output, model.LOCK))

    # --- the log --------------------------------------------------------------------------------------------

    def _log_troubled(self, detail: str) -> None:
        self.submit(model.LogTrouble("", detail))

    def _log_recovered(self, late: int) -> None:
        self.submit(model.LogRecovered(late))

    def _log_committed(self, seqs: Sequence[int], events: Sequence[model.Event]) -> None:
        self.housekeeping.committed()
        self.manager_side.log_advanced()
        named = events if self.log.is_nominative else [_unnamed(event) for event in events]
        self.manager_side.tell(seqs, named)

    def _log_begun_anew(self, report: OpenReport) -> None:
        """The log was found damaged at run, and another one has begun: what the old one kept may be lost with it."""
        self._submit_all(damages(report))
        self._trust_is_kept, self._kept_version = False, (0, 0)
        StateStore(self.log.database).keep(
            {RUNNING: self.clock.boot.encode(), LOG_EPOCH: b"%d" % self.keys.manager.epoch}
        )
        self.manager_side.log_begun_anew()

    def _policy_begun_anew(self, report: OpenReport) -> None:
        """Likewise the policy's rows. What is in force goes on; the manager learns that none are left."""
        self._submit_all(damages(report))
        self.manager_side.policy_differs()

    # --- the policy -----------------------------------------------------------------------------------------

    def _door_of(self, reader_id: str) -> str:
        index = self.controller.index
        row = index.readers.get(reader_id) if index is not None else None
        return row.door if row is not None else ""

    def _modem_of(self, door_id: str) -> str:
        index = self.controller.index
        panel = index.panels.get(door_id) if index is not None else None
        return panel.modem if panel is not None else ""

    def _format_of(self, reader_id: str) -> str:
        index = self.controller.index
        row = index.readers.get(reader_id) if index is not None else None
        return row.format if row is not None else ""

    def _denies_on_failure(self, door_id: str) -> bool:
        door = self.controller.doors.get(door_id)
        return door is not None and door.row.deny_on_log_failure

    # --- lines ----------------------------------------------------------------------------------------------

    def _board_back(self, is_connected: bool) -> None:
        if is_connected:
            self.actuators.hold_again()

    def _board_troubled(self, board: str, said: str) -> None:
        self.submit(model.LineAlarm("", f"{board}: {said}"))

    def _reader_news(self, told: ReaderNews) -> None:
        match told:
            case Paired() | NotPaired():
                self.pairing.news(told)
            case InputsSeen():
                self.submit(told)
            case ReaderMoved(reader, address, baud):
                self.submit(model.Noted("reader-moved", "", reader, f"address {address}, {baud} baud"))


def _unnamed(event: model.Event) -> model.Event:
    """As the log of a site keeps it that names nobody."""
    return without_person(event) if is_personal(event) else event


def _bare_door(lines: Any) -> rows.Door:
    """A door as its wiring alone describes it: good for its exit button, before any policy."""
    outputs = tuple(lines.outputs)
    return rows.Door(
        lines.id, lines.id, outputs, lines.unlock_ms, lines.unlock_ms, 0,
        rows.NEVER, False, False, False, "", "", (), rows.NEVER,
    )  # fmt: skip
