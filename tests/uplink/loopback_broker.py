"""A real broker in a child process on a free loopback port, to be killed and started again."""

import contextlib
import socket
import subprocess
import sys
import time

# rumqttd listens on every address and drops connections above 20,480 bytes by default; it ends when our pipe closes.
_CHILD = """
import os, sys, threading
from iotcore import IotCoreBroker
def watch():
    os.read(0, 1)
    os._exit(0)
threading.Thread(target=watch, daemon=True).start()
IotCoreBroker(listen="127.0.0.1", port=int(sys.argv[1]), max_payload_size=262_144).run_forever()
"""


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class LoopbackBroker:
    """`with LoopbackBroker() as broker`: `broker.port` is open until the end, except between `kill` and `start`."""

    def __init__(self):
        self.port = free_port()
        self._child = None

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.kill()

    def start(self, deadline_s=30):
        self._child = subprocess.Popen(
            [sys.executable, "-c", _CHILD, str(self.port)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        end = time.monotonic() + deadline_s
        while time.monotonic() < end:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=1):
                return
            time.sleep(0.02)
        raise AssertionError(f"the broker does not listen on {self.port}; exit code {self._child.poll()}")

    def kill(self):
        if self._child:
            self._child.kill()
            self._child.wait()
            self._child.stdin.close()
            self._child = None
