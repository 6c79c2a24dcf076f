"""Anti-passback: who is in which area. requirements.md D7.

Portable. An unknown place passes, exits are never asked, and a person moves when the leaf opens (at the grant
where there is no door position switch); the controller says when.
"""

import struct

from edge.decision import rows

_KEPT = ">BQqH"


class Passback:
    """{(medium, number): (area, entered mono_ms, entered utc_ms)}."""

    def __init__(self):
        self._places = {}

    def check(self, area, medium, number, moment):
        """May this person enter `area` (rows.Area)? None: yes; rows.SOFT: yes, and mark it; rows.HARD: no."""
        place = self._places.get((medium, number))
        if place is None or place[0] != area.id:
            return None
        if area.mode == rows.TIMED:
            return rows.HARD if moment.mono_ms - place[1] < area.timed_min * 60000 else None
        return area.mode

    def move(self, area_id, medium, number, moment):
        """The person is now in `area_id`; "" is a place that is not known."""
        if area_id:
            self._places[(medium, number)] = (area_id, moment.mono_ms, moment.utc_ms)
        else:
            self._places.pop((medium, number), None)

    def forgive(self):
        """Everybody's place is unknown from now on."""
        self._places = {}

    def occupancy(self, area_id):
        """How many are in an area."""
        return len([1 for place in self._places.values() if place[0] == area_id])

    def keep(self):
        """What to keep across a restart: bytes."""
        out = []
        for medium, number in sorted(self._places):
            area, _, utc_ms = self._places[(medium, number)]
            name = area.encode()
            out.append(struct.pack(_KEPT, medium, number, utc_ms, len(name)) + name)
        return b"".join(out)

    def restore(self, kept, moment):
        """Take up what was kept. A timed place counts its time off by the wall clock where that is trusted and
        moved forward, else its time starts again."""
        at, size = 0, struct.calcsize(_KEPT)
        while at + size <= len(kept):
            medium, number, utc_ms, length = struct.unpack_from(_KEPT, kept, at)
            area = kept[at + size : at + size + length].decode()
            at += size + length
            age_ms = max(0, moment.utc_ms - utc_ms) if moment.trusted else 0
            self._places[(medium, number)] = (area, moment.mono_ms - age_ms, utc_ms)
