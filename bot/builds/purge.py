"""The purge: everything of an installation goes some days after it was deleted, unless its account takes the App back.

The days count from when a sweep first saw the installation deleted: its event does not tell when that was.
https://docs.github.com/en/apps/creating-github-apps/about-creating-github-apps/best-practices-for-creating-a-github-app
"""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy.engine import Connection

from bot.store import bookmarks, builds, installations, repositories

#: How long everything is kept, should the App be installed again.
PURGE_AFTER = timedelta(days=7)
#: The bookmarks that say since when an installation is known to be deleted.
PREFIX = "deleted-installation:"


def list_due(connection: Connection, *, now: datetime) -> list[int]:
    """The installations whose time has come; of those that are newly deleted it is noted, of others forgotten."""
    deleted = {f"{PREFIX}{one.id}": one.id for one in installations.list_deleted(connection)}
    noted = bookmarks.list_names(connection, prefix=PREFIX)
    for name in noted.keys() - deleted.keys():
        bookmarks.delete(connection, name)
    for name in deleted.keys() - noted.keys():
        bookmarks.save(connection, name, now.isoformat(), now=now)
    return sorted(deleted[name] for name in noted.keys() & deleted.keys() if noted[name] <= now - PURGE_AFTER)


def finish(connection: Connection, installation_id: int) -> bool:
    """Forget the installation itself; False while there are builds of it that have not ended."""
    if builds.list_unfinished(connection, installation_id=installation_id):
        return False
    installations.delete(connection, installation_id)
    repositories.forget_unbuilt(connection)
    bookmarks.delete(connection, f"{PREFIX}{installation_id}")
    return True
