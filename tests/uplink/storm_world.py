"""The worst that a network, a broker and kill -9 do, in simulated time: on top of lossy_world, half-open lines, an
agent that is killed, a store that drifts, changes that build on what a late hello said, commands, and somebody on the
broker who plays back whatever he heard."""

import uplink_world as world
from lossy_world import ModelManager, World

from edge.decision import rows
from edge.uplink import messages, signing

BACKOFF_MS = 30_000  # the longest that paho waits between two attempts to connect
KEEPALIVE_MS = 30_000  # a half-open line is noticed at the next ping, or at the next message
AGAIN_MS = 30_000  # a policy that no hello confirmed
KEPT = 3  # revisions that a change can build on
DEAD_MS = 20_000  # an order that was not challenged by then
PARTS = 3
DOORS = ("hall", "garage", "bikes")


def keyed(packed):
    return {rows.key_of(row): row for row in packed}


class Cloud(ModelManager):
    """A manager that sends changes, commands doors and looks at notices. clock() is simulated milliseconds."""

    def __init__(self, say, after, clock):
        super().__init__(say)
        self._after, self._clock = after, clock
        self.kept = {1: {}}  # revision → rows
        self.edge = None  # (revision, digest) as the last hello said
        self.asked, self.commanded_ms, self.results, self.noticed = {}, {}, {}, {}
        self.deltas = self.snapshots = 0

    @property
    def revision(self):
        return max(self.kept)

    @property
    def rows(self):
        return self.kept[self.revision]

    @property
    def digest(self):
        return signing.policy_digest(self.rows.values())

    def take(self, suffix, raw):
        if suffix == "up/notice":
            notice = signing.verify_notice(raw, world.CLOUD_TRUST)
            self.noticed[notice.seq] = notice.event
        elif suffix == "up/reply":
            self._take_reply(signing.verify_reply(raw, world.CLOUD_TRUST))
        else:
            super().take(suffix, raw)
            if suffix == "up/hello":
                hello = signing.verify_hello(raw, world.CLOUD_TRUST)
                self.edge = hello.revision, hello.digest
                self._repair()
                self.send_change()

    def _repair(self):
        """Other rows under our number: the same rows again under a higher one, as the design has it."""
        revision, digest = self.edge
        if revision >= self.revision > 1 and digest != self.digest:
            self.kept = {revision + 1: self.rows}

    def change(self, some, gone):
        """A new revision: these rows are set, those keys go."""
        after = {**self.rows, **keyed(some)}
        for key in gone:
            after.pop(key, None)
        self.kept[self.revision + 1] = after
        for old in sorted(self.kept)[:-KEPT]:
            del self.kept[old]
        self._publish(self.revision)

    def _publish(self, revision):
        """Again every while, until a hello names it or a newer one comes."""
        if revision == self.revision and self.edge is not None and self.edge[0] != revision:
            self.send_change()
        if revision == self.revision:
            self._after(AGAIN_MS, self._publish, revision)

    def send_change(self):
        """From what the controller said that it has; everything where that is not known here."""
        revision, digest = self.edge or (0, b"")
        if revision >= self.revision or self.revision == 1:
            return
        base = self.kept.get(revision, {})
        is_known = bool(base) and signing.policy_digest(base.values()) == digest
        changed = [row for key, row in self.rows.items() if not is_known or base.get(key) != row]
        gone = sorted(base.keys() - self.rows.keys()) if is_known else []
        self.deltas, self.snapshots = self.deltas + is_known, self.snapshots + (not is_known)
        for i in range(PARTS):
            part = signing.PolicyPart(
                revision if is_known else 0, self.revision, i, PARTS, tuple(changed[i::PARTS]), tuple(gone[i::PARTS]),
                self.digest,
            )  # fmt: skip
            self._say("down/policy", signing.sign("policy", messages.policy_body(part), world.CLOUD_TRUST, KEY))

    def order(self, request, door):
        """A person wants a door open now."""
        self.asked[request] = door
        self._after(DEAD_MS, self.asked.pop, request, None)
        self._say("down/challenge", signing.encode_challenge(request, world.CLOUD_TRUST, KEY))

    def _take_reply(self, reply):
        if reply.result:
            self.results.setdefault(reply.request, []).append((reply.result, reply.reason))
        elif reply.request in self.asked:  # the first challenge that comes is answered, once
            command = signing.Command(reply.request, reply.challenge, "open", self.asked.pop(reply.request))
            self.commanded_ms[reply.request] = self._clock()
            self._say("down/command", signing.encode_command(command, world.CLOUD_TRUST, KEY))


KEY = world.MANAGER_KEY


