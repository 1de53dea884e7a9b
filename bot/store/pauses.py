"""Queries on the pause after a restore: while it lasts nothing is decided, started or told, only taken in."""

from __future__ import annotations

from datetime import datetime

import msgspec
from sqlalchemy.engine import Connection

from bot.store import bookmarks

#: The bookmarks' names.
NAME, END_NAME = "paused", "resumed"


class Pause(msgspec.Struct, frozen=True, kw_only=True):
    """Why the work stands still."""

    #: A sentence for people.
    reason: str
    #: What the database tells is as it was then.
    at: datetime


def find(connection: Connection) -> Pause | None:
    """The pause, or None where the work goes on."""
    found = bookmarks.find(connection, NAME)
    return None if found is None else msgspec.json.decode(found, type=Pause)


def save(connection: Connection, pause: Pause, *, now: datetime) -> None:
    """Let the work stand still."""
    bookmarks.save(connection, NAME, msgspec.json.encode(pause).decode(), now=now)


def end(connection: Connection, *, now: datetime) -> None:
    """Let the work go on."""
    bookmarks.delete(connection, NAME)
    bookmarks.save(connection, END_NAME, now.isoformat(), now=now)


def find_end(connection: Connection) -> datetime | None:
    """When the work went on after the last restore; None where nothing was ever restored."""
    found = bookmarks.find(connection, END_NAME)
    return None if found is None else datetime.fromisoformat(found)
