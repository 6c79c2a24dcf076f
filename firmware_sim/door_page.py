"""The page that draws doors: a live picture of the hardware in a browser, and everything a person can do at it.

Loopback only: who can open it can open the doors. A script may use what the page's own script uses:

    GET  /api/state     {"title", "doors": [{place, seen}], "events"}
    GET  /api/live      the same as server-sent events: what changed, as it changes
    GET  /api/wallet    ?kind=badge|remote|phone|visit&text=…&door=…: who carries what
    POST /api/act       {"do": "present", "reader": "hall-a-in", "number": "1111100007"}: an entry of ACTS
"""

import asyncio
import html
import ipaddress
import json
import re
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from microdot import Microdot, Request, Response

from firmware_sim.door_bench import ActError, Bench
from firmware_sim.door_events import EventTail
from firmware_sim.door_wallet import KINDS, Wallet
from firmware_sim.door_words import LANGUAGES, OF_THE_SCRIPT, describe, preferred, translator
from firmware_sim.reader_lights import now_ms

FILES = Path(__file__).parent / "door_page"
TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
LOOK_S = 0.025  # the shortest blink lasts 100 ms
ASK_S = 0.25  # for events
HEARTBEAT_S = 5.0
KEPT_EVENTS = 100
COOKIE = "language"
_HEADERS = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}

_ON_A_READER = {"reader": str, "is_on": bool}
# What can be done: word → (method of Bench, its arguments).
ACTS: dict[str, tuple[Callable[..., None], dict[str, type]]] = {
    "present": (Bench.present, {"reader": str, "number": str}),
    "press": (Bench.press, {"reader": str, "keys": str}),
    "remote": (Bench.remote, {"reader": str, "number": str, "button": int}),
    "phone": (Bench.phone, {"reader": str, "number": str}),
    "visit": (Bench.visit, {"door": str, "call_code": str}),
    "answer": (Bench.answer, {"door": str}),
    "phone_key": (Bench.phone_key, {"door": str, "key": str}),
    "refuse": (Bench.refuse, {"door": str}),
    "push": (Bench.push, {"door": str}),
    "force": (Bench.force, {"door": str}),
    "prop": (Bench.prop, {"door": str, "is_on": bool}),
    "exit": (Bench.exit, {"door": str}),
    "unplug": (Bench.unplug, _ON_A_READER),
    "noise": (Bench.noise, _ON_A_READER),
    "swap_address": (Bench.swap_address, _ON_A_READER),
    "slow": (Bench.slow, _ON_A_READER),
    "tamper": (Bench.tamper, _ON_A_READER),
    "stick": (Bench.stick, {"door": str, "says": str}),
}


