"""The installer's page: commissioning from a telephone. The only file of the edge that names microdot.

A process of its own, open for minutes, at an address with an unguessable word in it. It asks the agent through the
local API and decides nothing; the password's lock is the agent's.
"""

import html
import json
import re
import secrets
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from microdot import Microdot, Request, Response

from edge.console.api import ApiError
from edge.console.menu import Texts

FILES = Path(__file__).parent / "page"
TYPES = {".css": "text/css", ".js": "text/javascript"}
LANGUAGES = {"en": "English", "fr": "Français"}
LANGUAGE, SESSION = "language", "session"  # cookies
# What the page may ask of the agent: word → (operation, its arguments).
ASKS: dict[str, tuple[str, dict[str, type]]] = {
    "login": ("commission-login", {"password": str}),
    "logout": ("commission-logout", {}),
    "arm": ("commission-arm", {"manager": int, "reader": str, "countdown_s": int}),
    "adjust": ("commission-adjust", {"steps": int}),
    "cancel": ("commission-cancel", {}),
    "time": ("commission-time", {"utc_ms": int}),
}
_HEADERS = {
    "Content-Security-Policy": "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
Ask = Callable[..., Awaitable[dict[str, Any]]]


def _(text: str) -> str:
    """Marks a text for the catalogue."""
    return text


WORDS = ( _("Locked for {seconds} s"), _("does not answer"),
    _("Go to the reader: it blinks red and green"), _("Hold the key there for 2 seconds, then take it away"),
    _("Take the key away"), _("Done: this controller obeys the new manager."),
    _("Do the same at the site's other controllers."), _("The controller does not answer; waiting for it."),
    _("A hand-over is waiting."), _("No hand-over is waiting in this controller."), _("No reader is configured"),
    _("The controller does not know the time."),
)  # fmt: skip


class InstallerPage:
    """ask(op, **arguments): the agent's answer, or ApiError. texts: for each language, an English text in it. hosts:
    the names and addresses, without port, by which browsers may call it."""

    def __init__(self, ask: Ask, texts: Mapping[str, Texts], hosts: frozenset[str]) -> None:
        self.word = secrets.token_urlsafe(12)
        self._ask = ask
        self._texts = texts
        self._hosts = hosts
        self._app = self._routes()

    async def start(self, host: str, port: int) -> int:
        """Serve until `stop`; the port. OSError where it is taken."""
        await self._app.start_server(host, port, start_serving=False)
        server: Any = self._app.server
        await server.start_serving()
        return int(server.sockets[0].getsockname()[1])

    def stop(self) -> None:
        """Serve nobody any more."""
        server: Any = self._app.server
        if server is not None:
            server.close()

    # --- serving ------------------------------------------------------------------------------------------------------

    def _routes(self) -> Microdot:
        app = Microdot()
        app.before_request(self._refuse_strangers)
        app.get(f"/{self.word}/")(self._page)
        app.get(f"/{self.word}/files/<name>")(_file)
        app.get(f"/{self.word}/view")(self._view)
        app.post(f"/{self.word}/ask")(self._asked)
        return app

    async def _refuse_strangers(self, request: Request) -> Response | None:
        """A page of another site must not reach the controller: neither under another name (DNS rebinding) nor by a
        form or script of its own."""
        host = request.headers.get("Host", "")
        origin = request.headers.get("Origin")
        is_ours = urlsplit(f"//{host}").hostname in self._hosts
        if not is_ours or (origin is not None and urlsplit(origin).netloc != host):
            return _json({"error": "open the page by its own address"}, 403)
        if request.method == "POST" and not request.headers.get("Content-Type", "").startswith("application/json"):
            return _json({"error": "send JSON as application/json"}, 415)
        return None

    async def _page(self, request: Request) -> Response:
        language = self._language(request)
        say = self._texts[language]
        values = {"language": language, "words": json.dumps({word: say(word) for word in WORDS})}
        text = (FILES / "index.html").read_text("utf-8")
        text = re.sub(r"\{\{ (.+?) \}\}", lambda found: html.escape(say(found[1])), text)
        text = re.sub(r"\{% (\w+) %\}", lambda found: html.escape(values[found[1]], quote=True), text)
        links = [f'<a href="?{LANGUAGE}={code}" lang="{code}">{name}</a>' for code, name in LANGUAGES.items()]
        response = Response(text.replace("<!-- languages -->", " ".join(links)), headers=_of_type("text/html"))
        if request.args.get(LANGUAGE) in LANGUAGES:
            response.set_cookie(LANGUAGE, language, path=f"/{self.word}/", http_only=True)
        return response

    async def _view(self, request: Request) -> Response:
        try:
            view = await self._ask("commission-view", session=request.cookies.get(SESSION, ""))
        except ApiError as error:
            return _json({"error": str(error)}, 503)
        return _json(self._said(request, view))

    async def _asked(self, request: Request) -> Response:
        words = request.json if isinstance(request.json, dict) else {}
        op, fields = ASKS.get(str(words.get("do")), ("", {}))
        given = {name: value for name, value in words.items() if name != "do"}
        if not op or given.keys() != fields.keys() or any(type(given[name]) is not fields[name] for name in fields):
            return _json({"error": f"'do' is one of {', '.join(ASKS)}, with its own fields"}, 400)
        if op != "commission-login":
            given["session"] = request.cookies.get(SESSION, "")
        try:
            answer = await self._ask(op, **given)
        except ApiError as error:
            return _json({"error": str(error)}, 503)
        response = _json(self._said(request, {key: value for key, value in answer.items() if key != "session"}))
        if op == "commission-login" and not answer["reason"]:
            cookie = f"{SESSION}={answer['session']}; Path=/{self.word}/; HttpOnly; SameSite=Strict"
            response.headers["Set-Cookie"] = [cookie]  # microdot's set_cookie knows no SameSite
        return response

    def _said(self, request: Request, answer: dict[str, Any]) -> dict[str, Any]:
        say = self._texts[self._language(request)]
        return {**answer, **{name: answer[name] and say(answer[name]) for name in ("what", "way_on")}}

    def _language(self, request: Request) -> str:
        for wanted in (request.args.get(LANGUAGE), request.cookies.get(LANGUAGE)):
            if wanted in LANGUAGES:
                return str(wanted)
        return "fr" if request.headers.get("Accept-Language", "").lower().startswith("fr") else "en"


async def _file(request: Request, name: str) -> Response:
    path = FILES / name
    if path.parent != FILES or path.suffix not in TYPES or not path.is_file():
        return _json({"error": "no such file"}, 404)
    return Response(path.read_bytes(), headers=_of_type(TYPES[path.suffix]))


def _of_type(kind: str) -> dict[str, str]:
    return {"Content-Type": f"{kind}; charset=UTF-8", **_HEADERS}


def _json(value: dict[str, Any], status: int = 200) -> Response:
    return Response(json.dumps(value, ensure_ascii=False), status, _of_type("application/json"))
