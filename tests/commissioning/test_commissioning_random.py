"""Random orders of steps, keys, time-outs, power cuts and messages: what must hold after each of them (issue 7)."""

import pytest
from commissioning_world import (
    KEY,
    KINDS,
    NUMBER,
    OTHER_NUMBER,
    OTHER_PASSWORD,
    PASSWORD,
    READERS,
    RESIDENT,
    SITE,
    STRANGER,
    Cabinet,
    handover_bytes,
)
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from edge.commissioning import handover, journal, learning, procedure, refusals
from edge.decision import model
from edge.uplink import statements, wire

LEAST_HELD_MS = 1_500  # "about two seconds"
DETOURS = ("", "", "", "", "tap", "wrong key", "wrong number", "forged", "1", "2", "3", "4")  # a digit: cut after it
HERE = ("good", "expired", "short", "recovery", "later", "withdrawn")  # what may wait in a controller of SITE
SESSIONS = ("page", "terminal")
SIZES = [300, pytest.param(10_000, marks=[pytest.mark.full, pytest.mark.timeout(3600)])]


class Installer(RuleBasedStateMachine):
    """Keeps its own books of what was shown to the controller, and compares."""

    def __init__(self) -> None:
        super().__init__()
        self.cabinet = Cabinet()
        self.known: set = set()  # sessions whose password was right
        self.typed: tuple = ()  # (session, manager's number) of the armed reader
        self.signed: set = set()  # claims that came with everything that they need
        self.shown: list = []  # (ms, number, secure) at the learning reader while it blinks fast in red
        self.is_reset = False

    # --- what can happen ------------------------------------------------------------------------------------

    @rule(ms=st.sampled_from((50, 400, 1_000, 2_000, 10_000, 30_000, 90_000, 600_000)))
    def wait(self, ms: int) -> None:
        self.cabinet.wait(ms)

    @rule(
        reader=st.sampled_from(READERS),
        number=st.sampled_from((KEY, KEY, RESIDENT, STRANGER, None)),
        is_secure=st.sampled_from((True, True, True, False)),
    )
    def present(self, reader: str, number: int | None, is_secure: bool) -> None:
        cabinet = self.cabinet
        cabinet.wait(0)
        is_learning = self.learning_reader == reader
        if is_learning and cabinet.lights[reader] == "learning-present":
            self.shown.append((cabinet.mono_ms, number, is_secure))
        has_opened = cabinet.present(reader, number, is_secure)
        assert has_opened == (number in (RESIDENT, KEY) and is_secure and not is_learning)

    @rule(session=st.sampled_from(SESSIONS), password=st.sampled_from((PASSWORD, PASSWORD, OTHER_PASSWORD)))
    def unlock(self, session: str, password: str) -> None:
        if not self.cabinet.unlock(session, password):
            assert password == PASSWORD
            self.known.add(session)

    @rule(kind=st.sampled_from(KINDS), ahead=st.sampled_from((0, 0, 0, -1, 1)))
    def deposit(self, kind: str, ahead: int) -> None:
        epoch = self.epoch + 1 + ahead
        if epoch < 2:
            return
        before = self.cabinet.files.get(journal.HANDOVER)
        if self.cabinet.deposit(handover_bytes(epoch, kind)):
            assert self.cabinet.files.get(journal.HANDOVER) == before
        elif not self.is_reset:
            assert kind in (HERE if self.cabinet.handover.standing.site_uid == SITE else ("foreign-site",))
            assert ahead == 0

    @rule(
        session=st.sampled_from(SESSIONS),
        number=st.sampled_from((NUMBER, NUMBER, OTHER_NUMBER)),
        reader=st.sampled_from(READERS),
        countdown_s=st.sampled_from((10, 90, 600, 9, 601)),
    )
    def arm(self, session: str, number: int, reader: str, countdown_s: int) -> None:
        cabinet = self.cabinet
        cabinet.wait(0)
        free = dict(cabinet.lights)
        if cabinet.arm(number, reader, countdown_s, session):
            assert cabinet.lights == free
        else:
            self.typed, self.shown = (session, number), []
            assert session in self.known
            assert cabinet.online[reader]

    @rule(session=st.sampled_from(SESSIONS), steps=st.integers(-70, 70))
    def adjust(self, session: str, steps: int) -> None:
        self.cabinet.take(self.cabinet.commissioning.adjust(session, steps, self.cabinet.moment))

    @rule(session=st.sampled_from(SESSIONS))
    def cancel(self, session: str) -> None:
        self.cabinet.take(self.cabinet.commissioning.cancel(session, self.cabinet.moment))

    @rule(reader=st.sampled_from(READERS), is_online=st.booleans())
    def cable(self, reader: str, is_online: bool) -> None:
        if not is_online and reader == self.learning_reader:
            self.shown.append((self.cabinet.mono_ms, "offline", False))
        self.cabinet.line(reader, is_online)

    @rule()
    def clock(self) -> None:
        self.cabinet.trusted = not self.cabinet.trusted

    @rule(steps=st.integers(1, 6))
    def store(self, steps: int) -> None:
        self.cabinet.store(steps)

    @rule()
    def disk_full(self) -> None:
        self.cabinet.fail_store()

    @rule()
    def power_cut(self) -> None:
        self.known.clear()
        before = self.cabinet.manager
        self.cabinet.cut()
        assert self.cabinet.manager == before  # what was in force before the start is in force after it
        assert not self.cabinet.todo

    @precondition(lambda self: not self.is_reset)
    @rule(after=st.integers(0, 6))
    def factory_reset(self, after: int) -> None:
        """The button; the power may go after any of the steps."""
        if self.cabinet.todo or not self.cabinet.manager:
            return
        steps = journal.reset_steps(list(self.cabinet.files), self.epoch)
        for step in steps[:after]:
            self.cabinet.write(step)
        self.is_reset = after > 0
        self.known.clear()
        self.cabinet.cut()
        assert (self.cabinet.manager is None) == self.is_reset
        assert journal.RESET not in self.cabinet.files

    @rule(steps=st.integers(1, 9), detour=st.sampled_from(DETOURS))
    def go_on(self, steps: int, detour: str) -> None:
        """The next right steps, so that the end is often reached; on a detour one of them is another."""
        for _ in range(steps):
            self._next_step(detour)
            self.never_a_manager_without_all_four()
            self.never_two_managers_and_never_half_a_one()

    def _next_step(self, detour: str) -> None:
        cabinet = self.cabinet
        if cabinet.todo:
            cabinet.store(int(detour) if detour.isdigit() else 99)
            if detour.isdigit():
                self.power_cut()
        elif cabinet.state == learning.ARMED:
            cabinet.wait(cabinet.commissioning.learning.left_ms(cabinet.mono_ms))
        elif cabinet.state == learning.PRESENTING:
            self.present(self.learning_reader, STRANGER if detour == "wrong key" else KEY, True)
        elif cabinet.state == learning.HOLDING:
            if detour == "tap":
                cabinet.wait(300)
                self.present(self.learning_reader, KEY, True)
            cabinet.wait(2_000)
        elif cabinet.handover.pending is None:
            kind = "unreleased" if cabinet.manager is None else "forged" if detour == "forged" else "good"
            cabinet.deposit(handover_bytes(self.epoch + 1, kind))
        else:
            cabinet.trusted = True
            self.unlock("page", PASSWORD)
            online = [reader for reader in READERS if cabinet.online[reader]]
            if online:
                self.arm("page", OTHER_NUMBER if detour == "wrong number" else NUMBER, online[0], 90)

    # --- what must hold -------------------------------------------------------------------------------------

    @property
    def epoch(self) -> int:
        return self.cabinet.handover.standing.epoch

    @property
    def learning_reader(self) -> str:
        return self.cabinet.commissioning.learning.reader

    @invariant()
    def never_a_manager_without_all_four(self) -> None:
        """Password, number, hand-over and key, each in the books of this test."""
        for claim, moment in self.cabinet.binds:
            session, number = self.typed
            assert session in self.known
            assert number == claim.manager
            waiting = self.cabinet.files.get(journal.HANDOVER)
            assert waiting is not None
            self._check_statements(waiting, claim, moment)
            numbers = [number for _, number, _ in self.shown]
            assert numbers
            assert set(numbers) == {KEY}
            assert all(secure for _, _, secure in self.shown)
            assert moment.mono_ms - self.shown[0][0] >= LEAST_HELD_MS
        self.cabinet.binds.clear()

    def _check_statements(self, waiting: bytes, claim: statements.Claim, moment: model.Moment) -> None:
        raw_release = statements.decode_handover(waiting)[0]
        here = self.cabinet.manager
        assert claim.epoch > self.epoch
        if here is None:
            assert self.is_reset
            return
        keys = (bytes.fromhex(here["key"]), bytes.fromhex(here["recovery"]))
        release = statements.verify_release(raw_release, *keys)
        assert any(map(_is_signed_by, keys, [raw_release] * 2))
        assert release.epoch == claim.epoch == here["epoch"] + 1
        assert release.secret_hash == statements.hash_of(claim.secret)
        assert release.site_uid.hex() == here["site"]
        assert moment.trusted
        assert moment.utc_ms < release.expires_s * 1000

    @invariant()
    def never_two_managers_and_never_half_a_one(self) -> None:
        """manager.toml is one of the whole ones, epochs only rise, none is missing but after a reset."""
        cabinet = self.cabinet
        epochs = [manager["epoch"] for manager in cabinet.managers if manager is not None]
        assert epochs == sorted(set(epochs))
        assert (cabinet.manager is None) <= self.is_reset
        if cabinet.manager is not None:
            self.is_reset = False
            assert cabinet.files["manager.toml"].startswith(b'{"epoch": %d,' % cabinet.manager["epoch"])
            if not cabinet.todo:
                assert cabinet.handover.standing.epoch == cabinet.manager["epoch"]
                assert journal.former_name(cabinet.manager["epoch"]) not in cabinet.files

    @invariant()
    def never_a_good_pass_refused(self) -> None:
        """Every reader but the one that is learning opens for the resident, after every step."""
        for reader in READERS:
            is_learning = reader == self.learning_reader
            decided = self.cabinet.controller.situation(_Ask(reader), False, self.cabinet.moment)
            assert decided.learning == is_learning
            assert self.cabinet.lights[reader].startswith("learning") == is_learning

    @invariant()
    def every_failure_has_its_words(self) -> None:
        reason = self.cabinet.reason
        assert (self.cabinet.state == learning.FAILED) == bool(reason)
        assert not reason or reason in refusals.TEXTS


