"""The events page and what programs read: the words of the mission, filters, search, French, live."""

import json
import re

import pytest
from cloud_device import AT_MS, event, ingest
from cloud_example import EVENT_KEYS, NOW
from django.test import Client

from cloud_stub import translations
from cloud_stub.passages import words
from edge.decision import reasons
from edge.residence.compile import code_number

DAY = 86_400_000


@pytest.fixture
def told(device):
    """Nine events of every kind, and the device that told them."""
    tag = code_number(device.manager.code_key, "12345")
    events = [
        event(at_ms=AT_MS - DAY),
        event(1111100008, "denied", "expired"),
        event(9999999999, "denied", "unknown"),
        event(tag, medium="code", output="aux1"),
        event(None, medium="call", reader="hall-a-gsm", detail="A3 Jolly number 3"),
        event(None, "denied", "not-completed", medium="call", reader="hall-a-gsm", detail="A1 Solomon"),
        event(None, medium="exit", reader="", output="exit"),
        event(None, "alarm", "forced", medium="", reader=""),
        event(1111100009, medium="badge", trusted=False, detail="<script>alert(1)</script>"),
    ]
    ingest().handle(device.topic + "up/events", device.batch(1, events), NOW)
    return device


def _get(address="/", language="en", **headers):
    return Client(SERVER_NAME="127.0.0.1").get(address, headers={"accept-language": language, **headers})


def _rows(address="/", language="en"):
    """The list's cells as text, a row a list, newest first."""
    html = _get(address, language).content.decode()
    rows = re.findall(r'<tr class="[^"]*">(.*?)</tr>', html, re.S)
    return [
        [" ".join(re.sub(r"<[^>]+>", " ", cell).split()) for cell in re.findall(r"<td[^>]*>(.*?)</td>", row, re.S)]
        for row in rows
    ]


def test_the_page_lists_events_in_the_words_of_the_field(told):
    """Date and time in the site's zone, device, kind, result, description, detail; newest first."""
    rows = _rows()
    assert len(rows) == 9
    assert rows[-1] == [
        "Tue 24 Nov. 2026 08:00:00", "Hall A hall-a-in", "Access by fob", "Opening", "", "a/001 Solomon · 1111100007",
    ]  # fmt: skip
    found = {(kind, result, why) for _, _, kind, result, why, _ in rows}
    assert found >= {
        ("Access by fob", "Opening DENIED", "APass: unknown"),
        ("Access by code", "Opening", ""),
        ("Call to resident", "Opening", ""),
        ("Call to resident", "Communication not completed", "Nobody answered"),
        ("Exit button", "Opening", ""),
        ("Controller", "Alarm", "Door forced"),
    }


def test_what_devices_say_is_escaped(told):
    """A text from a device is text on the page."""
    html = _get().content.decode()
    assert "<script>alert" not in html
    assert "&lt;script&gt;alert(1)" in html


def test_a_codes_digits_and_tag_are_not_on_the_page(told):
    """The holder and the output say enough."""
    html = _get().content.decode()
    assert "12345" not in html.replace("0033612345670", "")
    assert f"{code_number(told.manager.code_key, '12345'):016x}" not in html
    assert "aux1" in html


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ("from=2026-11-25", 8), ("to=2026-11-24", 1), ("from=2026-11-24&to=2026-11-25", 9), ("door=hall-a/hall-a", 9),
        ("door=parking/parking", 0), ("device=gsm", 2), ("device=osdp", 5), ("device=controller", 2),
        ("device=radio", 0),
        ("kind=badge", 4), ("kind=call", 2), ("kind=controller", 1), ("kind=remote", 0), ("result=open", 5),
        ("result=denied", 2), ("result=incomplete", 1), ("result=alarm", 1), ("result=open&kind=call", 1),
        ("q=solomon", 4), ("q=SOLOMON", 4), ("q=1111100008", 1), ("q=expired", 1), ("q=jolly", 1), ("q=nobody", 1),
        ("q=no+such", 0), ("q=%25", 0), ("site=elsewhere", 0), ("site=clos-des-dunes", 9),
    ],
)  # fmt: skip
def test_filters_and_search_narrow_the_list(told, query, count):
    """Each filter alone, two together, and the search over names, numbers and descriptions."""
    assert len(_rows("/?" + query)) == count


def test_search_ignores_accents_and_the_form_of_a_number(device):
    """Élise is found as elise, a telephone in national and international writing."""
    events = [event(4640800090), event(33612345670, medium="phone")]
    ingest().handle(device.topic + "up/events", device.batch(1, events), NOW)
    assert len(_rows("/?q=elise")) == 1
    for form in ("33612345670", "0033612345670", "%2B33 6 12 34 56 70", "33612"):
        assert len(_rows("/?q=" + form)) == 1


def test_the_page_speaks_french(told):
    """By the browser's language; the search then looks in French descriptions."""
    html = _get(language="fr").content.decode()
    assert '<html lang="fr">' in html
    for text in ("Événements", "Ouverture REFUSÉE", "Communication non aboutie", "Accès par badge", "25 nov. 2026"):
        assert text in html
    assert "Nobody answered" not in html
    assert len(_rows("/?q=périmé", "fr")) == 0
    assert len(_rows("/?q=personne", "fr")) == 1


