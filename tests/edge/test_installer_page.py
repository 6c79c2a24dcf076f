"""The installer's page in a real headless Chromium of a telephone's size, at a real agent; and who gets no page."""

import asyncio
import contextlib
import json
import os
import urllib.error
import urllib.request
from functools import partial
from pathlib import Path

import pytest
from edge_controller import DEADLINE_S
from onsite_controller import HALL, KEY, NUMBER, PASSWORD, Commissioned
from playwright.async_api import async_playwright, expect

from edge import onsite
from edge.commands import console
from edge.commands.terminal import FRENCH
from edge.config import load
from edge.console.api import call
from edge.console.installer_page import InstallerPage
from edge.failures import CommandError
from edge.translations import catalogue

CHROMIUM = "/usr/bin/chromium"
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"]
HOST = "127.0.0.1"
SHOTS = os.environ.get("VANTAIL_SCREENSHOTS", "")  # a folder, for who wants to look


@pytest.fixture
def at(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Commissioned:
    monkeypatch.setattr(onsite, "GREEN_S", 0.01)
    return Commissioned(folder)


@contextlib.asynccontextmanager
async def served(at):
    """An agent and its page; (Hall, address)."""
    async with at.running() as hall:
        api = Path(load(at.made.config).api)

        async def ask(op, **arguments):
            return await asyncio.to_thread(partial(call, api, op, DEADLINE_S, **arguments))

        page = InstallerPage(ask, {"en": str, "fr": catalogue(FRENCH).gettext}, frozenset({HOST}))
        port = await page.start(HOST, 0)
        try:
            yield hall, f"http://{HOST}:{port}/{page.word}/"
        finally:
            page.stop()


@contextlib.asynccontextmanager
async def telephone(url, locale):
    """The page on a screen of 360 by 740. Fails where its script does, or where it is wider than the screen."""
    errors = []
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        context = await browser.new_context(
            locale=locale, viewport={"width": 360, "height": 740}, device_scale_factor=2
        )
        page = await context.new_page()
        page.set_default_timeout(DEADLINE_S * 1000)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda said: errors.append(said.text) if "Content Security" in said.text else None)
        await page.goto(url)
        yield page
        assert await page.evaluate("document.documentElement.scrollWidth") <= 360
        await browser.close()
    assert errors == []


async def shot(page, name):
    if SHOTS:
        await page.screenshot(path=f"{SHOTS}/{name}.png")


async def signed_in(page):
    await page.fill("#password", PASSWORD)
    await page.click("#sign-in button")
    await expect(page.locator("#begin")).to_be_visible(timeout=DEADLINE_S * 1000)


def see(page, text):
    return expect(page.locator("main")).to_contain_text(text, timeout=DEADLINE_S * 1000)


@pytest.mark.parametrize(("locale", "words"), [
    ("en-GB", ("A hand-over is waiting.", "blinks red and green", "take it away", "obeys the new manager")),
    ("fr-FR", ("Un transfert attend.", "clignote rouge et vert", "retirez-la", "obéit au nouveau gestionnaire")),
])  # fmt: skip
def test_commissioning_from_a_telephone(at, locale, words):
    """Password, number, reader, countdown made longer, key held, done: in both languages, on a small screen."""

    async def play():
        async with served(at) as (hall, url), telephone(url, locale) as page:
            assert await hall.deposit(at.handover()) == ""
            await shot(page, f"{locale}-1-password")
            await signed_in(page)
            await see(page, words[0])
            await page.fill("#manager", str(NUMBER))
            await page.check(f"input[value={HALL}]")
            await shot(page, f"{locale}-2-begin")
            await page.click("#begin > button:not(.plain)")
            await see(page, words[1])
            await see(page, "1:30")
            await page.click("[data-steps='1']")
            await see(page, "1:40")
            assert await page.get_attribute("#light", "data-light") == "learning"
            await shot(page, f"{locale}-3-countdown")
            await hall.wait(100_000)
            await see(page, words[2])
            await shot(page, f"{locale}-4-key")
            assert not await hall.opens("badge", KEY, HALL)
            await hall.wait(2_000)
            await see(page, words[3])
            await shot(page, f"{locale}-5-done")

    asyncio.run(play())


def test_what_goes_wrong_is_said_in_plain_words(at):
    """Wrong passwords until it locks, no hand-over, a wrong key: each with its own words and a way on."""

    async def play():
        async with served(at) as (hall, url), telephone(url, "en-GB") as page:
            for number in range(5):
                await page.fill("#password", "111222")
                await page.click("#sign-in button")
                await see(page, "That is not the controller's password." if number < 4 else "Locked for 30 s")
            await page.fill("#password", PASSWORD)
            await page.click("#sign-in button")
            await see(page, "Locked for 30 s")
            await hall.wait(31_000)
            await signed_in(page)
            await page.fill("#manager", str(NUMBER))
            await page.check(f"input[value={HALL}]")
            await page.click("#begin > button:not(.plain)")
            await see(page, "No hand-over is waiting in this controller. Bring it by file")
            assert await hall.deposit(at.handover()) == ""
            await page.click("#begin > button:not(.plain)")
            await see(page, "1:30")
            await hall.wait(90_000)
            await see(page, "Hold the key there")
            assert not await hall.opens("badge", KEY + 1, HALL)
            await see(page, "That is not the commissioning key of this hand-over.")
            await shot(page, "wrong-key")
            await page.click("#again")
            await expect(page.locator("#begin")).to_be_visible()

    asyncio.run(play())


def fetched(url, headers=(), body=None):
    """(status, headers) of a request."""
    request = urllib.request.Request(url, body, dict(headers))
    try:
        with urllib.request.urlopen(request, timeout=DEADLINE_S) as answer:
            return answer.status, answer.headers
    except urllib.error.HTTPError as error:
        return error.code, error.headers


def test_strangers_get_no_page(at):
    """Without the word in its address, under another name, from another page, or as a form: nothing. No secret and no
    session is readable by a script."""

    async def play():
        async with served(at) as (_, url):
            root = url.rsplit("/", 2)[0] + "/"
            login = json.dumps({"do": "login", "password": PASSWORD}).encode()
            json_type = ("Content-Type", "application/json")
            get = partial(asyncio.to_thread, fetched)
            assert (await get(url))[0] == 200
            assert (await get(root))[0] == (await get(root + "view"))[0] == 404
            assert (await get(url, [("Host", "evil.example")]))[0] == 403
            assert (await get(url + "ask", [json_type, ("Origin", "http://evil.example")], login))[0] == 403
            assert (await get(url + "ask", [("Content-Type", "text/plain")], login))[0] == 415
            status, headers = await get(url + "ask", [json_type], login)
            assert status == 200
            assert "HttpOnly" in headers["Set-Cookie"]
            assert "SameSite=Strict" in headers["Set-Cookie"]
            wrong = json.dumps({"do": "password", "password": "805213"}).encode()
            assert (await get(url + "ask", [json_type], wrong))[0] == 400
            assert (await get(url + "files/..%2Finstaller_page.py"))[0] == 404

    asyncio.run(play())


@pytest.mark.parametrize("listen", ["0.0.0.0", "[::]:80", "here", "127.0.0.1:99999", "127.0.0.1:x"])
def test_the_page_is_on_one_address_only(listen):
    """All addresses at once, names and wrong ports are refused in one line."""
    with pytest.raises(CommandError, match="--listen"):
        console._address(listen)
    assert console._address("192.0.2.7:8080") == ("192.0.2.7", 8080)
    assert console._address("::1") == ("::1", 0)
