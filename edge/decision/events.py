"""How what happens at a door becomes a line of the log. Portable."""

from edge.decision import model

DETAIL = 80  # characters


def passage(decision, moment, detail):
    """Record the answer to a presented credential (authorize.Decision)."""
    result = model.OPEN if decision.granted else model.DENIED
    return _record(
        moment, decision.door, decision.reader, model.MEDIUM_WORDS[decision.medium], decision.number,
        result, decision.reason, decision.output, detail,
    )  # fmt: skip


def opening(moment, door, medium, reason, output, detail, reader=""):
    """Record an opening that no credential asked for: "exit", "call", "command"."""
    return _record(moment, door, reader, medium, None, model.OPEN, reason, output, detail)


def denial(moment, door, medium, reason, detail, reader=""):
    """Record a refusal without a credential: a call that did not open, a log that failed."""
    return _record(moment, door, reader, medium, None, model.DENIED, reason, "", detail)


def alarm(moment, kind, door="", reader="", detail="", decision=None):
    """Record an alarm; with a decision, who set it off."""
    medium = model.MEDIUM_WORDS[decision.medium] if decision is not None else ""
    number = decision.number if decision is not None else None
    return _record(moment, door, reader, medium, number, model.ALARM, kind, "", detail)


def info(moment, what, door="", reader="", detail=""):
    """Record something that is neither a passage nor an alarm."""
    return _record(moment, door, reader, "", None, model.INFO, what, "", detail)


def _record(moment, door, reader, medium, number, result, reason, output, detail):
    return model.Record(
        model.Event(
            moment.utc_ms, moment.trusted, door, reader, medium, number, result, reason, output, detail[:DETAIL]
        )
    )
