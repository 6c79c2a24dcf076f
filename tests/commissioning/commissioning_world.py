"""A controller of three readers that is being commissioned: the real decision core, the real statements, and a disk
that is a dict, so that the power can be cut between any two steps."""

import functools
import json
import zlib
from hashlib import sha256

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from edge.commissioning import journal, learning, procedure, refusals
from edge.commissioning.handover import Handover, Standing
from edge.commissioning.journal import Move, Write
from edge.commissioning.password import Gate
from edge.decision import model, policy, rows
from edge.decision.controller import Controller
from edge.decision.index import Index
from edge.decision.indications import TABLE
from edge.uplink import statements
from edge.uplink.keys import fingerprint, public_bytes
from edge.uplink.wire import WireError

START_S = 1_795_388_400  # 2026-11-23 00:00 in Paris
HOUR_S, DAY_S = 3600, 86_400
READERS = ("hall", "court", "cellar")
RESIDENT, KEY, STRANGER = 111, 4_711, 999
NUMBER, OTHER_NUMBER = 77, 78
PASSWORD, OTHER_PASSWORD = "274951", "274952"
SITE, OTHER_SITE = bytes(range(16)), bytes(16)
SECRET, OTHER_SECRET = b"s" * 16, b"t" * 16


def key_of(name: str) -> Ed25519PrivateKey:
    """A private key that is the same in every run."""
    return Ed25519PrivateKey.from_private_bytes(sha256(name.encode()).digest())


DEVICE = key_of("device")
DEVICE_PUBLIC = public_bytes(DEVICE)
OWNER = key_of("owner's recovery key")


def root_of(epoch: int) -> Ed25519PrivateKey:
    """The root key of the manager that takes over in `epoch`."""
    return key_of(f"root {epoch}")


def operational_of(epoch: int) -> Ed25519PrivateKey:
    return key_of(f"operational {epoch}")


def release_of(epoch: int, **changes: object) -> statements.Release:
    """The release that leads to `epoch`, good for a week."""
    given = {"site_uid": SITE, "epoch": epoch, "secret_hash": statements.hash_of(SECRET)}
    return statements.Release(**{**given, "expires_s": START_S + 7 * DAY_S, "issue": 1, **changes})


@functools.cache
def certificate_of(epoch: int, serial: int = 1, root: int | None = None) -> bytes:
    public = public_bytes(operational_of(epoch))
    return statements.encode_certificate(public, serial, root_of(epoch if root is None else root))


def claim_of(epoch: int, *, key: int | None = KEY, **changes: object) -> statements.Claim:
    """The claim of the manager of `epoch`. key: the commissioning key's number, None for a claim without one."""
    given = {
        "site_uid": SITE, "controller_uid": fingerprint(DEVICE_PUBLIC), "epoch": epoch,
        "root_key": public_bytes(root_of(epoch)), "manager": NUMBER, "manager_key": public_bytes(operational_of(epoch)),
        "serial": 1, "secret": SECRET, "key_mark": b"", "seal_key": bytes(32), "code_key": bytes([epoch % 256]) * 32,
        "site": "clos-des-dunes", "controller": "hall-a", "cloud": "https://cloud.example:8884", "ca": b"c" * 32,
        "token": "t0k3n", "recovery_key": public_bytes(OWNER),
    }  # fmt: skip
    claim = statements.Claim(**{**given, **changes})
    if key is None:
        return claim
    mark = statements.mark_of(claim.secret, key, claim.site_uid, claim.epoch, claim.root_key, claim.manager)
    return claim._replace(key_mark=mark)


def signed_claim(claim: statements.Claim) -> bytes:
    epoch = claim.epoch
    return statements.encode_claim(claim, root_of(epoch), certificate_of(epoch), DEVICE_PUBLIC)


@functools.cache
def handover_bytes(epoch: int, kind: str = "good") -> bytes:
    """A hand-over that leads to `epoch`: a good one, or what its kind says is wrong with it."""
    old = operational_of(epoch - 1)
    release, claim = release_of(epoch), claim_of(epoch)
    if kind == "expired":
        release = release_of(epoch, expires_s=START_S - 1)
    elif kind == "short":
        release = release_of(epoch, expires_s=START_S + 120)
    elif kind == "foreign-site":
        release, claim = release_of(epoch, site_uid=OTHER_SITE), claim_of(epoch, site_uid=OTHER_SITE)
    elif kind == "foreign-controller":
        claim = claim_of(epoch, controller="hall-b")
    elif kind == "other-secret":  # whoever does not know the secret makes a claim
        claim = claim_of(epoch, secret=OTHER_SECRET)
    elif kind == "forged":  # whoever is not the manager makes a release
        old = key_of("nobody")
    elif kind == "recovery":
        old = OWNER
    elif kind == "keyless":
        claim = claim_of(epoch, key=None)
    elif kind == "later":
        release = release_of(epoch, issue=2)
    elif kind == "withdrawn":
        return statements.encode_handover(statements.encode_release(release_of(epoch, issue=2), old), b"")
    elif kind == "unreleased":
        return statements.encode_handover(b"", signed_claim(claim))
    return statements.encode_handover(statements.encode_release(release, old), signed_claim(claim))


