"""The line to a NATS cluster, for many controllers and several workers; the only file here that names nats.

Controllers speak MQTT to the cluster's own listener, which makes the subject v1.SITE.CONTROLLER.up.KIND of a topic. A
JetStream stream keeps what comes up until a worker has committed it. All workers share one durable consumer: a message
that one of them took and did not acknowledge, because it died, goes to another.

Nothing is promised that the two ends do not keep by themselves: what the stream loses, the controller sends again.
"""

import asyncio
import contextlib
import json
import logging
import ssl
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple, TypeVar
from urllib.parse import urlsplit

import nats
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.errors import Error as NatsError
from nats.js.api import AckPolicy, ConsumerConfig, DiscardPolicy, RetentionPolicy, StorageType, StreamConfig
from nats.js.errors import NotFoundError

from cloud_stub.answering import Answer, Arrived
from cloud_stub.broker import GROUP
from cloud_stub.errors import UsageError

STREAM, DURABLE = "VANTAIL_UP", "vantail-ingest"
SUBJECTS = "v1.*.*.up.>"
KEPT_S = 3600  # what nobody took for so long was sent again several times since
KEPT_BYTES = 1 << 30
REPLICAS = 3  # where so many nodes are named: one may die
ACK_WAIT_S = 20.0  # a worker that took a message and says nothing for so long is dead; a group takes a second
PULL_S = 5.0
NOTHING_CAME = "408"  # the status that ends a pull
AGAIN_S, STOP_S = 1.0, 5.0
DUE_EVERY_S = 0.25
EARLY_S = 0.05  # until a batch whose predecessor another worker has is looked at again; twice as long each time
EARLY_TRIES = 7  # 3 s together: then it is the controller that has to send again
FAILED_S, FAILED_MAX_S, FAILED_TRIES = 1.0, 15.0, 20
_PORT = 4222
_log = logging.getLogger("vantail.cloud")
_Result = TypeVar("_Result")


class Servers(NamedTuple):
    """Some nodes of a cluster, which name the others. credentials: user and password, or empty; never printed."""

    addresses: tuple[str, ...]
    credentials: tuple[str, str]
    tls: bool

    def __repr__(self) -> str:
        return f"Servers({', '.join(self.addresses)})"


class Work(NamedTuple):
    """What is done with messages, all of it on one thread of its own. leads: whether what is due is for this worker to
    send."""

    answers: Callable[[Sequence[Arrived]], list[Answer]]
    due: Callable[[], list[tuple[str, bytes]]]
    leads: Callable[[], bool]
    failed: Callable[[Exception, str], None]


def parse_servers(url: str) -> Servers:
    """nats://[USER:PASSWORD@]HOST[:4222][,HOST…] or tls://…. UsageError, which does not repeat a password."""
    scheme, _, rest = url.partition("://")
    user, _, hosts = rest.rstrip("/").rpartition("@")
    name, _, password = user.partition(":")
    try:
        parts = [urlsplit(f"//{host}") for host in hosts.split(",")]
        if scheme not in ("nats", "tls") or any(not each.hostname or each.path for each in parts):
            raise ValueError
        addresses = tuple(f"{_bracketed(each.hostname or '')}:{each.port or _PORT}" for each in parts)
    except ValueError as error:
        raise UsageError("--broker: write nats://HOST:PORT, with more nodes after commas, or tls:// for TLS") from error
    return Servers(addresses, (name, password), scheme == "tls")


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


