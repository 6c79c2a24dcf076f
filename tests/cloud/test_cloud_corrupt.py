"""What a flipped bit leaves in a controller's log is stored and acknowledged, as doubtful if it is: nothing waits."""

import sqlite3

import pytest
from cloud_device import AT_MS, event, ingest
from cloud_example import NOW

from cloud_stub.passages import tally
from cloud_stub.passages.models import ChainAlarm, Event
from edge.storage.chaining import LogKeys
from edge.storage.event_log import EventLog
from edge.uplink import mending, signing

LIMIT = 4  # events a batch; event 5 is in the second
LAST = 12

DAMAGE = {
    "result": "UPDATE event SET result = 'opdn' WHERE seq = 5",
    "at_ms": "UPDATE event SET at_ms = -9000000000000000000 WHERE seq = 5",
    "policy_revision": "UPDATE event SET policy_revision = -1 WHERE seq = 5",
    "credential": "UPDATE event SET credential = '11p1100007' WHERE seq = 5",
    "text": "UPDATE event SET door = 'hall' || char(0) || 'a' WHERE seq = 5",
    "salt": "UPDATE event SET salt = x'00' WHERE seq = 5",
    "commitment": "UPDATE event SET commitment = zeroblob(16) WHERE seq = 5",
    "secret": "UPDATE secret SET secret = x'00'",
    "start": "UPDATE start SET head = x'00'",
    "note": "UPDATE note SET kind = 9",
}
# The day's secret serves for a salt or commitment that was left out; without its begin no chain can be checked.
UNSEEN = {"salt", "commitment", "note"}


def _keys(device):
    seal = device.manager.seal_key
    return LogKeys(b"k" * 32, lambda *what: signing.seal_log_key(seal, *what), signing.seal_name(seal))


def _damaged_log(device, path, sql):
    """A log of LAST events, sealed to the manager, to whose file `sql` was done while it was closed."""
    log = EventLog.open(path, boot_id="b", keys=_keys(device))
    log.record([event(at_ms=AT_MS + n) for n in range(LAST)], 1).result()
    log.close()
    connection = sqlite3.connect(path)
    assert connection.execute(sql).rowcount
    connection.commit()
    connection.close()
    return EventLog.open(path, boot_id="b", keys=_keys(device))


def _send_all(device, log):
    """As the outbox does: on from what is acknowledged; a batch without an answer would be sent again for ever."""
    service = ingest()
    while log.acked < LAST:
        stretch = log.stretch(log.acked + 1, LIMIT).result()
        raw, _ = signing.encode_events(log.log_id, stretch, device.down, device.key)
        answers = [raw for topic, raw in service.handle(device.topic + "up/events", raw, NOW) if "ack" in topic]
        if not answers:
            return
        ack = signing.verify_ack(answers[0], device.down)
        assert log.acknowledge(ack.up_to, ack.head).result() == stretch.events[-1][0]


@pytest.mark.parametrize("name", DAMAGE)
def test_a_damaged_log_is_acknowledged_to_the_end(device, tmp_path, name):
    """Each event is stored, nothing is refused, what is healthy comes as it was; what is not is an alarm."""
    log = _damaged_log(device, tmp_path / "events.db", DAMAGE[name])
    try:
        _send_all(device, log)
        assert log.acked == LAST
    finally:
        log.close()
    assert Event.objects.count() == LAST
    assert not [kind for kind in tally.all_counts() if kind.startswith("refused")]
    assert ChainAlarm.objects.exists() == (name not in UNSEEN)
    assert Event.objects.get(seq=5).is_doubtful == (name not in {*UNSEEN, "start"})
    for stored in Event.objects.exclude(seq=5):
        assert (stored.at_ms, stored.credential) == (AT_MS + stored.seq - 1, "1111100007")
        assert (stored.door, stored.result, stored.revision) == ("hall-a", "open", 1)


def test_a_healthy_log_is_proven_to_the_end(device, tmp_path):
    """Negative control: without damage no event is doubtful and there is no alarm."""
    log = _damaged_log(device, tmp_path / "events.db", "UPDATE event SET result = 'open' WHERE seq = 5")
    _send_all(device, log)
    log.close()
    assert Event.objects.filter(is_doubtful=False).count() == LAST
    assert not ChainAlarm.objects.exists()


def test_without_mending_it_would_be_sent_for_ever(device, tmp_path, monkeypatch):
    """Negative control: the batch with the damage is refused, and with it all that follow."""
    monkeypatch.setattr(mending, "mend", lambda same: same)
    log = _damaged_log(device, tmp_path / "events.db", DAMAGE["result"])
    _send_all(device, log)
    assert log.acked == LIMIT
    log.close()
    assert tally.all_counts()["refused-malformed"]
