"""A log that is read, in whichever form it lies: plain while it grows, packed when it is whole. All of this blocks."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from bot.logs import lines, packed

#: How far back `tail` looks for lines.
TAIL_BYTES = 64 * 1024


class Log(Protocol):
    """An opened log. It is read to its end, also when it is deleted or packed meanwhile."""

    def size(self) -> int:
        """How many bytes are stored."""

    def read(self, start: int, limit: int) -> bytes:
        """At most `limit` bytes from byte `start` on."""

    def line_numbers(self, at: Sequence[int]) -> list[int]:
        """The number of the line, from 1, that each of these bytes lies in."""

    def find_line(self, number: int) -> int | None:
        """The byte with which line `number` (from 1) begins; None where there are not so many."""

    def close(self) -> None:
        """Let go of it."""


class Plain:
    """A log that may still grow."""

    def __init__(self, file: int, *, index: lines.Index) -> None:
        """:param file: its descriptor, which is closed with this."""
        self._file = file
        self._index = index

    def size(self) -> int:
        """How many bytes are stored."""
        return os.fstat(self._file).st_size

    def read(self, start: int, limit: int) -> bytes:
        """At most `limit` bytes from byte `start` on."""
        return pread(self._file, start, limit)

    def line_numbers(self, at: Sequence[int]) -> list[int]:
        """The number of the line, from 1, that each of these bytes lies in."""
        with self._index.lock:
            size_bytes = self.size()
            return [self._index.number(one, read=self.read, size_bytes=size_bytes) for one in at]

    def find_line(self, number: int) -> int | None:
        """The byte with which line `number` (from 1) begins; None where there are not so many."""
        with self._index.lock:
            return self._index.find(number, read=self.read, size_bytes=self.size())

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._file)


class Packed:
    """A whole log."""

    def __init__(self, log: packed.Packed, *, file: File | None = None) -> None:
        """:param file: what it is read from, where that is to be closed."""
        self._log = log
        self._file = file

    def size(self) -> int:
        """How many bytes are stored."""
        return self._log.size_bytes

    def read(self, start: int, limit: int) -> bytes:
        """At most `limit` bytes from byte `start` on."""
        return self._log.read(start, limit)

    def line_numbers(self, at: Sequence[int]) -> list[int]:
        """The number of the line, from 1, that each of these bytes lies in."""
        return self._log.line_numbers(at)

    def find_line(self, number: int) -> int | None:
        """The byte with which line `number` (from 1) begins; None where there are not so many."""
        return self._log.find_line(number)

    def close(self) -> None:
        """Let go of the file."""
        if self._file is not None:
            self._file.close()


class File:
    """A file to read a packed log from."""

    def __init__(self, path: Path) -> None:
        """:raises OSError: if it cannot be opened."""
        self._file = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        self.size_bytes = os.fstat(self._file).st_size

    def read(self, start: int, limit: int) -> bytes:
        """At most so many bytes from there on."""
        return pread(self._file, start, limit)

    def close(self) -> None:
        """Let go of it."""
        os.close(self._file)


def open_packed(path: Path) -> Packed:
    """A packed log on the disk.

    :raises errors.LogUnreadable: if it is damaged as a whole.
    :raises OSError: if there is none, or it cannot be read.
    """
    file = File(path)
    try:
        return Packed(packed.Packed(file, name=path.stem), file=file)
    except BaseException:
        file.close()
        raise


def tail(log: Log, *, start: int, end: int | None, lines: int) -> str:
    """The last lines between two bytes."""
    if lines <= 0:
        return ""
    size_bytes = log.size()
    end = size_bytes if end is None else min(end, size_bytes)
    begin = max(start, end - TAIL_BYTES, 0)
    data = log.read(begin, max(0, end - begin))
    found = data.removesuffix(b"\n").split(b"\n")
    return b"\n".join(found[-lines:]).decode("utf-8", "replace")


def pread(file: int, start: int, limit: int) -> bytes:
    """At most `limit` bytes of a descriptor, fewer only at its end."""
    parts: list[bytes] = []
    while limit > 0 and (part := os.pread(file, limit, start)):
        parts.append(part)
        start += len(part)
        limit -= len(part)
    return b"".join(parts)
