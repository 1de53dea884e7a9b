"""A handler run: what one of the users' own handlers did with one delivery."""

from __future__ import annotations

from datetime import datetime

import msgspec

from bot.model import delivery


class HandlerRun(msgspec.Struct, frozen=True, kw_only=True):
    """One handler's turn with one delivery; it is there from when our own handlers are done with that."""

    #: Order in this database, from 1.
    seq: int
    delivery_seq: int
    #: As the handler is called in `BUILDHOOK_HANDLERS`' files: `handlers:greet`.
    handler: str
    #: As of a delivery: `handled` where it returned.
    state: delivery.State
    #: The last failure, or why it is ignored: a sentence for people.
    error: str | None = None
    #: When the delivery was handed on to it.
    received_at: datetime
    finished_at: datetime | None = None
    #: How often it was begun.
    attempts: int = 0
    next_attempt_at: datetime | None = None
    #: Fences writes: only the holder of the current epoch may end it.
    epoch: int = 0
