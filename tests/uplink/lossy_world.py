"""A controller and a model manager with a bad network between them, in simulated time. No sleeping, one seed a run."""

import heapq
import random

import uplink_world as world

from edge.uplink import signing, sync


class Network:
    """How bad it is. Losses and repeats are probabilities; delays (milliseconds) reorder."""

    def __init__(self, loss=0.0, repeat=0.0, delay_ms=20, drops=0):
        self.loss, self.repeat, self.delay_ms, self.drops = loss, repeat, delay_ms, drops


CALM = Network()


class ModelManager:
    """The cloud's side as docs/sync-protocol.md asks for it: commits the contiguous prefix, acknowledges it."""

    def __init__(self, say):
        self._say = say  # (suffix, raw)
        self.events = []  # committed, in order
        self.conflicts = 0
        self.revision_of_edge = None
        self.policy = None  # (revision, [raw parts])
        self.batches = 0

    def acknowledge(self):
        self._say("down/ack", signing.encode_ack(world.LOG_ID, len(self.events), world.CLOUD_TRUST, world.MANAGER_KEY))

    def take(self, suffix, raw):
        if suffix == "up/hello":
            hello = signing.verify_hello(raw, world.CLOUD_TRUST)
            self.revision_of_edge = hello.revision
            self.send_policy()
        else:
            self.batches += 1
            for entry in signing.verify_events(raw, world.CLOUD_TRUST).events:
                if entry[0] == len(self.events) + 1:
                    self.events.append(entry)
                elif entry[0] <= len(self.events):
                    self.conflicts += self.events[entry[0] - 1] != entry
        self.acknowledge()

    def send_policy(self):
        if self.policy and (self.revision_of_edge or 0) < self.policy[0]:
            for raw in self.policy[1]:
                self._say("down/policy", raw)


