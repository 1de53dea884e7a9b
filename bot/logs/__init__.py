"""Log and artifact bytes: logs appended once and read from any offset, kept on disk; this room knows no database."""

from bot.logs.artifacts import ArtifactStore
from bot.logs.local import LogStore, OpenedLog, Watcher

__all__ = ["ArtifactStore", "LogStore", "OpenedLog", "Watcher"]