class StormWorld(World):
    """Everything at once, and then peace."""

    def __init__(self, seed, network, log_size=0):
        super().__init__(seed, network, log_size)
        self.opened = []  # (request, at_ms)
        self.heard = []  # (call, arguments): everything that ever was on the wire
        self.store = {}  # key → row, as on disk
        self.manager.change(world.POLICY_ROWS, ())

    def _make_manager(self):
        return Cloud(self._to_edge, self.after, lambda: self.now_ms)

    # --- the agent --------------------------------------------------------------------------------------------

    def _send(self, call, *arguments):
        self.heard.append((call, arguments))
        super()._send(call, *arguments)

    def _apply(self, delta):
        """As storage.policy_store does: whole, from what is there, to the digest that was promised, or not at all."""
        base = {} if delta.from_revision == 0 else dict(self.store)
        for key in delta.gone:
            base.pop(key, None)
        base.update(keyed(delta.rows))
        builds = delta.from_revision in (0, self.version[1]) and delta.to_revision > self.version[1]
        if builds and signing.policy_digest(base.values()) == delta.digest:
            self.store = base
            super()._apply(delta)
        else:  # its own rows are looked at again, and the manager is told what they are
            self.digest = signing.policy_digest(self.store.values())
            self._perform(self.sync.policy_changed(self.version, self.digest, self.now_ms))

    def _carry_out(self, command):
        self.opened.append((command.request, self.now_ms))
        self._perform(self.sync.command_done(command, "open"))

    def record(self, event):
        super().record(event)
        self._perform(self.sync.noticed(self.sync.notice(signing.Notice(world.LOG_ID, len(self.log), event[3]))))

    def kill(self):
        """kill -9, and a start a moment later, which looks at its rows; what was in memory is gone."""
        was_up, self.up = self.up, False
        if self.store:
            self.digest = signing.policy_digest(self.store.values())
        self.sync = self._make_sync()
        if was_up:
            self.after(self.chance.randrange(100, 2_000), self.connect)

    def drift(self):
        """A row changes behind everybody's back; the next start sees it."""
        if self.store:
            key = self.chance.choice(sorted(self.store))
            self.store[key] = self.store[key][:-1] + bytes((self.store[key][-1] ^ 1,))
            self.kill()

    # --- the network ------------------------------------------------------------------------------------------

    def go_silent(self):
        """Half-open: until a keep-alive is missed nobody notices; then the agent tries again, now and then."""
        if self.up and not self.silent:
            self.silent = True
            self.after(self.chance.randrange(1, 2 * KEEPALIVE_MS), self._notice_silence, self.lives)

    def _notice_silence(self, life):
        if self.silent and life == self.lives:
            self.disconnect()
            self.silent = False
            self.after(self.chance.randrange(1_000, BACKOFF_MS), self._come_back)

    def _come_back(self):
        if not self.up:
            self.connect()

    def play_back(self, count):
        """Somebody on the broker says again what he heard, to whom it was said."""
        for call, arguments in self.chance.choices(self.heard, k=count):
            self.after(self.chance.randrange(1, 100), call, *arguments)

    # --- stories ----------------------------------------------------------------------------------------------

    def plan(self, duration_ms, what, count, *arguments):
        for _ in range(count):
            self.after(self.chance.randrange(duration_ms), what, *arguments)

    def storm(self, duration_ms, live_events):
        for entry in world.day_of_events(live_events, self.chance.randrange(1 << 30)):
            self.after(self.chance.randrange(duration_ms), self.record, entry)
        for number in range(6):
            some = world.credentials(12, seed=self.chance.randrange(4))  # rows that come again, changed or not
            going = [rows.key_of(row) for row in world.credentials(4, seed=self.chance.randrange(4))]
            self.after(self.chance.randrange(duration_ms), self.manager.change, some, going)
            order = number.to_bytes(8, "big"), self.chance.choice(DOORS)
            self.after(self.chance.randrange(duration_ms), self.manager.order, *order)
        self.plan(duration_ms, self._lose_line, 2)
        self.plan(duration_ms, self.go_silent, 2)
        self.plan(duration_ms, self.kill, 2)
        self.plan(duration_ms, self.drift, 1)
        self.plan(duration_ms, self.play_back, 4, 5)
        self.run(duration_ms)

    def _lose_line(self):
        if self.up:
            self.disconnect()
            self.after(self.chance.randrange(1_000, BACKOFF_MS), self._come_back)

    def heal(self):
        """The network is calm. A line that is down comes up at the next attempt; one that is half-open is reset by the
        next thing that is said on it, at the latest by a ping."""
        self.network = type(self.network)()
        if self.silent:
            self.after(self.chance.randrange(KEEPALIVE_MS), self._reset, self.lives)
        elif not self.up:
            self.after(self.chance.randrange(1, BACKOFF_MS), self._come_back)

    def _reset(self, life):
        if self.silent and life == self.lives:
            self.disconnect()
            self.after(1_000, self._come_back)

    @property
    def is_equal(self):
        """Both ends know the same, and each knows it of the other."""
        cloud = self.manager
        return (
            cloud.events == self.log
            and cloud.conflicts == 0
            and self.sync.pending == 0
            and self.store == cloud.rows
            and self.version[1] == cloud.revision
            and cloud.edge == (cloud.revision, cloud.digest)
        )

    def equal_after_ms(self, most_ms):
        """How long it takes from now until both ends are equal; None where it takes longer than that."""
        for step in range(0, most_ms, 500):
            if self.is_equal:
                return step
            self.run(500)
        return most_ms if self.is_equal else None

    def wrong_openings(self):
        """Openings that nobody commanded, more than one for one command, or one that comes late."""
        seen, wrong = set(), []
        for request, at_ms in self.opened:
            commanded_ms = self.manager.commanded_ms.get(request)
            if commanded_ms is None or request in seen or at_ms - commanded_ms >= 10_000 + 50:
                wrong.append((request, at_ms, commanded_ms))
            seen.add(request)
        return wrong