class World:
    """The two ends, the clock and the network between them. Deadlines come from `next_deadline`, never from polling."""

    def __init__(self, seed, network, log_size=0, acked=0):
        self.chance = random.Random(seed)
        self.network = network
        self.now_ms = 1_000_000
        self._queue, self._order = [], 0
        self.log = world.day_of_events(log_size, seed)
        self.refused, self.applied = [], []
        self.manager = self._make_manager()
        self.manager.events = self.log[:acked]
        self.up = False
        self.silent = False  # half-open: nothing passes, and neither end has noticed
        self.acked, self.version, self.digest = acked, (world.EPOCH, 1), bytes(32)  # as they are on disk
        self.lives = 0  # starts of the agent
        self.sync = self._make_sync()

    def _make_manager(self):
        return ModelManager(self._to_edge)

    def _make_sync(self):
        """The agent starts: what it knows is what was on disk."""
        self.lives += 1
        return sync.Sync(
            world.EDGE_TRUST,
            world.DEVICE_KEY,
            log_id=world.LOG_ID,
            last_seq=len(self.log),
            acked=self.acked,
            version=self.version,
            digest=self.digest,
            boot_id="boot",
            software="test",
            session=self.lives.to_bytes(8, "big"),
            random_bytes=self.chance.randbytes,
        )

    # --- time -------------------------------------------------------------------------------------------------

    def after(self, delay_ms, call, *arguments):
        self._order += 1
        heapq.heappush(self._queue, (self.now_ms + delay_ms, self._order, call, arguments))

    def run(self, duration_ms):
        end = self.now_ms + duration_ms
        while self._queue and self._queue[0][0] <= end:
            at, _, call, arguments = heapq.heappop(self._queue)
            self.now_ms = max(self.now_ms, at)
            call(*arguments)
        self.now_ms = end

    def _plan_tick(self):
        due = self.sync.next_deadline()
        if due is not None:
            self.after(max(0, due - self.now_ms), self._tick, due)

    def _tick(self, due):
        if self.sync.next_deadline() == due:
            self._perform(self.sync.tick(self.now_ms))

    # --- network ----------------------------------------------------------------------------------------------

    def _send(self, call, *arguments):
        if self.silent or self.chance.random() < self.network.loss:
            return
        for _ in range(2 if self.chance.random() < self.network.repeat else 1):
            self.after(self.chance.randrange(1, self.network.delay_ms + 1), call, *arguments)

    def _to_edge(self, suffix, raw):
        self._send(self._arrive, suffix, raw)

    def _arrive(self, suffix, raw):
        if self.up and not self.silent:
            self._perform(self.sync.received(suffix, raw, self.now_ms))

    def connect(self):
        self.up, self.silent = True, False
        self._perform(self.sync.connected(self.now_ms))

    def disconnect(self):
        self.up = False
        self._perform(self.sync.disconnected(self.now_ms))

    # --- the agent --------------------------------------------------------------------------------------------

    def _perform(self, actions):
        for action in actions:
            if isinstance(action, sync.Publish):
                assert self.up
                self._send(self.manager.take, action.suffix, action.payload)
            elif isinstance(action, sync.NeedEvents):
                found = self.log[action.first_seq - 1 : action.first_seq - 1 + action.limit]
                self._work(30, self._answer, action.first_seq, found)
            elif isinstance(action, sync.Acknowledged):
                assert action.up_to <= len(self.manager.events), "acknowledged what is not committed"
                self.acked = action.up_to
            elif isinstance(action, sync.PolicyReady):
                self._work(200, self._apply, action.delta)
            elif isinstance(action, sync.ConnectAgain):
                self.disconnect()
                self.after(1_000, self.connect)
            elif isinstance(action, sync.CommandReady):
                self._work(50, self._carry_out, action.command)
            else:
                self.refused.append(action)
        self._plan_tick()

    def _work(self, most_ms, call, *arguments):
        """What takes a while, and is gone if the agent is killed meanwhile."""
        self.after(self.chance.randrange(1, most_ms), self._unless_killed, self.lives, call, arguments)

    def _unless_killed(self, life, call, arguments):
        if life == self.lives:
            call(*arguments)

    def _answer(self, first_seq, found):
        self._perform(self.sync.events_read(first_seq, found, self.now_ms))

    def _apply(self, delta):
        self.applied.append(delta.to_revision)
        self.version, self.digest = (delta.epoch, delta.to_revision), delta.digest
        self._perform(self.sync.policy_changed(self.version, self.digest, self.now_ms))

    def _carry_out(self, command):
        raise AssertionError(f"nobody commanded {command.request!r}")

    def record(self, event):
        seq = len(self.log) + 1
        self.log.append((seq, *event[1:]))
        self._perform(self.sync.log_advanced(seq, self.now_ms))

    # --- stories ----------------------------------------------------------------------------------------------

    def storm(self, duration_ms, live_events):
        """Events happen, the line comes and goes, the manager sets a policy now and then."""
        for entry in world.day_of_events(live_events, self.chance.randrange(1 << 30)):
            self.after(self.chance.randrange(duration_ms), self.record, entry)
        for _ in range(self.network.drops):
            at = self.chance.randrange(duration_ms)
            self.after(at, self.disconnect)
            self.after(at + self.chance.randrange(1, 20_000), self.connect)
        for revision in (2, 3):
            self.after(self.chance.randrange(duration_ms), self.set_policy, revision)
        self.run(duration_ms)

    def set_policy(self, revision):
        """The manager has a new policy of several parts; it is published again until a hello names it."""
        if self.manager.policy and self.manager.policy[0] > revision:
            return
        packed = [*world.POLICY_ROWS, *world.credentials(30, seed=revision)]
        whole = signing.policy_digest(packed)
        parts = [signing.messages.PolicyPart(0, revision, i, 5, tuple(packed[i::5]), (), whole) for i in range(5)]
        bodies = [signing.messages.policy_body(part) for part in parts]
        raws = [signing.sign("policy", body, world.CLOUD_TRUST, world.MANAGER_KEY) for body in bodies]
        self.manager.policy = (revision, raws)
        self._publish_policy(revision)

    def _publish_policy(self, revision):
        if self.manager.policy[0] == revision and self.manager.revision_of_edge != revision:
            self.manager.send_policy()
            self.after(20_000, self._publish_policy, revision)

    def heal(self):
        """From now on the network is calm and the line is up."""
        self.network = CALM
        if not self.up:
            self.connect()

    @property
    def is_equal(self):
        """Both ends know the same, and each knows it of the other."""
        wanted = self.manager.policy[0] if self.manager.policy else 1
        return (
            self.manager.events == self.log
            and self.manager.conflicts == 0
            and self.sync.pending == 0
            and self.manager.revision_of_edge == wanted
            and (wanted == 1 or self.applied[-1:] == [wanted])
        )
