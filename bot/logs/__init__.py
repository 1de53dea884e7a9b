"""Log bytes: appended once, read from any offset, kept on disk; this room knows no database."""

from bot.logs.local import LogStore, OpenedLog, Watcher

__all__ = ["LogStore", "OpenedLog", "Watcher"]
