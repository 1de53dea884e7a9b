"""The durable inbox: takes proved deliveries, commits many at once, and answers only when they are on disk."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Sequence

import msgspec

from bot import errors, failpoint, telemetry
from bot.model import delivery
from bot.store import Store, deliveries

#: How many unhandled deliveries, and bytes of them, are held before the door answers 503.
MAX_ROWS = 100_000
MAX_BYTES = 2 * 1024**3
#: From this size a body is worked on off the event loop, which others need meanwhile.
LARGE_BODY_BYTES = 512 * 1024
#: How many deliveries share one commit at most.
MAX_BATCH = 256
#: How long deliveries gather while many come: a commit costs as much for one as for all of them. One that comes alone
#: waits for nobody.
GATHER_SECONDS = 0.001
#: So many in the last commit are many.
_MANY = 4
_log = telemetry.log("webhooks")


class _Waiting(msgspec.Struct):
    packed: deliveries.Packed
    answer: asyncio.Future[deliveries.Put]
    #: By the event loop's time.
    answer_by: float


class Inbox:
    """Group commit: while one commit is under way the next deliveries gather, so durability costs little."""

    def __init__(
        self,
        store: Store,
        *,
        metrics: telemetry.Metrics,
        on_stored: Callable[[Sequence[delivery.VerifiedDelivery]], None],
        max_rows: int = MAX_ROWS,
        max_bytes: int = MAX_BYTES,
    ) -> None:
        self._store = store
        self._metrics = metrics
        self._on_stored = on_stored
        self._max_rows = max_rows
        self._max_bytes = max_bytes
        self._waiting: list[_Waiting] = []
        self._in_commit: list[_Waiting] = []
        #: One timer for all that wait: set for one of them, and set anew while there are others.
        self._timer: asyncio.TimerHandle | None = None
        self._waiting_bytes = 0
        self._has_waiting = asyncio.Event()
        self._is_closed = False
        #: How many shared the last commit.
        self._last_batch = 0
        self._backlog = deliveries.Backlog(rows=0, size_bytes=0, oldest_received_at=None)

    async def open(self) -> None:
        """Learn what is there from before."""
        await self.measure()

    async def measure(self) -> deliveries.Backlog:
        """Look how much is held; other processes and the dispatcher change it too."""
        self._backlog = await self._store.read(deliveries.backlog)
        self._metrics.inbox_depth.set(self._backlog.rows)
        self._metrics.inbox_bytes.set(self._backlog.size_bytes)
        return self._backlog

    def why_full(self) -> str | None:
        """Why nothing more is taken right now, or None."""
        if self._backlog.rows >= self._max_rows:
            return f"{self._backlog.rows} deliveries wait to be handled"
        if self._backlog.size_bytes > self._max_bytes:
            return f"{self._backlog.size_bytes} bytes of deliveries wait to be handled"
        return None

    async def put(self, new: delivery.VerifiedDelivery, *, answer_by: float = math.inf) -> deliveries.Put:
        """Store a delivery durably: when this returns it survives a power cut.

        A caller that is cancelled (the client went away) takes nothing back: the delivery is committed or not, whole.

        :param answer_by: when its caller goes without an answer, by the event loop's time; later ones never earlier.
        :raises errors.InboxFull: if too many deliveries wait to be handled.
        :raises errors.StoreUnavailable: if the database cannot be written, or the service is stopping.
        :raises TimeoutError: if it is not known by then whether it is stored.
        """
        self._expect_room(len(new.body))
        if len(new.body) < LARGE_BODY_BYTES:
            packed = deliveries.pack(new)
        else:
            packed = await asyncio.to_thread(deliveries.pack, new)
            self._expect_room(len(new.body))
        loop = asyncio.get_running_loop()
        waiting = _Waiting(packed, loop.create_future(), answer_by)
        self._waiting.append(waiting)
        self._waiting_bytes += len(new.body)
        self._has_waiting.set()
        if self._timer is None and answer_by < math.inf:
            self._timer = loop.call_at(answer_by, self._give_up)
        return await waiting.answer

    def _expect_room(self, size_bytes: int) -> None:
        if self._is_closed:
            raise errors.StoreUnavailable("The service is stopping.")
        rows = self._backlog.rows + len(self._waiting)
        if rows >= self._max_rows or self._backlog.size_bytes + self._waiting_bytes + size_bytes > self._max_bytes:
            raise errors.InboxFull

    def _give_up(self) -> None:
        """Leave those without an answer whose time is over; what is written of them stays written."""
        self._timer = None
        loop = asyncio.get_running_loop()
        unanswered = [one for one in (*self._in_commit, *self._waiting) if not one.answer.done()]
        for one in unanswered:
            if one.answer_by <= loop.time():
                one.answer.set_exception(TimeoutError())
        left = min((one.answer_by for one in unanswered if not one.answer.done()), default=math.inf)
        if left < math.inf:
            self._timer = loop.call_at(left, self._give_up)

    async def run(self) -> None:
        """Commit what waits, for ever; on cancellation what waits is committed first, and nothing more is taken."""
        under_way: asyncio.Task[None] | None = None
        try:
            while True:
                await self._has_waiting.wait()
                if self._last_batch >= _MANY:
                    await asyncio.sleep(GATHER_SECONDS)
                # Not cancelled half-way: its callers wait for the answer, and the database would go on without us.
                under_way = asyncio.create_task(self.commit())
                await asyncio.shield(under_way)
        finally:
            self._is_closed = True
            if under_way is not None:
                await under_way
            while self._waiting:
                await self.commit()

    async def commit(self) -> None:
        """Commit what waits now, as one transaction."""
        batch, self._waiting = self._waiting[:MAX_BATCH], self._waiting[MAX_BATCH:]
        if not self._waiting:
            self._has_waiting.clear()
        self._waiting_bytes = sum(len(one.packed.delivery.body) for one in self._waiting)
        self._last_batch = len(batch)
        self._in_commit = batch
        try:
            answers = await self._store.write(deliveries.insert_packed, [one.packed for one in batch])
            await failpoint.pause("inbox.after_commit")
        except Exception as error:
            self._refuse(batch, error)
            return
        finally:
            self._in_commit = []
        for one, answer in zip(batch, answers, strict=True):
            if not one.answer.done():
                one.answer.set_result(answer)
        stored = self._count(batch, answers)
        self._on_stored(stored)

    def _count(self, batch: list[_Waiting], answers: list[deliveries.Put]) -> list[delivery.VerifiedDelivery]:
        pairs = [(one.packed.delivery, answer) for one, answer in zip(batch, answers, strict=True)]
        stored = [one for one, answer in pairs if answer == deliveries.Put.STORED]
        self._backlog = deliveries.Backlog(
            rows=self._backlog.rows + len(stored),
            size_bytes=self._backlog.size_bytes + sum(len(one.body) for one in stored),
            oldest_received_at=self._backlog.oldest_received_at,
        )
        for one, answer in pairs:
            if answer == deliveries.Put.CONFLICT:
                self._metrics.conflicts.inc()
                _log.warning(
                    "A known delivery id came with another body; the first one is kept.",
                    action="delivery_conflict",
                    delivery_id=one.guid,
                )
        return stored

    def _refuse(self, batch: list[_Waiting], error: Exception) -> None:
        # Answered before it is logged: on a full disk the log may fail too.
        for one in batch:
            if not one.answer.done():
                one.answer.set_exception(errors.StoreUnavailable(str(error)))
        is_expected = isinstance(error, errors.StoreUnavailable)
        facts = {"error": str(error)} if is_expected else {"exc_info": error}
        _log.error("Deliveries could not be stored.", action="store_deliveries", count=len(batch), **facts)
