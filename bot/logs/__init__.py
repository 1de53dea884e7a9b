"""Log and artifact bytes, on the disk and in an object store, read from any offset; this room knows no database."""

from bot.logs.artifacts import ArtifactStore, OpenedArtifact
from bot.logs.local import LogStore, OpenedLog
from bot.logs.storage import Storage
from bot.logs.watching import Watcher

__all__ = ["ArtifactStore", "LogStore", "OpenedArtifact", "OpenedLog", "Storage", "Watcher"]
