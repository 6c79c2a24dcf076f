"""What is written where when a controller changes its manager, and in which order. Pure: plans of steps.

In the keys folder:

manager.toml           the one manager that is obeyed; replacing it is the moment at which another one is
manager-EPOCH.toml     a former one: to whom its log's events still go, and whose codes the old rows are under
handover.cbor          statements that wait (statements.encode_handover)
enrol-EPOCH.cbor       where to get a certificate for the new manager's broker, until that was done
former-uplink-EPOCH    agent.toml's [uplink] when the manager of EPOCH was bound: the former one's line
password.toml          the controller's password
reset.mark             a reset to factory that is on its way

Each step is whole or not at all (files.perform). A power cut between two steps leaves the old manager in force, with
files of the new one that `resume` takes away, or the new manager, with steps that `resume` makes up for.
"""

import re
from collections.abc import Collection
from typing import NamedTuple

MANAGER = "manager.toml"
HANDOVER = "handover.cbor"
PASSWORD = "password.toml"  # noqa: S105 (a file's name)
RESET = "reset.mark"
PENDING = "pending-manager.toml"  # of `vantail enrol`
_FORMER = re.compile(r"manager-(\d{1,10})\.toml")
_ENROL = re.compile(r"enrol-(\d{1,10})\.cbor")
_LINE = re.compile(r"former-uplink-(\d{1,10})")
BESIDE = ".new"  # ends the name under which a file is written before it takes its place


class Write(NamedTuple):
    """The file `name` with this content, mode 0600, in place of what was there."""

    name: str
    content: bytes

    def __repr__(self) -> str:
        return f"Write({self.name!r}, {len(self.content)} bytes)"


class Move(NamedTuple):
    """The file `name` under another name, in place of what was there."""

    name: str
    to: str


class Remove(NamedTuple):
    """No file `name`."""

    name: str


Step = Write | Move | Remove


class Resumed(NamedTuple):
    """What a start has to do first. steps: to be performed. is_new_log: the log belongs to a former manager: close it
    and begin one with another id, under the present epoch. floor: the newest epoch that ever was in force."""

    steps: tuple[Step, ...]
    is_new_log: bool
    floor: int


def former_name(epoch: int) -> str:
    """The file of the manager that was obeyed in `epoch`."""
    return f"manager-{epoch}.toml"


def enrol_name(epoch: int) -> str:
    """The file that says where to enrol for `epoch`."""
    return f"enrol-{epoch}.cbor"


def line_name(epoch: int) -> str:
    """The file that says which line was the former manager's when the one of `epoch` was bound."""
    return f"former-uplink-{epoch}"


def deposit_steps(content: bytes) -> list[Step]:
    """Keep statements that wait: both, or a release alone that withdraws."""
    return [Write(HANDOVER, content)]


def password_steps(content: str) -> list[Step]:
    """A new password."""
    return [Write(PASSWORD, content.encode())]


def bind_steps(
    epoch: int, manager: bytes, enrolment: bytes, former_epoch: int, former: bytes, line: bytes = b""
) -> list[Step]:
    """A new manager. manager: the text of its manager.toml, for `epoch`. enrolment: b"" for a site without a cloud.
    former: the text of manager.toml as it is, of `former_epoch`; b"" for a factory-new controller. line: the former
    one's, never to be used for the new one; b"" where there never was another manager."""
    if former and epoch <= former_epoch:
        raise ValueError(f"epoch {epoch} does not follow {former_epoch}")
    before: list[Step] = [Write(former_name(former_epoch), former)] if former else []
    if enrolment:
        before.append(Write(enrol_name(epoch), enrolment))
    if line:
        before.append(Write(line_name(epoch), line))
    return [*before, Write(MANAGER, manager), Remove(HANDOVER), Remove(PENDING)]


def reset_steps(names: Collection[str], epoch: int) -> list[Step]:
    """Back to factory: no manager, no password, nothing that waits; the log and the former managers' files stay. names:
    of the folder's files. epoch: of manager.toml. Beginning it twice does no harm."""
    gone = [HANDOVER, PENDING, PASSWORD, *sorted(name for name in names if _ENROL.fullmatch(name))]
    moved: list[Step] = [Move(MANAGER, former_name(epoch))] if MANAGER in names else []
    return [Write(RESET, b""), *moved, *(Remove(name) for name in gone if name in names), Remove(RESET)]


def resume(names: Collection[str], epoch: int | None, waiting: int | None, log_epoch: int | None) -> Resumed:
    """Before anything else at a start. epoch: of manager.toml, None without one. waiting: the epoch that the statements
    in handover.cbor lead to, None without any. log_epoch: under which the log was begun, None for no log yet."""
    floor = max([epoch or 0, *_epochs(_FORMER, names)])
    steps: list[Step] = [Remove(name) for name in sorted(names) if name.endswith(BESIDE)]
    if RESET in names:
        return Resumed((*steps, *reset_steps(names, epoch or 0)), False, floor)
    if epoch is not None:
        if former_name(epoch) in names:
            steps.append(Remove(former_name(epoch)))  # it was to be replaced, and was not
        steps += [Remove(enrol_name(other)) for other in _epochs(_ENROL, names) if other != epoch]
    steps += [Remove(line_name(other)) for other in _epochs(_LINE, names) if other != epoch]
    if waiting is not None and waiting <= floor:
        steps.append(Remove(HANDOVER))
    is_new_log = epoch is not None and log_epoch is not None and log_epoch != epoch
    return Resumed(tuple(steps), is_new_log, floor)


def _epochs(pattern: re.Pattern[str], names: Collection[str]) -> list[int]:
    return sorted(int(found[1]) for found in map(pattern.fullmatch, names) if found)