def _is_signed_by(public: bytes, raw: bytes) -> bool:
    """The signature, looked at without the code under test."""
    payload, signature = wire.cut_frame(raw)
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, wire.signed_bytes("release", payload))
    except InvalidSignature:
        return False
    return True


class _Ask:
    def __init__(self, reader: str) -> None:
        self.reader, self.door = reader, ""


def run(machine: type, examples: int, phases: tuple = tuple(Phase)) -> None:
    """The same examples each time."""
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples, stateful_step_count=30, derandomize=True, database=None, deadline=None,
            suppress_health_check=list(HealthCheck), print_blob=False, phases=phases,
            report_multiple_bugs=False,
        ),
    )  # fmt: skip


@pytest.mark.parametrize("examples", SIZES)
def test_random_orders_leave_one_whole_manager(examples: int) -> None:
    """Never a manager without password, number, hand-over and key together; never two; never a good pass refused."""
    reached: list = []

    class Counted(Installer):
        def teardown(self) -> None:
            reached.append(len({manager["epoch"] for manager in self.cabinet.managers if manager}))

    run(Counted, examples)
    assert sum(count > 1 for count in reached) > examples / 4, "too few of them came to a new manager"
    assert max(reached) > 2


def _any_key(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(statements.Claim, "is_key", lambda self, number: True)


def _any_number(patch: pytest.MonkeyPatch) -> None:
    right = handover.Handover.refusal
    patch.setattr(
        handover.Handover,
        "refusal",
        lambda self, knows, manager, moment: right(
            self, knows, self.pending.claim.manager if self.pending else 0, moment
        ),
    )


def _any_session(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(procedure.Commissioning, "knows_password", lambda self, session, moment: True)


def _any_secret(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(statements.Claim, "answers", lambda self, release: True)


def _any_signer(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(statements, "is_signed", lambda kind, frame, key: True)


def _manager_removed_first(patch: pytest.MonkeyPatch) -> None:
    right = journal.bind_steps
    patch.setattr(journal, "bind_steps", lambda *given: [journal.Remove("manager.toml"), *right(*given)])


def _manager_in_two_steps(patch: pytest.MonkeyPatch) -> None:
    right = journal.bind_steps

    def torn(*given: object) -> list:
        steps = right(*given)
        at = next(i for i, step in enumerate(steps) if step.name == "manager.toml")
        half = steps[at].content.replace(b'{"epoch"', b'{ "epoch"')  # what half a file stands for here
        return [*steps[:at], journal.Write("manager.toml", half), *steps[at:]]

    patch.setattr(journal, "bind_steps", torn)


def _all_readers_learn(patch: pytest.MonkeyPatch) -> None:
    right = Cabinet.take

    def take(self: Cabinet, answer: procedure.Answer) -> str:
        reason = right(self, answer)
        if self.controller._learning:
            self.controller._learning.update(dict.fromkeys(READERS, "learning"))
        return reason

    patch.setattr(Cabinet, "take", take)


def _no_end(patch: pytest.MonkeyPatch) -> None:
    right = handover.Handover.refusal
    patch.setattr(
        handover.Handover,
        "refusal",
        lambda self, knows, manager, moment: {refusals.EXPIRED: "", refusals.CLOCK: ""}.get(
            found := right(self, knows, manager, moment), found
        ),
    )


def _held_too_short(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(learning, "HOLD_MS", 100)


def _never_ends(patch: pytest.MonkeyPatch) -> None:
    right = learning.Learning.fail

    def fail(self: learning.Learning, reason: str) -> list:
        return [output for output in right(self, reason) if not isinstance(output, learning.Free)]

    patch.setattr(learning.Learning, "fail", fail)


@pytest.mark.parametrize(
    "defect",
    [
        _any_key, _any_number, _any_session, _any_secret, _any_signer, _manager_removed_first, _manager_in_two_steps,
        _all_readers_learn, _held_too_short, _never_ends, _no_end,
    ],
    ids=lambda defect: defect.__name__.strip("_"),
)  # fmt: skip
def test_a_defect_is_found(monkeypatch: pytest.MonkeyPatch, defect) -> None:
    """Negative controls: with one check gone, the same random orders find it."""
    defect(monkeypatch)
    with pytest.raises(AssertionError):
        run(Installer, 150, (Phase.generate,))  # the first that fails will do: no shrinking