def test_every_word_of_the_page_is_translated(data):
    """No text that a template or a table marks is missing from the French file."""
    from django.apps import apps

    known = translations.parse((translations.SOURCE / "fr/LC_MESSAGES/django.po").read_text("utf-8"))
    texts = {key.split("\0")[0] for key in known}
    templates = apps.get_app_config("passages").path + "/templates/passages/"
    marked = set()
    for name in ("events.html", "list.html"):
        with open(templates + name, encoding="utf-8") as file:
            marked |= set(re.findall(r"""{% translate ['"](.+?)['"] %}""", file.read()))
    for table in (words.KINDS, words.RESULTS, words.SUBJECTS, words.DENIALS, words.ALARMS, words.INFOS):
        marked |= {getattr(text, "_args", (text,))[0] for text in table.values()}
    assert len(marked) > 60
    assert marked - texts == set()


def test_every_reason_and_alarm_has_words():
    """A new reason in the core is a failing test here, not a bare word on a page."""
    assert set(words.DENIALS) == set(reasons.DENIALS)
    assert set(words.ALARMS) == set(reasons.ALARMS)


def test_the_language_can_be_chosen_and_only_with_the_forms_token(told):
    """The choice is kept in a cookie; a post from elsewhere is refused."""
    client = Client(SERVER_NAME="127.0.0.1", enforce_csrf_checks=True)
    token = re.search(r'csrfmiddlewaretoken" value="(\w+)"', client.get("/").content.decode())[1]
    assert client.post("/language", {"language": "fr"}).status_code == 403
    answer = client.post("/language", {"language": "fr", "csrfmiddlewaretoken": token, "next": "/?q=solomon"})
    assert answer.headers["Location"] == "/?q=solomon"
    assert '<html lang="fr">' in client.get("/").content.decode()


def test_the_list_polls_and_nothing_new_is_204(told):
    """The first page asks with what it has seen; after an event it gets the list, without the page around it."""
    html = _get("/?q=solomon&page=1").content.decode()
    address = re.search(r'id="list" hx-get="([^"]+)"', html)[1].replace("&amp;", "&")
    assert "q=solomon" in address
    assert _get(address, **{"HX-Request": "true"}).status_code == 204
    ingest().handle(told.topic + "up/events", told.batch(10, [event()]), NOW)
    answer = _get(address, **{"HX-Request": "true"})
    assert answer.status_code == 200
    assert "<html" not in answer.content.decode()
    assert len(_rows("/?q=solomon")) == 5


def test_pages_of_fifty_keep_the_filter(device):
    """Older and newer; only the first page is live."""
    events = [event(at_ms=AT_MS + n) for n in range(120)]
    ingest().handle(device.topic + "up/events", device.batch(1, events), NOW)
    assert [len(_rows(f"/?kind=badge&page={n}")) for n in (1, 2, 3)] == [50, 50, 20]
    second = _get("/?kind=badge&page=2").content.decode()
    assert "kind=badge&amp;page=3" in second
    assert 'id="list" hx-get' not in second


@pytest.mark.parametrize("query", ["from=yesterday", "to=9999-12-31", "page=x", "result=none", "q=" + "x" * 500])
def test_nonsense_in_the_address_is_no_error(told, query):
    """What cannot be read is left out and said, or matches nothing."""
    assert _get("/?" + query).status_code == 200


def test_a_wild_clock_does_not_break_the_page(device):
    """Moments beyond any calendar are shown as the nearest one that exists."""
    wild = [event(at_ms=2**59), event(at_ms=-(2**59))]
    ingest().handle(device.topic + "up/events", device.batch(1, wild), NOW)
    assert len(_rows()) == 2
    assert _get("/api/events.ndjson").status_code == 200


def test_the_summary_counts_per_log(told):
    """Stored, distinct and acknowledged, and what was refused."""
    ingest().handle(told.topic + "up/events", b"noise", NOW)
    summary = json.loads(_get("/api/summary").content)
    hall = next(each for each in summary["controllers"] if each["controller"] == "hall-a")
    assert [(log["stored"], log["distinct"], log["acknowledged"]) for log in hall["logs"]] == [(9, 9, 9)]
    assert summary["counts"] == {"refused-frame": 1}


def test_events_come_line_by_line_after_an_id(told):
    """Each line has its id and exactly the keys of the command line."""
    lines = [json.loads(line) for line in _get("/api/events.ndjson").content.splitlines()]
    assert len(lines) == 9
    assert list(lines[0]) == ["id", *EVENT_KEYS]
    after = lines[6]["id"]
    assert len(_get(f"/api/events.ndjson?after={after}").content.splitlines()) == 2
    assert _get("/api/events.ndjson?after=x").status_code == 400


def test_answers_forbid_what_pages_do_not_need(told):
    """No inline script, no framing, no other host name, no debug page, nothing changed by a GET's sibling."""
    answer = _get()
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    assert answer.headers["X-Frame-Options"] == "DENY"
    assert answer.headers["Cache-Control"] == "no-store"
    html = answer.content.decode()
    assert not re.search(r"<script(?! src=)|\sstyle=|\son\w+=", html)
    client = Client()
    assert client.get("/", SERVER_NAME="evil.example").status_code == 400
    assert client.post("/", SERVER_NAME="127.0.0.1").status_code == 405
    assert b"Traceback" not in client.get("/nowhere", SERVER_NAME="127.0.0.1").content


def test_health_is_plain(data):
    """ok while the database answers."""
    assert _get("/healthz").content == b"ok\n"
