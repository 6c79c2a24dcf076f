"""One controller's commissioning: who may ask, which hand-over waits, which reader is learning. Pure.

`Commissioning` is told what happened and answers with what shall happen, as the decision core does. The one way in: a
session that knew the password types the manager's number, a hand-over waits, and its commissioning key is held at the
learning reader. Only then it asks for the new manager to be stored, and only what was stored is obeyed.
"""

from collections.abc import Hashable, Sequence
from typing import NamedTuple

from edge.commissioning import learning, refusals
from edge.commissioning.handover import Claim, Handover, Release
from edge.commissioning.learning import Free, Held, Hold, Learning, Note
from edge.commissioning.password import Gate
from edge.decision.model import Keep, Moment

SESSION_MS = 900_000  # since it was last used
MAX_SESSIONS = 4
KEPT = "commissioning"  # what runs, so that a restart can say that it was cut off
KEPT_GATE = "password-lockout"


class Bind(NamedTuple):
    """Make this claim's manager the one that is obeyed (journal.bind_steps); then call `bound` or `not_stored`."""

    claim: Claim


class Alarm(NamedTuple):
    """A `lockout` alarm: somebody guesses the controller's password."""

    detail: str


Output = Hold | Free | Note | Bind | Alarm | Keep


class Answer(NamedTuple):
    """reason: "" or a word of refusals. outputs: to be performed in order, whatever the reason."""

    reason: str
    outputs: tuple[Output, ...] = ()


class View(NamedTuple):
    """What an installer is shown. state: of the learning reader. reason: why it failed last. left_ms: of the countdown,
    or for the key. ignored: reads in the countdown. locked_ms: of the password's lock. The manager of a hand-over that
    waits is not shown: its number has to be brought. root_print: of its root key, "" for none, to be compared with the
    commissioning card; where the controller is factory-new nothing else tells whose hand-over it is."""

    state: str
    reason: str
    reader: str
    manager: int
    left_ms: int
    ignored: int
    has_handover: bool
    expires_s: int | None
    root_print: str
    locked_ms: int
    is_new: bool
    epoch: int