class NatsLine:
    """One worker. context: what it shows to the cluster and believes, with tls://."""

    def __init__(self, servers: Servers, work: Work, context: ssl.SSLContext | None = None) -> None:
        self._servers, self._work, self._context = servers, work, context
        self._thread = ThreadPoolExecutor(1, "ingest")  # the database's connection belongs to a thread
        self._client = Client()
        self._inbox: Subscription | None = None
        self._asked = 0  # messages that the last pull may still bring
        self._is_stopping = self._is_prepared = False
        self._said = ""  # what went wrong last

    async def run(self, stopping: asyncio.Event, ready: Callable[[], None]) -> None:
        """Until `stopping`. ready(): called when messages can come, and again when the stream was gone. A cluster that
        is away is waited for."""
        working = asyncio.create_task(self._work_on(ready))
        told = asyncio.create_task(stopping.wait())
        try:
            await asyncio.wait((working, told), return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._is_stopping = True
            # The group in hand is answered first; what waits for the cluster is not.
            await asyncio.wait((working,), timeout=STOP_S if self._client.is_connected else 0)
            for task in (working, told):
                task.cancel()
            self._thread.shutdown()
            await asyncio.gather(working, told, return_exceptions=True)
            with contextlib.suppress(NatsError):
                await self._client.close()
        if not working.cancelled() and (error := working.exception()):
            raise error

    async def _work_on(self, ready: Callable[[], None]) -> None:
        await self._connect()
        due = asyncio.create_task(self._send_due())
        try:
            while not self._is_stopping:
                if not self._is_prepared:
                    self._is_prepared = await self._prepare()
                    if self._is_prepared:
                        ready()
                    else:
                        await asyncio.sleep(AGAIN_S)
                elif messages := await self._pull():
                    await self._answer(messages)
            with contextlib.suppress(NatsError):
                await self._client.flush(2)
        finally:
            due.cancel()
            await asyncio.gather(due, return_exceptions=True)

    async def _connect(self) -> None:
        user, password = self._servers.credentials
        scheme = "tls" if self._servers.tls else "nats"
        await self._client.connect(
            servers=[f"{scheme}://{address}" for address in self._servers.addresses],
            name="vantail-cloud", user=user or None, password=password or None, tls=self._context,
            max_reconnect_attempts=-1, reconnect_time_wait=1, allow_reconnect=True,
            error_cb=self._broke, disconnected_cb=self._away, reconnected_cb=self._back,
        )  # fmt: skip

    async def _broke(self, error: Exception) -> None:
        said = str(error) or type(error).__name__
        if said != self._said:  # not every second the same
            _log.warning("%s: %s; trying again", self._servers, said)
        self._said = said

    async def _away(self) -> None:
        self._asked = 0
        if not self._client.is_closed and not self._is_stopping:
            _log.warning("%s: away; trying again", self._servers)

    async def _back(self) -> None:
        self._asked, self._said = 0, ""
        _log.info("%s: connected again", self._servers)

    async def _prepare(self) -> bool:
        """Whether stream and consumer are there, made if they were not. JetStream elects a leader first."""
        manager = self._client.jsm()
        try:
            try:
                await manager.stream_info(STREAM)
            except NotFoundError:
                await manager.add_stream(_stream(REPLICAS if len(self._servers.addresses) >= REPLICAS else 1))
            await manager.add_consumer(STREAM, _CONSUMER)
            self._inbox = self._inbox or await self._client.subscribe(self._client.new_inbox())
            return True
        except (NatsError, TimeoutError) as error:
            _log.warning("%s: JetStream is not ready (%s); trying again", self._servers, error)
            return False

    # --- what comes up ----------------------------------------------------------------------------------------

    async def _pull(self) -> list[Msg]:
        """At most GROUP messages; none after a while, or when we are to stop."""
        assert self._inbox is not None
        messages: list[Msg] = []
        try:
            if not self._asked:
                self._asked = GROUP
                wanted = {"batch": GROUP, "expires": int(PULL_S * 1e9)}
                subject = f"$JS.API.CONSUMER.MSG.NEXT.{STREAM}.{DURABLE}"
                await self._client.publish(subject, json.dumps(wanted).encode(), reply=self._inbox.subject)
            while self._asked and (not messages or self._inbox.pending_msgs):
                message = await self._next()
                if status := (message.headers or {}).get("Status"):
                    self._asked = 0
                    self._is_prepared = status == NOTHING_CAME  # else nobody leads the stream, or it is gone
                else:
                    self._asked -= 1
                    messages.append(message)
        except (NatsError, TimeoutError):
            self._asked = 0
        return messages

    async def _next(self) -> Msg:
        """The next message; TimeoutError when we are to stop or none comes."""
        assert self._inbox is not None
        end = asyncio.get_running_loop().time() + PULL_S + 1
        while not self._is_stopping and asyncio.get_running_loop().time() < end:
            with contextlib.suppress(TimeoutError):
                return await self._inbox.next_msg(timeout=0.5)
        raise TimeoutError

    async def _answer(self, messages: list[Msg]) -> None:
        """Commit, then publish, then acknowledge: dying in between repeats something, and loses nothing."""
        taken = [
            Arrived(message.subject.replace(".", "/"), message.data, message.metadata.timestamp) for message in messages
        ]
        answers = await self._on_thread(lambda: self._work.answers(taken))
        for message, answer in zip(messages, answers, strict=True):
            await self._publish(answer.publications)
            await self._settle(message, answer)
        if all(answer.is_failed for answer in answers):
            await asyncio.sleep(FAILED_S)  # the database itself is the trouble

    async def _settle(self, message: Msg, answer: Answer) -> None:
        tries = message.metadata.num_delivered
        try:
            if answer.is_failed and tries < FAILED_TRIES:
                await message.nak(delay=min(FAILED_S * tries, FAILED_MAX_S))
            elif answer.is_early and tries < EARLY_TRIES:
                await message.nak(delay=EARLY_S * 2 ** (tries - 1))
            else:
                await message.ack()
        except NatsError as error:
            _log.warning("%s: not acknowledged (%s); it comes again", self._servers, error)

    # --- what goes down ---------------------------------------------------------------------------------------

    async def _publish(self, publications: Sequence[tuple[str, bytes]]) -> None:
        for topic, payload in publications:
            try:
                await self._client.publish(topic.replace("/", "."), payload)
            except NatsError as error:
                _log.warning("%s: not published (%s); it is asked for again", self._servers, error)

    async def _send_due(self) -> None:
        while True:
            await asyncio.sleep(DUE_EVERY_S)
            if self._client.is_connected:
                await self._publish(await self._on_thread(self._due))

    def _due(self) -> Sequence[tuple[str, bytes]]:
        try:
            return self._work.due() if self._work.leads() else ()
        except Exception as error:
            self._work.failed(error, "due")
            return ()

    async def _on_thread(self, job: Callable[[], _Result]) -> _Result:
        return await asyncio.get_running_loop().run_in_executor(self._thread, job)


def _stream(replicas: int) -> StreamConfig:
    return StreamConfig(
        name=STREAM, subjects=[SUBJECTS], retention=RetentionPolicy.WORK_QUEUE, storage=StorageType.FILE,
        discard=DiscardPolicy.OLD, max_age=KEPT_S, max_bytes=KEPT_BYTES, num_replicas=replicas,
    )  # fmt: skip


_CONSUMER = ConsumerConfig(
    durable_name=DURABLE, ack_policy=AckPolicy.EXPLICIT, ack_wait=ACK_WAIT_S, max_ack_pending=1000
)

__all__ = ["NatsLine", "Servers", "Work", "nats", "parse_servers"]