class DoorPage:
    """Serves the page of some controllers' doors. `wallet`: what people carry. `title`: the residence's name.

    `hands_off`: why nothing may be done now, "" where it may; a demo that plays its day sets it.
    """

    def __init__(self, benches: Sequence[Bench], wallet: Wallet | None = None, title: str = "") -> None:
        self.hands_off = ""
        self.title = title
        self._benches = list(benches)
        self._wallet = wallet or Wallet([])
        self._doors = {door.id: (bench, door) for bench in self._benches for door in bench.doors}
        self._readers = {reader.id: bench for bench in self._benches for door in bench.doors for reader in door.readers}
        self._tails = [(bench, EventTail(bench.api)) for bench in self._benches if bench.api is not None]
        self._events: deque[tuple[int, dict[str, Any]]] = deque(maxlen=KEPT_EVENTS)
        self._counted = 0
        self._seen: dict[str, dict[str, Any]] = {}
        self._streams = 0
        self._tasks: list[asyncio.Task[None]] = []
        self._server: asyncio.Server | None = None
        self._born = time.time_ns()  # a browser that meets another one loads the page again

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> str:
        """Serve, on a free port where `port` is 0; returns the address. ValueError for an address that is not this
        machine's own; OSError where the port is taken."""
        if not ipaddress.ip_address(host).is_loopback:
            raise ValueError(f"{host}: the page opens doors, so it is served on this machine only; use 127.0.0.1")
        app = self._app()
        await app.start_server(host, port, start_serving=False)
        server: Any = app.server
        await server.start_serving()
        self._server = server
        self._look()
        self._tasks = [asyncio.create_task(self._keep_looking()), asyncio.create_task(self._keep_asking())]
        return f"http://{host}:{server.sockets[0].getsockname()[1]}/"

    async def stop(self) -> None:
        """End every connection."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []
        if self._server is not None:
            self._server.close()
            self._server = None
        for _ in range(40):  # streams see it when they look next
            if not self._streams:
                break
            await asyncio.sleep(LOOK_S)

    def act(self, words: dict[str, Any]) -> None:
        """Do what a person does. ActError: a line that says why it cannot be."""
        if self.hands_off:
            raise ActError(self.hands_off)
        do, *_ = ACTS.get(str(words.get("do")), (None,))
        if do is None:
            raise ActError(f"unknown; known are {', '.join(ACTS)}")
        fields = ACTS[words["do"]][1]
        given = {name: value for name, value in words.items() if name != "do"}
        if given.keys() != fields.keys() or any(type(given[name]) is not kind for name, kind in fields.items()):
            wanted = ", ".join(f"{name} ({kind.__name__})" for name, kind in fields.items())
            raise ActError(f"{words['do']} takes {wanted}")
        do(self._bench(given), **given)
        self._look()

    def _bench(self, given: dict[str, Any]) -> Bench:
        if "reader" in given:
            if given["reader"] not in self._readers:
                raise ActError(f"there is no reader {given['reader']}; known are {', '.join(self._readers)}")
            return self._readers[given["reader"]]
        if given["door"] not in self._doors:
            raise ActError(f"there is no door {given['door']}; known are {', '.join(self._doors)}")
        return self._doors[given["door"]][0]

    # --- looking --------------------------------------------------------------------------------------------

    async def _keep_looking(self) -> None:
        while True:
            for bench in self._benches:
                bench.advance()
            if self._streams:
                self._look()
            await asyncio.sleep(LOOK_S)

    def _look(self) -> None:
        at_ms = now_ms()
        answering = {bench.controller: tail.is_answering for bench, tail in self._tails}
        self._seen = {
            door: {**seen, "ring": self._named(seen["ring"]), "is_answering": answering.get(bench.controller)}
            for bench in self._benches
            for door, seen in bench.look(at_ms).items()
        }

    def _named(self, ring: dict[str, str] | None) -> dict[str, str] | None:
        return None if ring is None else {**ring, "name": self._wallet.name_of("phone", ring["number"])}

    async def _keep_asking(self) -> None:
        while True:
            if self._streams:
                await self._ask()
            await asyncio.sleep(ASK_S if self._streams else LOOK_S)

    async def _ask(self) -> None:
        for bench, tail in self._tails:
            for event in await tail.poll():
                self._counted += 1
                self._events.append((self._counted, {**event, "controller": bench.controller}))

    def _described(self, language: str, after: int) -> list[dict[str, Any]]:
        say = translator(language)
        return [
            {**describe(event, self._wallet.name_of(event["medium"], event["credential"]), say), "n": number}
            | {"controller": event["controller"]}
            for number, event in self._events
            if number > after
        ]

    async def _live(self, language: str) -> AsyncIterator[bytes]:
        """What changed, as it changes. Asked for only when the browser took what came before: a slow one misses
        states in between, and nothing is kept for it."""
        self._streams += 1
        server, known, told, quiet_s = self._server, dict[str, Any](), 0, 0.0
        try:
            yield _sse({"born": self._born})
            while self._server is server and server is not None:
                changed = {door: seen for door, seen in self._seen.items() if known.get(door) != seen}
                events = self._described(language, told)
                quiet_s += LOOK_S
                if changed or events:
                    known |= changed
                    told = events[-1]["n"] if events else told
                    quiet_s = 0.0
                    yield _sse({"doors": changed, "events": events})
                elif quiet_s >= HEARTBEAT_S:
                    quiet_s = 0.0
                    yield b": still here\n\n"
                await asyncio.sleep(LOOK_S)
        finally:
            self._streams -= 1

    # --- serving --------------------------------------------------------------------------------------------

    def _app(self) -> Microdot:
        app = Microdot()
        app.before_request(_refuse_strangers)
        app.get("/")(self._page)
        app.get("/files/<name>")(_file)
        app.get("/api/state")(self._state)
        app.get("/api/live")(self._stream)
        app.get("/api/wallet")(self._find)
        app.post("/api/act")(self._act)
        return app

    async def _page(self, request: Request) -> Response:
        language = _language(request)
        say = translator(language)
        scene = {
            "born": self._born,
            "doors": [self._place(door) for door in self._doors],
            "words": {word: say(word) for word in OF_THE_SCRIPT},
        }
        values = {"language": language, "title": self.title or "vantail", "scene": json.dumps(scene)}
        switch = " ".join(_switch_to(code, code == language) for code in LANGUAGES)
        text = (FILES / "index.html").read_text("utf-8")
        text = re.sub(r"\{\{ (.+?) \}\}", lambda found: html.escape(say(found[1])), text)
        text = re.sub(r"\{% (\w+) %\}", lambda found: html.escape(values[found[1]], quote=True), text)
        text = text.replace("<!-- languages -->", switch)
        response = Response(text, headers={"Content-Type": "text/html; charset=UTF-8", **_HEADERS})
        if request.args.get(COOKIE) in LANGUAGES:
            response.set_cookie(COOKIE, language, path="/", http_only=True)
        return response

    def _place(self, door: str) -> dict[str, Any]:
        bench, place = self._doors[door]
        found = asdict(place)
        return {**found, "outputs": list(place.outputs), "controller": bench.controller}

    async def _state(self, request: Request) -> Response:
        self._look()
        await self._ask()
        doors = [{"place": self._place(door), "seen": seen} for door, seen in self._seen.items()]
        events = self._described(_language(request), 0)
        return _json({"title": self.title, "doors": doors, "events": events})

    async def _stream(self, request: Request) -> Response:
        body: Any = self._live(_language(request))
        return Response(body, headers={"Content-Type": "text/event-stream", **_HEADERS})

    async def _find(self, request: Request) -> Response:
        kind, text, door = (str(request.args.get(name, "")) for name in ("kind", "text", "door"))
        if kind not in KINDS or (door and door not in self._doors):
            return _json({"error": f"kind is one of {', '.join(KINDS)}; door is one of {', '.join(self._doors)}"}, 400)
        panel = self._doors[door][1].panel if door else None
        return _json(self._wallet.find(kind, text[:100], panel.blocks if panel and kind == "visit" else ()))

    async def _act(self, request: Request) -> Response:
        try:
            words = request.json
            if not isinstance(words, dict):
                raise ActError('say what to do as one JSON object, {"do": …}')
            self.act(words)
        except ActError as error:
            return _json({"ok": False, "error": str(error)}, 400)
        except ValueError:
            return _json({"ok": False, "error": "not JSON"}, 400)
        return _json({"ok": True})


async def _refuse_strangers(request: Request) -> Response | None:
    """A page of another site must not reach the doors: neither under another name of this machine (DNS rebinding) nor
    by a form or script of its own."""
    host = request.headers.get("Host", "")
    origin = request.headers.get("Origin")
    is_ours = urlsplit(f"//{host}").hostname in ("127.0.0.1", "localhost", "::1")
    if not is_ours or (origin is not None and urlsplit(origin).netloc != host):
        return _json({"ok": False, "error": "open the page by its own address"}, 403)
    if request.method == "POST" and not request.headers.get("Content-Type", "").startswith("application/json"):
        return _json({"ok": False, "error": "send JSON as application/json"}, 415)
    return None


async def _file(request: Request, name: str) -> Response:
    path = FILES / name
    if path.parent != FILES or path.suffix not in TYPES or not path.is_file():
        return _json({"error": "no such file"}, 404)
    return Response(path.read_bytes(), headers={"Content-Type": TYPES[path.suffix], **_HEADERS})


def _switch_to(code: str, is_current: bool) -> str:
    current, name = " aria-current=true" if is_current else "", LANGUAGES[code]
    words = f'<span class="long">{name}</span><span class="short">{code.upper()}</span>'
    return f'<a href="/?{COOKIE}={code}" lang="{code}" aria-label="{name}"{current}>{words}</a>'


def _language(request: Request) -> str:
    for wanted in (request.args.get(COOKIE), request.cookies.get(COOKIE)):
        if wanted in LANGUAGES:
            return str(wanted)
    return preferred(request.headers.get("Accept-Language", ""))


def _json(value: dict[str, Any], status: int = 200) -> Response:
    text = json.dumps(value, ensure_ascii=False)
    return Response(text, status, {"Content-Type": "application/json; charset=UTF-8", **_HEADERS})


def _sse(value: dict[str, Any]) -> bytes:
    return b"data: " + json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode() + b"\n\n"
