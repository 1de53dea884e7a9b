"""The whole logs that lie in an object store: read in ranges, a piece at a time, without a copy on this disk."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Iterator
from datetime import datetime

from bot import errors
from bot.logs import packed, reading
from bot.logs.objects import Objects

_FOLDER = "logs"
_ENDING = ".packed"
#: So many indexes are kept, each with the piece that was read last.
_KEPT = 32
#: For so long a log that was not there is not asked for again: pages look often at one that runs elsewhere.
_MISSING_SECONDS = 3.0


class Elsewhere:
    """The logs in a store. It blocks: called on the store's threads only."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects
        self._known: OrderedDict[str, packed.Packed] = OrderedDict()
        self._missing: dict[str, float] = {}
        self._lock = threading.Lock()

    @staticmethod
    def name(job_id: str) -> str:
        """What a log is called there."""
        return f"{_FOLDER}/{job_id[-2:]}/{job_id}{_ENDING}"

    def opened(self, job_id: str) -> reading.Packed | None:
        """The log; None where there is none.

        :raises errors.LogUnreadable: if it is damaged as a whole.
        :raises errors.StoreUnavailable: if the store cannot be used.
        """
        now = time.monotonic()
        with self._lock:
            if (known := self._known.get(job_id)) is not None:
                self._known.move_to_end(job_id)
                return reading.Packed(known)
            if self._missing.get(job_id, now) > now:
                return None
        found = self._objects.find(self.name(job_id))
        log = None if found is None else packed.Packed(found, name=job_id)
        with self._lock:
            if log is None:
                self._missing = {one: until for one, until in self._missing.items() if until > now}
                self._missing[job_id] = now + _MISSING_SECONDS
                return None
            self._known[job_id] = log
            while len(self._known) > _KEPT:
                self._known.popitem(last=False)
        return reading.Packed(log)

    def forget(self, job_id: str) -> None:
        """It came there, or is gone."""
        with self._lock:
            self._known.pop(job_id, None)
            self._missing.pop(job_id, None)

    def exists(self, job_id: str) -> bool:
        """Whether it is there."""
        try:
            return self.opened(job_id) is not None
        except errors.LogUnreadable:
            return True

    def list_ids(self, *, before: datetime) -> Iterator[list[str]]:
        """The jobs whose logs were brought there before an instant, some at a time."""
        for names in self._objects.list_names(_FOLDER, before=before):
            yield [name.rpartition("/")[2].removesuffix(_ENDING) for name in names if name.endswith(_ENDING)]
