"""Three nodes of Debian's nats-server on free loopback ports, each with JetStream and an MQTT listener."""

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

DEADLINE_S = 60  # against hanging, not a measure
NODES = 3
CONSUMER = "vantail-ingest"

CONFIGURATION = """\
server_name: node{number}
listen: "127.0.0.1:{port}"
http: "127.0.0.1:{monitor}"
jetstream {{ store_dir: "{folder}", max_memory_store: 64MB, max_file_store: 2GB }}
cluster {{
  name: vantail
  listen: "127.0.0.1:{route}"
  routes: [{routes}]
}}
mqtt {{ listen: "127.0.0.1:{mqtt}" }}
"""

# Ends the node when this test's end of the pipe closes, however the test ended.
_KEEPER = """
import os, subprocess, sys
child = subprocess.Popen(sys.argv[1:])
print(child.pid, flush=True)
os.read(0, 1)
child.kill()
child.wait()
"""


def program() -> str:
    """Where nats-server is; Debian installs it where only root looks."""
    found = shutil.which("nats-server", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    assert found, "these tests need nats-server: apt install nats-server"
    return found


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class NatsCluster:
    """`with NatsCluster(folder) as cluster:` `cluster.url` names all nodes, `cluster.mqtt[i]` a node's MQTT port."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._ports = [free_port() for _ in range(NODES)]
        self._monitors = [free_port() for _ in range(NODES)]
        self._routes = [free_port() for _ in range(NODES)]
        self.mqtt = [free_port() for _ in range(NODES)]
        self._keepers: dict[int, subprocess.Popen] = {}

    @property
    def url(self) -> str:
        return "nats://" + ",".join(f"127.0.0.1:{port}" for port in self._ports)

    def __enter__(self) -> "NatsCluster":
        for number in range(NODES):
            self.start(number)
        for port in self.mqtt:
            self._await(lambda port=port: _accepts_mqtt(port), f"MQTT on {port}")
        return self

    def __exit__(self, *_) -> None:
        for number in list(self._keepers):
            self.kill(number)

    def start(self, number: int) -> None:
        file = self._folder / f"node{number}.conf"
        file.write_text(
            CONFIGURATION.format(
                number=number, port=self._ports[number], monitor=self._monitors[number], route=self._routes[number],
                mqtt=self.mqtt[number], folder=self._folder / f"node{number}",
                routes=", ".join(f'"nats://127.0.0.1:{port}"' for port in self._routes),
            )
        )  # fmt: skip
        with (self._folder / f"node{number}.log").open("ab") as log:
            self._keepers[number] = subprocess.Popen(
                [sys.executable, "-c", _KEEPER, program(), "-c", str(file)],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True, start_new_session=True,
            )  # fmt: skip
        self._keepers[number].stdout.readline()

    def kill(self, number: int) -> None:
        """As a power cut of that machine would."""
        keeper = self._keepers.pop(number)
        keeper.stdin.close()
        keeper.wait(DEADLINE_S)
        keeper.stdout.close()

    def held(self) -> int:
        """Messages that workers took and have not acknowledged."""
        return int(self._consumer()["num_ack_pending"])

    def delivered_again(self) -> int:
        """How often a message was handed to a worker that another had had before."""
        delivered = self._consumer()["delivered"]
        return int(delivered["consumer_seq"] - delivered["stream_seq"])

    def _consumer(self) -> dict:
        """The workers' consumer, as the node that leads it knows it."""
        found = []
        for monitor in self._monitors:
            with contextlib.suppress(OSError):
                page = f"http://127.0.0.1:{monitor}/jsz?consumers=true"
                with urllib.request.urlopen(page, timeout=5) as answer:
                    accounts = json.load(answer).get("account_details", [])
                streams = [stream for account in accounts for stream in account.get("stream_detail", [])]
                found += [each for stream in streams for each in stream.get("consumer_detail") or []]
        ours = [each for each in found if each["name"] == CONSUMER]
        return max(ours, key=lambda each: each["delivered"]["consumer_seq"])

    def _await(self, condition, what: str) -> None:
        end = time.monotonic() + DEADLINE_S
        while not condition():
            assert time.monotonic() < end, f"not within {DEADLINE_S} s: {what}\n{self._logs()}"
            time.sleep(0.1)

    def _logs(self) -> str:
        return "\n".join(path.read_text()[-2000:] for path in sorted(self._folder.glob("node*.log")))


def _accepts_mqtt(port: int) -> bool:
    """A CONNECT (3.1.1, clean session, client "probe") is answered with 20 02 00 00: JetStream has a leader."""
    connect = bytes.fromhex("101100044d5154540402003c000570726f6265")
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=8) as line:
        line.sendall(connect)
        return line.recv(4) == bytes.fromhex("20020000")
    return False
