"""What an agent opens before it begins: the log, the policy, what was kept; and what people should hear of it."""

import asyncio
import os
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

from edge.clock import Clock, boot_id
from edge.config import Config
from edge.decision import model
from edge.decision.index import Index
from edge.keyring import Keyring
from edge.onsite import recall_clock
from edge.policies import POLICY_ERRORS, Policies
from edge.storage import restoring
from edge.storage.backup import drop_left_copies
from edge.storage.event_log import EventLog
from edge.storage.opening import OpenReport
from edge.storage.policy_store import PolicyStore
from edge.storage.state_store import StateStore
from edge.succession import log_of_present, may_stay_in_force

POLICY_FLOOR = "policy-floor"  # kept: the newest policy ever in force, beside policy.db, which may be lost
RUNNING = "running"  # kept while the agent runs: the boot in which it does
CLOCK_TRUST = "clock-trust"  # kept: the boot in which a source vouched for wall time


class Opened(NamedTuple):
    """kept: by name. in_force: of the policy from the start, if any. said: inputs of the core that tell
    what was found. may_send_log: False where the log is still a former manager's."""

    log: EventLog
    kept: dict[str, bytes]
    policies: Policies
    in_force: Index | None
    said: list[object]
    may_send_log: bool


async def open_files(config: Config, keys: Keyring, clock: Clock) -> Opened:
    """Open the files, restore what was kept, load the policy; `clock` learns its floor and whether it was trusted in
    this boot. StorageError where the log cannot be opened."""
    data = Path(config.data)
    await asyncio.to_thread(_prepare_folder, data)
    open_log = partial(
        EventLog.open,
        data / "events.db",
        boot_id=boot_id(),
        keys=keys.log_keys,
        mark=_mark_place(config),
        is_nominative=config.names_persons,
    )
    log = await asyncio.to_thread(open_log)
    log, kept, not_closed = await asyncio.to_thread(log_of_present, log, open_log, _mark_place(config), keys)
    store = await asyncio.to_thread(PolicyStore.open, data / "policy.db")
    state = StateStore(log.database)
    clock.raise_floor(await asyncio.wrap_future(state.floor_ms()))
    recall_clock(clock, kept)
    if kept.get(CLOCK_TRUST) == boot_id().encode():
        clock.believe()
    policies = Policies(store, restoring.version_of(kept.get(POLICY_FLOOR)))
    index, trouble = await _load(policies)
    said: list[object] = [*damages(log.report, store.report), *_recalled(kept, clock, state)]
    if not_closed:
        said.append(
            model.LogAlarm(f"the new manager has no log yet, nothing is sent; free space, restart: {not_closed}")
        )
    said += [model.LogAlarm(doubt) for doubt in (log.doubt, trouble) if doubt]
    in_force = index if index is not None and may_stay_in_force(index, keys) else None
    return Opened(log, kept, policies, in_force, said, not not_closed)


def damages(*reports: OpenReport) -> Iterator[model.LogAlarm]:
    """An alarm for each file that was set aside."""
    for report in reports:
        if report.set_aside is not None:
            said = f"{report.path.name} was damaged, kept as {report.set_aside.name}: {report.reason}"
            yield model.LogAlarm(said)


async def _load(policies: Policies) -> tuple[Index | None, str]:
    """(the index, what is wrong with the rows)."""
    try:
        index = await policies.load()
    except POLICY_ERRORS as error:
        await policies.forget()
        return None, str(error)
    if policies.version < policies.floor:
        had, has = (".".join(map(str, version)) for version in (policies.floor, policies.version))
        return index, f"policy.db has lost policy {had}, it holds {has}: a snapshot is needed"
    return index, ""


def _recalled(kept: dict[str, bytes], clock: Clock, state: StateStore) -> list[object]:
    """What the run before left to be said, once; and that this one runs."""
    said: list[object] = []
    if kept.pop(RUNNING, b"") == clock.boot.encode():
        said.append(model.AgentAlarm("it ended without being told to, and was started again"))
    state.keep({RUNNING: clock.boot.encode()})
    if restored := kept.pop(restoring.RESTORED, b""):
        said.append(model.Noted("restored", "", "", restored.decode(errors="replace")))
        state.keep({restoring.RESTORED: b""})
    return said


def _prepare_folder(data: Path) -> None:
    """What a restore or a backup that was cut off left there is put right before any file is opened. StorageError."""
    data.mkdir(0o700, parents=True, exist_ok=True)
    restoring.finish(data)
    drop_left_copies(data, time.time())


def _mark_place(config: Config) -> Path:
    """The high-water mark of the log lies with the keys, apart from the log, where that folder can be written."""
    folder = config.keys if os.access(config.keys, os.W_OK) else config.data
    return Path(folder) / "events.mark"
