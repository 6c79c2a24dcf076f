"""Why a door stands open: its week type, the first card of an interval, or a hold. Portable."""

from edge.decision import rows

FAR_S = 1 << 40


class Standing:
    """The standing orders of one door."""

    def __init__(self, first_card_until_s):
        """`first_card_until_s`: until when (utc) a first card that was shown before the start counts; 0 for none."""
        self._hold_until_ms = None
        self._first_card_until_s = first_card_until_s
        self._known = (0, 0, False)  # [from, to) in utc seconds for which the week type's answer holds

    def replace_policy(self):
        """Week types may have changed: forget what was worked out."""
        self._known = (0, 0, False)

    def wanted(self, index, row, locked_down, moment):
        """Whether the door shall stand open now. A lockdown beats everything; a week type needs a trusted clock."""
        if self._hold_until_ms is not None and moment.mono_ms >= self._hold_until_ms:
            self._hold_until_ms = None
        if locked_down:
            self._hold_until_ms = None
            return False
        return self._hold_until_ms is not None or self._scheduled(index, row, moment)

    def hold(self, until_mono_ms):
        """Stand open until then; None ends a hold."""
        self._hold_until_ms = until_mono_ms

    def is_held(self):
        """Whether a hold is in force."""
        return self._hold_until_ms is not None

    def first_card_shown(self, index, row, moment):
        """A badge or code was granted: where the door waits for that, it stands open until the running interval's
        end. Returns that end, utc seconds, or 0 where nothing changed."""
        if not row.first_card or not moment.trusted:
            return 0
        utc_s = moment.utc_ms // 1000
        if utc_s < self._first_card_until_s or not self._is_open(index, row.auto_open, utc_s):
            return 0
        self._first_card_until_s = self._known[1]
        return self._first_card_until_s

    def next_due(self, moment):
        """When `wanted` may next change by itself: monotonic ms, or None."""
        times = [] if self._hold_until_ms is None else [self._hold_until_ms]
        utc_s = moment.utc_ms // 1000
        if moment.trusted and self._known[0] <= utc_s < self._known[1] < FAR_S:
            times.append(moment.mono_ms + self._known[1] * 1000 - moment.utc_ms)
        return min(times) if times else None

    def _scheduled(self, index, row, moment):
        if index is None or row.auto_open == rows.NEVER:
            return False
        if not moment.trusted:
            return row.auto_open == rows.ALWAYS and not row.first_card
        utc_s = moment.utc_ms // 1000
        if not self._is_open(index, row.auto_open, utc_s):
            return False
        return not row.first_card or utc_s < self._first_card_until_s

    def _is_open(self, index, schedule, utc_s):
        from_s, to_s, is_open = self._known
        if not from_s <= utc_s < to_s:
            is_open = index.is_open(schedule, utc_s)
            self._known = (utc_s, index.next_change(schedule, utc_s) or FAR_S, is_open)
        return is_open
