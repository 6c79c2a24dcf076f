"""Commissioning on site: the one service behind the terminal, the page and the command.

It holds the procedure, which is pure, feeds it with what happens and performs what it answers. Passwords are compared
and files are written on threads: no door waits for them.
"""

import asyncio
import base64
import binascii
import contextlib
import secrets
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from edge.clock import Clock, check_declared
from edge.commissioning import files, journal, password, refusals
from edge.commissioning.handover import Handover
from edge.commissioning.learning import COUNTDOWN_S, Free, Hold, Note
from edge.commissioning.procedure import KEPT, KEPT_GATE, SESSION_MS, Alarm, Answer, Bind, Commissioning
from edge.config import Config
from edge.console.api import BadRequestError, Handler
from edge.decision import model
from edge.decision.indications import TABLE
from edge.keyring import Keyring
from edge.later_enrolment import words_of
from edge.learning_readers import LearningReaders
from edge.storage.errors import StorageError
from edge.storage.state_store import StateStore
from edge.succession import clean_up, standing
from edge.uplink import statements
from edge.uplink.keys import KeyFileError, ManagerTrust, load_manager, manager_text
from edge.uplink.wire import WireError

DECLARED = "clock-declared"  # kept: the boot, and the installer's time's distance from its monotonic clock
PROVEN = "proven-floor"  # kept once an installer said what time it is: the utc ms that others had vouched for
PROVEN_EVERY_MS = 3_600_000
QUIET_S = 600.0  # between two lines of the log about hand-overs refused for the same reason
STORING_S = 10.0
LOCK_STORING_S = 1.0
GREEN_S = TABLE["learning-done"].total_ms / 1000