class Commissioning:
    """gate: of the password. handover: with what waited before the start deposited anew. kept: under KEPT."""

    def __init__(self, gate: Gate, handover: Handover, kept: bytes = b"") -> None:
        self.gate = gate
        self.handover = handover
        self.learning = Learning()
        if kept:
            is_done = kept != _epoch(handover)
            self.learning = Learning(learning.DONE) if is_done else Learning(learning.FAILED, refusals.INTERRUPTED)
        self._was_cut_off = bool(kept)
        self._sessions: dict[Hashable, int] = {}  # → until mono_ms
        self._outdated: set[Hashable] = set()  # sessions that may only change the password
        self._used: Claim | None = None  # the claim for which a reader is learning
        self._binding: Claim | None = None

    def started(self) -> Answer:
        """Once, after the start: how what was running has ended."""
        if not self._was_cut_off:
            return Answer("")
        self._was_cut_off = False
        return Answer("", (Note(f"learning-{self.learning.state}", "", self.learning.reason), Keep(KEPT, b"")))

    # --- who may ask ----------------------------------------------------------------------------------------

    def try_password(self, moment: Moment) -> str:
        """ "" where a password may be compared now (Password.matches, on another thread); `tried` has to follow."""
        return self.gate.begin(moment)

    def tried(self, session: Hashable, is_right: bool, moment: Moment, epoch: int = 0) -> Answer:
        """The comparison's result opens a session, whose name the caller made unguessable. epoch: of the password; one
        that somebody chose in an earlier epoch opens nothing but its own change."""
        reason, is_alarm, kept = self.gate.end(is_right, moment)
        if reason:
            alarms = (Alarm("wrong passwords of the controller"),) if is_alarm else ()
            return Answer(reason, (*alarms, Note("password-wrong", "", ""), Keep(KEPT_GATE, kept)))
        while len(self._sessions) >= MAX_SESSIONS and session not in self._sessions:
            del self._sessions[min(self._sessions, key=lambda name: self._sessions[name])]
        self._sessions[session] = moment.mono_ms + SESSION_MS
        if 0 < epoch < self.handover.standing.epoch:
            self._outdated.add(session)
        return Answer("", (Note("password-right", "", ""),))

    def knows_password(self, session: Hashable, moment: Moment) -> bool:
        """Whether a session is open; using it keeps it open."""
        self._sessions = {name: until for name, until in self._sessions.items() if until > moment.mono_ms}
        if session not in self._sessions:
            return False
        self._sessions[session] = moment.mono_ms + SESSION_MS
        return True

    def closed_to(self, session: Hashable, moment: Moment) -> str:
        """ "" where a session may do anything, or why it may not."""
        if not self.knows_password(session, moment):
            return refusals.PASSWORD
        self._outdated.intersection_update(self._sessions)
        return refusals.OLD_PASSWORD if session in self._outdated else ""

    def leave(self, session: Hashable) -> None:
        """End a session."""
        self._sessions.pop(session, None)

    def password_changed(self, session: Hashable) -> None:
        """Who knew the former password has to know the new one."""
        self._sessions = {name: until for name, until in self._sessions.items() if name == session}
        self._outdated.clear()

    # --- the hand-over --------------------------------------------------------------------------------------

    def deposit(self, release: Release | None, claim: Claim | None) -> Answer:
        """Take statements in, by whatever way they came; nothing of them is obeyed yet. A reader that is learning for
        another claim gives up."""
        if self._binding is not None:
            return Answer(refusals.BUSY)
        before = self.handover.pending
        reason = self.handover.deposit(release, claim)
        if reason or self.handover.pending == before:
            return Answer(reason)
        note = Note("handover-waits" if self.handover.pending else "handover-withdrawn", "", "")
        changed = [] if self._is_current() else self.learning.fail(refusals.CHANGED)
        return Answer("", (note, *self._ended(changed)))

    def arm(
        self, session: Hashable, manager: int, reader: str, is_online: bool, countdown_s: int, moment: Moment
    ) -> Answer:
        """Begin at a reader, with the manager's number that was typed. What would be refused at the end is refused here
        already, so that nobody walks for nothing."""
        closed = self.closed_to(session, moment)
        if closed:
            return Answer(closed)
        if self.learning.is_busy or self._binding is not None:
            return Answer(refusals.BUSY)
        reason = self.handover.refusal(True, manager, moment)
        if not reason and not learning.SHORTEST_S <= countdown_s <= learning.LONGEST_S:
            reason = refusals.COUNTDOWN
        if not reason and not is_online:
            reason = refusals.OFFLINE
        if not reason and not self._pending().needs_key:
            reason = refusals.KEYLESS
        if reason:
            return Answer(reason)
        self._used = self._pending()
        outputs = self.learning.arm(reader, manager, self._used.is_key, moment.mono_ms, countdown_s)
        return Answer("", (Keep(KEPT, _epoch(self.handover)), *_plain(outputs)))

    def adopt(self, session: Hashable, manager: int, moment: Moment) -> Answer:
        """The first manager of a factory-new controller, where the claim names no key: trust on first use."""
        closed = self.closed_to(session, moment)
        if closed:
            return Answer(closed)
        if self.learning.is_busy or self._binding is not None:
            return Answer(refusals.BUSY)
        reason = self.handover.refusal(True, manager, moment)
        if reason:
            return Answer(reason)
        if self._pending().needs_key:
            return Answer(refusals.NO_KEY)
        self._binding = self._pending()
        return Answer("", (Keep(KEPT, _epoch(self.handover)), Bind(self._binding)))

    def adjust(self, session: Hashable, steps: int, moment: Moment) -> Answer:
        """The menu keys: the countdown longer or shorter by `steps` times 10 s."""
        closed = self.closed_to(session, moment)
        if closed:
            return Answer(closed)
        return Answer("", self._settled(self.learning.adjust(steps, moment.mono_ms), moment))

    def cancel(self, session: Hashable, moment: Moment) -> Answer:
        """Give up; too late where the new manager is being stored."""
        closed = self.closed_to(session, moment)
        if closed:
            return Answer(closed)
        due = self.tick(moment).outputs
        if self._binding is not None:
            return Answer(refusals.BUSY, due)
        return Answer("", due + self._ended(self.learning.fail(refusals.CANCELLED)))

    # --- what happens ---------------------------------------------------------------------------------------

    def read(self, reader: str, number: int | None, secure: bool, moment: Moment) -> Answer:
        """A card was read at any reader; the decision core is told as well, and opens nothing at a learning one."""
        return Answer("", self._settled(self.learning.read(reader, number, secure, moment.mono_ms), moment))

    def line(self, reader: str, is_online: bool, moment: Moment) -> Answer:
        """A reader came or went."""
        if is_online:
            return self.tick(moment)
        return Answer("", self._settled(self.learning.offline(reader, moment.mono_ms), moment))

    def tick(self, moment: Moment) -> Answer:
        """Run what is due."""
        return Answer("", self._settled(self.learning.tick(moment.mono_ms), moment))

    def next_due(self) -> int | None:
        """When `tick` next has something to do (monotonic ms)."""
        return self.learning.next_due()

    def bound(self) -> Answer:
        """What Bind asked for is durable. ValueError where nothing was asked for."""
        if self._binding is None:
            raise ValueError("nothing is being bound")
        self.handover.bound()
        self._binding = None
        outputs = self.learning.stored() if self.learning.is_busy else []
        return Answer("", self._ended([*outputs, Note("manager-bound", "", f"epoch {self.handover.standing.epoch}")]))

    def not_stored(self) -> Answer:
        """What Bind asked for failed, and the old manager is in force."""
        self._binding = None
        outputs = self.learning.fail(refusals.NOT_STORED)
        return Answer(refusals.NOT_STORED, self._ended([*outputs, Note("manager-not-bound", "", "")]))

    def view(self, moment: Moment) -> View:
        """For the terminal, the page and the command."""
        learner, pending, standing = self.learning, self.handover.pending, self.handover.standing
        root_print = pending.claim.root_print if pending is not None else ""
        expires_s = pending.release.expires_s if pending is not None and pending.release is not None else None
        return View(
            learner.state, learner.reason, learner.reader, learner.manager, learner.left_ms(moment.mono_ms),
            learner.ignored, pending is not None, expires_s, root_print, self.gate.left_ms(moment), standing.is_new,
            standing.epoch,
        )  # fmt: skip

    # --- within ---------------------------------------------------------------------------------------------

    def _pending(self) -> Claim:
        assert self.handover.pending is not None
        return self.handover.pending.claim

    def _is_current(self) -> bool:
        pending = self.handover.pending
        return self._used is None or (pending is not None and pending.claim == self._used)

    def _settled(self, outputs: list[learning.Output], moment: Moment) -> tuple[Output, ...]:
        """Held becomes Bind, if the hand-over may still be used; what ended is forgotten."""
        if not any(isinstance(output, Held) for output in outputs):
            return self._ended(_plain(outputs))
        reason = self.handover.refusal(True, self.learning.manager, moment)
        if reason:
            return self._ended([*_plain(outputs), *self.learning.fail(reason)])
        self._binding = self._pending()
        return (*_plain(outputs), Bind(self._binding))

    def _ended(self, outputs: Sequence[Output | Held]) -> tuple[Output, ...]:
        """Where a reader is free again, nothing is running any more that a restart could cut off."""
        done = _plain(outputs)
        if not self.learning.is_busy and self._binding is None and done:
            self._used = None
            return (*done, Keep(KEPT, b""))
        return tuple(done)


def _plain(outputs: Sequence[Output | Held]) -> list[Output]:
    return [output for output in outputs if not isinstance(output, Held)]


def _epoch(handover: Handover) -> bytes:
    return str(handover.standing.epoch).encode()