KINDS = (
    "good", "expired", "short", "foreign-site", "foreign-controller", "other-secret", "forged", "recovery", "keyless",
    "later", "withdrawn", "unreleased",
)  # fmt: skip


@functools.cache
def index() -> Index:
    """One policy: a door at each reader; one resident who may always open all of them."""
    found = [rows.Site(SITE, "here", False, 1), rows.Offset(0, 3600)]
    for name in READERS:
        found.append(
            rows.Door(name, name, (name,), 5000, 9000, 30, rows.NEVER, False, False, False, "", "", (), rows.NEVER)
        )
        found.append(rows.Reader(name, name, "osdp", rows.IN, name, False, ""))
    found.append(rows.Group(0, "all", tuple((name, name, 1 << model.BADGE, 0, rows.ALWAYS) for name in READERS)))
    for number in (RESIDENT, KEY):  # the commissioning key is a duplicate of a resident's
        found.append(rows.Credential(model.BADGE, number, 0, 0, 0, rows.ACTIVE, 0, "", ""))
    packed = [rows.pack(row) for row in found]
    total = sum(int.from_bytes(sha256(row).digest(), "big") for row in packed) % (1 << 256)
    return Index(bytes(policy.compile_image(packed, (1, 1), total.to_bytes(32, "big"), zlib.crc32)))


