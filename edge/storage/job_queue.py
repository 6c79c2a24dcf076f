"""What waits for the storage thread: writes go first, in groups; reads go one step at a time, but not for ever last."""

import threading
from collections import deque

from edge.storage.jobs import Job, Reading, Writing

GROUP_JOBS = 256  # a commit that grows without end would keep its first door waiting
GROUPS_BEFORE_READ = 8  # reads wait for writes, but not for ever

Turn = tuple[list[Writing], Reading | None]


class JobQueue:
    """Many put, one thread takes. most: of each kind that may wait. refused: jobs turned away because that many did."""

    def __init__(self, most: int) -> None:
        self.refused = 0
        self.is_closing = False
        self._most = most
        self._writes: deque[Writing] = deque()
        self._reads: deque[Reading] = deque()
        self._groups_in_row = 0
        self._lock = threading.Lock()
        # A bare lock as the bell: a Condition takes and gives back three, in Python, each time that a record comes.
        self._bell = threading.Lock()
        self._bell.acquire()
        self._is_asleep = False

    def __len__(self) -> int:
        return len(self._writes) + len(self._reads)

    def put(self, job: Job) -> str:
        """Queue a job; "" or why it was refused."""
        with self._lock:
            if self.is_closing:
                return "it is closed; start the agent again"
            waiting: deque[Writing] | deque[Reading] = self._writes if isinstance(job, Writing) else self._reads
            if len(waiting) >= self._most:
                self.refused += 1
                return f"{len(waiting)} jobs wait and the disk does not keep up; this one was refused; check the disk"
            waiting.append(job)  # type: ignore[arg-type]
            self._ring()
        return ""

    def put_back(self, reading: Reading) -> None:
        """A read that has more steps waits again, behind the others."""
        with self._lock:
            self._reads.append(reading)

    def close(self) -> None:
        """Nothing more is queued; `take` gives what is there, then None."""
        with self._lock:
            self.is_closing = True
            self._ring()

    def take_all(self) -> list[Job]:
        """What is left, and nothing more comes."""
        with self._lock:
            self.is_closing = True
            left: list[Job] = [*self._writes, *self._reads]
            self._writes.clear()
            self._reads.clear()
        return left

    def take_begun(self) -> list[Reading]:
        """Reads that are in the middle of their steps."""
        with self._lock:
            begun = [reading for reading in self._reads if reading.has_begun]
            self._reads = deque(reading for reading in self._reads if not reading.has_begun)
        return begun

    def take(self) -> Turn | None:
        """The next group of writes, or the next read; None when all is done and the queue is closing."""
        while True:
            with self._lock:
                if self._writes and (self._groups_in_row < GROUPS_BEFORE_READ or not self._reads):
                    self._groups_in_row += 1
                    return self._group(), None
                if self._reads:
                    self._groups_in_row = 0
                    return [], self._reads.popleft()
                if self.is_closing:
                    return None
                self._is_asleep = True
            self._bell.acquire()

    def take_within(self, pause_s: float) -> Turn:
        """What waits, a group and a read at most; nothing where nothing comes within `pause_s`."""
        with self._lock:
            self._is_asleep = not len(self) and not self.is_closing
            sleeps = self._is_asleep
        if sleeps and not self._bell.acquire(timeout=pause_s):
            with self._lock:
                was_rung, self._is_asleep = not self._is_asleep, False
            if was_rung:
                self._bell.acquire()
        with self._lock:
            return self._group(), self._reads.popleft() if self._reads else None

    def _group(self) -> list[Writing]:
        return [self._writes.popleft() for _ in range(min(len(self._writes), GROUP_JOBS))]

    def _ring(self) -> None:
        if self._is_asleep:
            self._is_asleep = False
            self._bell.release()