class OnSite:
    """Of one controller. kept: as the log's file has it. state(): of that file. submit: takes inputs of the core, in
    their order. readers: what is known of those where badges are read. `taken_over`: another manager was bound; the
    process has to begin anew. `answers`: the operations of the local API."""

    def __init__(
        self,
        config: Config,
        keys: Keyring,
        clock: Clock,
        kept: Mapping[str, bytes],
        state: Callable[[], StateStore],
        submit: Callable[[object], None],
        readers: LearningReaders,
    ) -> None:
        self._config, self._keys, self._clock = config, keys, clock
        self._state, self._submit, self._readers = state, submit, readers
        self._folder = Path(config.keys)
        gate = password.Gate(kept.get(KEPT_GATE, b""), clock.moment())
        self._procedure = Commissioning(gate, Handover(standing(config, keys)), kept.get(KEPT, b""))
        self._claims: asyncio.Queue[statements.Claim] = asyncio.Queue()
        self._alone = asyncio.Lock()  # one hand-over at a time
        self._said_s: dict[str, float] = {}
        proven = kept.get(PROVEN, b"")
        self._proven_ms = int(proven) if proven.isdigit() else 0
        self._keeping: Any = None  # the last Keep, on its way
        self._used_ms: dict[str, int] = {}  # sessions, when somebody last did something: a page that looks does not
        self.is_over = False  # another manager is bound: nothing more is taken from the one of before
        self.taken_over = asyncio.Event()
        with contextlib.suppress(OSError, WireError):
            self._take(*self._verified((self._folder / journal.HANDOVER).read_bytes())[:2])
        self._perform(self._procedure.started())
        self.answers: dict[str, Handler] = {
            "commission-view": self._answer_view,
            "commission-login": self._answer_login,
            "commission-logout": self._answer_logout,
            "commission-arm": self._answer_arm,
            "commission-adjust": self._answer_adjust,
            "commission-cancel": self._answer_cancel,
            "commission-adopt": self._answer_adopt,
            "commission-deposit": self._answer_deposit,
            "commission-password": self._answer_password,
            "commission-time": self._answer_time,
        }

    # --- what happens -------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Store whom the procedure binds; until cancelled."""
        while True:
            await self._bind(await self._claims.get())

    def next_due(self) -> int | None:
        """When `follow` next has something to do without an input (monotonic ms)."""
        return self._procedure.next_due()

    def follow(self, happened: object) -> None:
        """An input that the core was given."""
        moment = self._moment()
        if self._proven_ms and self._is_vouched(moment) and abs(moment.utc_ms - self._proven_ms) >= PROVEN_EVERY_MS:
            self._proven_ms = moment.utc_ms
            self._keep({PROVEN: b"%d" % self._proven_ms})
        match happened:
            case model.Presented(reader=reader, medium=model.BADGE, number=number, secure=secure):
                self._perform(self._procedure.read(reader, number, secure, moment))
            case model.ReaderLine(reader=reader, is_online=is_online):
                self._perform(self._procedure.line(reader, is_online, moment))
            case _:
                due_ms = self._procedure.next_due()
                if due_ms is not None and moment.mono_ms >= due_ms:
                    self._perform(self._procedure.tick(moment))

    def _moment(self) -> model.Moment:
        """Now; an installer who takes the time back does not take back what was proven before."""
        moment = self._clock.moment()
        return moment._replace(floor_ms=max(moment.floor_ms, self._proven_ms))

    def _is_vouched(self, moment: model.Moment) -> bool:
        """Whether NTP or an RTC says what time it is, and not an installer."""
        return moment.trusted and not self._clock.is_declared

    async def deposit(self, raw: bytes) -> str:
        """A hand-over came, by whatever way: "" or why it does not wait. Where a start is with it, what an installer
        would type is done. Until the new start nothing more is taken: the keys here are the former manager's."""
        if self.is_over:
            return refusals.BUSY
        try:
            release, claim, start = await asyncio.to_thread(self._verified, raw)
        except WireError:
            return self._refused(refusals.STATEMENT)
        async with self._alone:
            if self.is_over:  # since
                return refusals.BUSY
            reason = self._take(release, claim) or await self._keep_handover(raw, claim)
        if reason:
            return self._refused(reason)
        return await self._begin(start) if start is not None else ""

    # --- what the procedure asks for ----------------------------------------------------------------------------------

    def _perform(self, answer: Answer) -> str:
        for output in answer.outputs:
            match output:
                case Hold(reader, outcome):
                    self._readers.hold(reader, outcome)
                case Free(reader, outcome):
                    self._readers.free(reader, outcome)
                case Note(what, reader, detail):
                    self._note(what, detail, reader)
                case Alarm(detail):
                    self._submit(model.PasswordAlarm(detail))
                case model.Keep(name, value):
                    self._keep({name: value})
                case Bind(claim):
                    self._claims.put_nowait(claim)  # type: ignore[arg-type]
        return answer.reason

    def _note(self, what: str, detail: str, reader: str = "") -> None:
        self._submit(model.Noted(what, self._readers.door_of(reader), reader, detail))

    def _keep(self, items: dict[str, bytes]) -> None:
        self._keeping = self._state().keep(items)

    async def _bind(self, claim: statements.Claim) -> None:
        """Make this claim's manager the one that is obeyed. What manager.toml says in the end counts, whatever the disk
        said meanwhile."""
        with contextlib.suppress(StorageError, TimeoutError):
            await asyncio.to_thread(self._keeping.result, STORING_S)  # so that a start knows what was cut off
        is_bound = await asyncio.to_thread(self._store, claim)
        if not is_bound:
            self._perform(self._procedure.not_stored())
            return
        self.is_over = True
        self._perform(self._procedure.bound())
        await asyncio.sleep(GREEN_S)
        self.taken_over.set()

    def _store(self, claim: statements.Claim) -> bool:
        """On a thread."""
        with contextlib.suppress(files.StepError, OSError):
            former = b"" if self._keys.is_new else (self._folder / journal.MANAGER).read_bytes()
            text = manager_text(self._manager_of(claim)).encode()
            enrolment = statements.encode_enrolment(claim)
            is_first = self._keys.is_new and not self._keys.former  # then the line is nobody else's
            line = b"" if is_first else words_of(self._config.uplink)
            files.perform(
                self._folder, journal.bind_steps(claim.epoch, text, enrolment, self._keys.manager.epoch, former, line)
            )
            return True
        with contextlib.suppress(OSError, ValueError, files.StepError):
            clean_up(self._folder, self._keys.device_key)
        try:
            return load_manager(self._folder / journal.MANAGER).epoch == claim.epoch
        except KeyFileError:
            return False

    def _manager_of(self, claim: statements.Claim) -> ManagerTrust:
        return ManagerTrust(
            claim.site_uid, claim.site, claim.controller, claim.manager_key, claim.epoch, claim.manager,
            claim.code_key, claim.seal_key, claim.root_key, claim.serial,
            self._keys.manager.recovery_key or claim.recovery_key,
        )  # fmt: skip

    # --- hand-overs ---------------------------------------------------------------------------------------------------

    def _verified(
        self, raw: bytes
    ) -> tuple[statements.Release | None, statements.Claim | None, statements.Start | None]:
        """What was signed and sealed, checked. WireError."""
        manager, device_key = self._keys.manager, self._keys.device_key
        release, claim, start = statements.decode_handover(raw)
        is_checkable = release and not self._keys.is_new  # else nobody here can tell who signed it
        return (
            statements.verify_release(release, manager.manager_key, manager.recovery_key) if is_checkable else None,
            statements.verify_claim(claim, device_key) if claim else None,
            statements.open_start(start, claim, device_key) if start else None,
        )

    def _take(self, release: statements.Release | None, claim: statements.Claim | None) -> str:
        answer = self._procedure.deposit(release, claim)  # type: ignore[arg-type]  # it asks of the one that it gave
        return self._perform(answer)

    async def _keep_handover(self, raw: bytes, claim: statements.Claim | None) -> str:
        """For the next start; without what somebody would type."""
        if claim is None and self._procedure.handover.pending is not None:
            return ""  # a release that was there already
        content = statements.encode_handover(*statements.decode_handover(raw)[:2])
        try:
            await asyncio.to_thread(files.perform, self._folder, journal.deposit_steps(content))
        except files.StepError:
            return refusals.NOT_STORED
        return ""

    def _refused(self, reason: str) -> str:
        said_s = self._said_s.get(reason)
        if said_s is None or time.monotonic() - said_s >= QUIET_S:
            self._said_s[reason] = time.monotonic()
            self._note("handover-refused", reason)
        return reason

    async def _begin(self, start: statements.Start) -> str:
        """A controller without screen and keys: the password that came sealed is tried as if it had been typed."""
        session = secrets.token_hex(16)
        reason = await self._try_password(session, start.password)
        return reason or self._arm(session, start.manager, start.reader, start.countdown_s)

    # --- the local API ------------------------------------------------------------------------------------------------

    async def _answer_view(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """{session?} → the fields of procedure.View and: controller, site, signed_in, readers [{id, door, online,
        light}], clock {utc_ms, trusted}, countdown_s (what to offer). `reason` is the learning reader's."""
        moment = self._moment()
        signed_in = self._is_signed_in(str(request.get("session")), moment)
        view = self._procedure.view(moment)
        return {
            **view._asdict(),
            **_words(view.reason),
            "controller": self._config.controller,
            "site": self._keys.manager.site,
            "signed_in": signed_in,
            "readers": self._readers.seen(),
            "clock": {"utc_ms": moment.utc_ms, "trusted": moment.trusted},
            "countdown_s": COUNTDOWN_S,
        }

    def _is_signed_in(self, session: str, moment: model.Moment) -> bool:
        """Whether a session is open. Looking does not keep it open, as a page looks for as long as it is left so."""
        if moment.mono_ms - self._used_ms.get(session, -SESSION_MS) >= SESSION_MS:
            self._procedure.leave(session)
            return False
        return self._procedure.knows_password(session, moment)

    def _session_of(self, request: Mapping[str, Any]) -> str:
        """Of somebody who does something, now."""
        session, moment = _text(request, "session"), self._moment()
        if self._is_signed_in(session, moment):
            self._used_ms[session] = moment.mono_ms
        return session

    async def _answer_login(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """{password} → {session: 32 hexadecimal digits, "" where it was refused}."""
        session = secrets.token_hex(16)
        reason = await self._try_password(session, _text(request, "password"))
        return {"session": "" if reason else session, **_words(reason)}

    async def _try_password(self, session: str, text: str) -> str:
        path = self._folder / journal.PASSWORD
        try:
            kept = password.parse(await asyncio.to_thread(path.read_text))
        except FileNotFoundError:
            raise BadRequestError("this controller has no password yet; make one: vantail init --password") from None
        except (OSError, UnicodeDecodeError) as error:
            raise BadRequestError(f"{path}: cannot be read ({error})") from None
        except password.PasswordError as error:
            raise BadRequestError(str(error)) from None
        reason = self._procedure.try_password(self._moment())
        if reason:
            return reason
        is_right = False
        try:
            is_right = await asyncio.to_thread(kept.matches, text)
        finally:
            answer = self._procedure.tried(session, is_right, self._moment(), kept.epoch)
            self._perform(answer)
        if any(isinstance(output, model.Keep) for output in answer.outputs):  # a cut must not give the try back
            with contextlib.suppress(StorageError, TimeoutError):
                async with asyncio.timeout(LOCK_STORING_S):
                    await asyncio.shield(asyncio.wrap_future(self._keeping))
        if is_right:
            now_ms = self._moment().mono_ms
            self._used_ms = {name: at for name, at in self._used_ms.items() if now_ms - at < SESSION_MS}
            self._used_ms[session] = now_ms
        return answer.reason

    async def _answer_logout(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """{session}."""
        self._procedure.leave(self._session_of(request))
        return _words("")

    async def _answer_arm(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """{session, manager, reader, countdown_s?}: begin at a reader."""
        session, reader = self._session_of(request), _text(request, "reader")
        countdown_s = _number(request, "countdown_s") if "countdown_s" in request else COUNTDOWN_S
        return _words(self._arm(session, _number(request, "manager"), reader, countdown_s))

    def _arm(self, session: str, manager: int, reader: str, countdown_s: int) -> str:
        is_online = any(each["id"] == reader and each["online"] for each in self._readers.seen())
        moment = self._moment()
        return self._perform(self._procedure.arm(session, manager, reader, is_online, countdown_s, moment))

    async def _answer_adjust(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """{session, steps}: the countdown longer or shorter by so many times 10 s."""
        steps, moment = _number(request, "steps"), self._moment()
        reason = self._perform(self._procedure.adjust(self._session_of(request), steps, moment))
        self._submit(model.Tick())  # its end may be nearer than what is waited for
        return _words(reason)

    async def _answer_cancel(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """{session}."""
        return _words(self._perform(self._procedure.cancel(self._session_of(request), self._moment())))

    async def _answer_adopt(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """{session, manager}: the first manager of a factory-new controller, where it names no key."""
        session, manager = self._session_of(request), _number(request, "manager")
        return _words(self._perform(self._procedure.adopt(session, manager, self._moment())))

    async def _answer_deposit(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """{handover: base64}; no session: it only waits."""
        try:
            raw = base64.b64decode(_text(request, "handover"), validate=True)
        except binascii.Error:
            raise BadRequestError("handover: give base64") from None
        return _words(await self.deposit(raw))

    async def _answer_password(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """{session, password}: another password; other sessions end."""
        session, text = self._session_of(request), _text(request, "password")
        if not self._procedure.knows_password(session, self._moment()):
            return _words(refusals.PASSWORD)
        if password.weakness(text):
            return _words(refusals.WEAK_PASSWORD)
        epoch = self._procedure.handover.standing.epoch
        made = await asyncio.to_thread(password.make, text, epoch)
        try:
            await asyncio.to_thread(files.perform, self._folder, journal.password_steps(made.toml()))
        except files.StepError as error:
            raise BadRequestError(str(error)) from None
        self._procedure.password_changed(session)
        self._note("password-changed", "")
        return _words("")

    async def _answer_time(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """{session, utc_ms}: the installer says what time it is. It holds until the next boot, or until NTP knows
        better; the floor of wall time falls to it where it is higher."""
        utc_ms = _number(request, "utc_ms")
        closed = self._procedure.closed_to(self._session_of(request), self._moment())
        if closed:
            return _words(closed)
        try:
            check_declared(utc_ms)
        except ValueError as error:
            raise BadRequestError(f"utc_ms: {error}") from None
        before = self._clock.moment()
        if self._is_vouched(before):
            self._proven_ms = before.utc_ms
        self._proven_ms = self._proven_ms or before.floor_ms  # what was declared since proves nothing
        ahead_ms = self._clock.declare(utc_ms)
        self._state().lower_floor(self._clock.floor_ms)
        self._keep({DECLARED: f"{self._clock.boot} {ahead_ms}".encode(), PROVEN: b"%d" % self._proven_ms})
        self._note("clock-set", datetime.fromtimestamp(utc_ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"))
        return _words("")


def recall_clock(clock: Clock, kept: Mapping[str, bytes]) -> bool:
    """Where the installer declared the time earlier in this boot, it still counts. Whether it was so."""
    boot, _, ahead_ms = kept.get(DECLARED, b"").decode(errors="replace").partition(" ")
    if boot != clock.boot or not ahead_ms.lstrip("-").isdecimal():
        return False
    clock.declare_again(int(ahead_ms))
    return True


def _words(reason: str) -> dict[str, str]:
    """A reason with what to tell people, and how to go on."""
    what, way_on = refusals.TEXTS[reason] if reason else ("", "")
    return {"reason": reason, "what": what, "way_on": way_on}


def _text(request: Mapping[str, Any], name: str) -> str:
    value = request.get(name)
    if not isinstance(value, str):
        raise BadRequestError(f"{name}: give a text")
    return value


def _number(request: Mapping[str, Any], name: str) -> int:
    value = request.get(name)
    if type(value) is not int or abs(value) >= 1 << 53:
        raise BadRequestError(f"{name}: give a whole number")
    return value