class Cabinet:
    """A controller, its disk and its clock. `files`, `kept`: what survives a power cut. `lights`: what each reader
    shows lastingly; `answers`: the passing ones, in order. `managers`: every manager.toml that ever was in force."""

    def __init__(self, is_new: bool = False) -> None:
        self.files: dict[str, bytes] = {}
        self.kept: dict[str, bytes] = {}
        if not is_new:
            self.files["manager.toml"] = manager_text(claim_of(1), b"")
        self.mono_ms, self.utc_s, self.trusted = 1_000_000, START_S, True
        self.online = dict.fromkeys(READERS, True)
        self.notes: list = []
        self.answers: list = []
        self.binds: list = []
        self.managers = [self.manager]
        self.boot()

    # --- power ----------------------------------------------------------------------------------------------

    def boot(self) -> None:
        """What an agent does at its start: resume, load, verify what waits anew."""
        resumed = self._resumed()
        for step in resumed.steps:
            self.write(step)
        here = self.manager
        standing = Standing(b"", resumed.floor, "hall-a")
        if here:
            standing = Standing(bytes.fromhex(here["site"]), here["epoch"], "hall-a")
        self.handover = Handover(standing)
        self.lights = dict.fromkeys(READERS, "idle")
        self.todo: list = []
        self.controller = Controller()
        self.decide(model.PolicyReplaced(index()))
        gate = Gate(self.kept.get(procedure.KEPT_GATE, b""), self.moment)
        self.commissioning = procedure.Commissioning(gate, self.handover, self.kept.get(procedure.KEPT, b""))
        if journal.HANDOVER in self.files:
            self._deposit(self.files[journal.HANDOVER])
        self.take(self.commissioning.started())

    def cut(self) -> None:
        """The power goes, and comes back."""
        self.mono_ms = 5_000
        self.boot()

    @property
    def manager(self) -> dict | None:
        """Whom the disk says is obeyed."""
        text = self.files.get("manager.toml")
        return json.loads(text) if text is not None else None

    def write(self, step: journal.Step) -> None:
        """One step of a journal, on the dict."""
        if isinstance(step, Write):
            self.files[step.name] = step.content
        elif isinstance(step, Move):
            self.files[step.to] = self.files.pop(step.name)
        else:
            self.files.pop(step.name, None)
        if self.manager != self.managers[-1]:
            self.managers.append(self.manager)

    # --- what happens ---------------------------------------------------------------------------------------

    @property
    def moment(self) -> model.Moment:
        return model.Moment(self.mono_ms, self.utc_s * 1000, self.trusted, (START_S - DAY_S) * 1000)

    def wait(self, ms: int) -> None:
        """Let time pass; each deadline is met at its time."""
        end = self.mono_ms + ms
        while (due := self.commissioning.next_due()) is not None and due <= end:
            self._advance(max(due, self.mono_ms))
            self.take(self.commissioning.tick(self.moment))
        self._advance(end)

    def _advance(self, mono_ms: int) -> None:
        self.utc_s += (mono_ms - self.mono_ms) // 1000
        self.mono_ms = mono_ms

    def take(self, answer: procedure.Answer) -> str:
        """Perform the outputs of an answer; its reason."""
        for output in answer.outputs:
            match output:
                case learning.Hold(reader, outcome):
                    self.decide(model.LearningReader(reader, outcome))
                case learning.Free(reader, outcome):
                    self.decide(model.LearningReader(reader, ""))
                    self.answers.append((reader, outcome))
                case learning.Note():
                    self.notes.append(tuple(output))
                case model.Keep(name, value):
                    self.kept[name] = value
                case procedure.Bind(claim):
                    self.binds.append((claim, self.moment))
                    self.todo, self.binding_epoch = self.plan(claim), claim.epoch
        return answer.reason

    def plan(self, claim: statements.Claim) -> list:
        here = self.manager
        recovery = bytes.fromhex(here["recovery"]) if here else claim.recovery_key
        former = self.files.get("manager.toml", b"")
        return journal.bind_steps(
            claim.epoch, manager_text(claim, recovery), b"enrol", here["epoch"] if here else 0, former
        )

    def store(self, steps: int = 99) -> None:
        """Perform so many of the steps that wait; after the last one the new manager is bound."""
        while self.todo and steps:
            self.write(self.todo.pop(0))
            steps -= 1
            if not self.todo:
                self.take(self.commissioning.bound())

    def fail_store(self) -> None:
        """The disk refuses the next step: what manager.toml says then counts, and what was begun is cleared away."""
        if not self.todo:
            return
        is_bound = self.manager["epoch"] == self.binding_epoch if self.manager else False
        self.todo = []
        self.take(self.commissioning.bound() if is_bound else self.commissioning.not_stored())
        for step in self._resumed().steps:
            self.write(step)

    def _resumed(self) -> journal.Resumed:
        here = self.manager
        return journal.resume(list(self.files), here and here["epoch"], self._waiting_epoch(), None)

    def present(self, reader: str, number: int | None, secure: bool = True) -> bool:
        """A card at a reader: whether its strike moved."""
        outputs = self.decide(model.Presented(reader, "", model.BADGE, number, 0, secure))
        self.take(self.commissioning.read(reader, number, secure, self.moment))
        return any(isinstance(output, model.Strike) and output.ms > 0 for output in outputs)

    def decide(self, happened: tuple) -> list:
        """An input of the real core; its lasting lights are what the readers show."""
        outputs = self.controller.handle(happened, self.moment)
        for output in outputs:
            if isinstance(output, model.Indicate) and not TABLE[output.outcome].total_ms:
                self.lights[output.reader] = output.outcome
        return outputs

    def line(self, reader: str, is_online: bool) -> None:
        self.online[reader] = is_online
        self.take(self.commissioning.line(reader, is_online, self.moment))

    # --- what an installer does -----------------------------------------------------------------------------

    def unlock(self, session: str = "page", password: str = PASSWORD) -> str:
        reason = self.commissioning.try_password(self.moment)
        return reason or self.take(self.commissioning.tried(session, password == PASSWORD, self.moment))

    def deposit(self, raw: bytes) -> str:
        """Statements come in; what is accepted is kept before anything is answered."""
        reason = self._deposit(raw)
        if not reason:
            for step in journal.deposit_steps(raw):
                self.write(step)
        return reason

    def _deposit(self, raw: bytes) -> str:
        here = self.manager or {"key": "", "recovery": ""}
        release = claim = None
        try:
            raw_release, raw_claim, _ = statements.decode_handover(raw)
            if raw_release and self.manager:
                keys = (bytes.fromhex(here["key"]), bytes.fromhex(here["recovery"]))
                release = statements.verify_release(raw_release, *keys)
            if raw_claim:
                claim = statements.verify_claim(raw_claim, DEVICE)
        except WireError:
            return refusals.STATEMENT
        return self.take(self.commissioning.deposit(release, claim))

    def _waiting_epoch(self) -> int | None:
        raw = self.files.get(journal.HANDOVER)
        if raw is None:
            return None
        raw_claim = statements.decode_handover(raw)[1]
        claim = statements.verify_claim(raw_claim, DEVICE) if raw_claim else None
        return claim.epoch if claim else None

    def arm(self, number: int = NUMBER, reader: str = "hall", countdown_s: int = 90, session: str = "page") -> str:
        return self.take(self.commissioning.arm(session, number, reader, self.online[reader], countdown_s, self.moment))

    @property
    def state(self) -> str:
        return self.commissioning.learning.state

    @property
    def reason(self) -> str:
        return self.commissioning.learning.reason


def manager_text(claim: statements.Claim, recovery_key: bytes) -> bytes:
    """What stands for manager.toml here."""
    said = {"epoch": claim.epoch, "site": claim.site_uid.hex(), "manager": claim.manager}
    keys = {"root": claim.root_key.hex(), "key": claim.manager_key.hex(), "serial": claim.serial}
    recovery = recovery_key or public_bytes(OWNER)
    return json.dumps({**said, **keys, "recovery": recovery.hex()}).encode()


def ready(kind: str = "good") -> Cabinet:
    """A cabinet with a hand-over, a session, and a countdown of 90 s at the hall's reader."""
    cabinet = Cabinet()
    assert cabinet.deposit(handover_bytes(2, kind)) == ""
    assert cabinet.unlock() == ""
    assert cabinet.arm() == ""
    return cabinet


def learn(cabinet: Cabinet, reader: str = "hall", number: int = KEY) -> None:
    """From the countdown to the last step: wait, hold the key, take it away, let it be stored."""
    cabinet.wait(90_000)
    cabinet.present(reader, number)
    cabinet.wait(2_000)
    cabinet.store()
