"""One log file: the blocking side of the log store, called on its threads only."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from bot import errors, failpoint

#: How far back `tail` looks for lines.
TAIL_BYTES = 64 * 1024
_SCAN_BYTES = 1024 * 1024


def append(path: Path, *, offset_bytes: int, data: bytes) -> int:
    """See `bot.logs.LogStore.append`.

    :raises OSError: if the disk is full or broken.
    """
    if offset_bytes < 0:
        raise ValueError("an offset is not negative")
    with _locked(path) as file:
        size_bytes = os.fstat(file).st_size
        if offset_bytes > size_bytes:
            raise errors.Conflict(
                f"{path.stem}: bytes {size_bytes} to {offset_bytes} of the log are missing; append from {size_bytes}."
            )
        known = _pread(file, offset_bytes, min(len(data), size_bytes - offset_bytes))
        is_there = _common_length(known, data)
        new = data[is_there:]
        if not new:
            return size_bytes
        if _seal_of(path).exists():
            raise errors.Conflict(f"{path.stem}: the log is sealed; nothing can be appended.")
        begin = offset_bytes + is_there
        _write(file, begin, new)
        return begin + len(new)


def read(path: Path, *, start: int, limit: int) -> bytes:
    """At most `limit` bytes from `start` on."""
    with _opened(path) as file:
        return b"" if file is None else _pread(file, start, limit)


def opened(path: Path) -> int | None:
    """The file opened to be read, or None where there is none; whoever asked closes it."""
    try:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None


def read_opened(file: int, *, start: int, limit: int) -> bytes:
    """At most `limit` bytes of an opened file, also when it is deleted meanwhile."""
    return _pread(file, start, limit)


def list_folders(folder: Path) -> list[Path]:
    """The folders that logs lie in."""
    try:
        with os.scandir(folder) as entries:
            return sorted(Path(entry.path) for entry in entries if entry.is_dir(follow_symlinks=False))
    except FileNotFoundError:
        return []


def list_stems(folder: Path) -> set[str]:
    """What the files of one folder are called, without their endings."""
    with os.scandir(folder) as entries:
        return {Path(entry.name).stem for entry in entries}


def size(path: Path) -> int:
    """The size in bytes; 0 where there is no file."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def line_numbers(path: Path, *, at: Sequence[int]) -> list[int]:
    """The number of the line that each of these bytes lies in, from 1; one pass over the file."""
    numbers = {0: 1}
    with _opened(path) as file:
        done, number = 0, 1
        for offset in sorted(set(at)):
            if file is not None:
                number += sum(chunk.count(b"\n") for _, chunk in _chunks(file, done, offset))
            numbers[offset] = number
            done = max(done, offset)
    return [numbers[offset] for offset in at]


def find_line(path: Path, *, number: int) -> int | None:
    """The byte at which line `number` (from 1) begins."""
    missing = number - 1
    with _opened(path) as file:
        if file is None:
            return None
        if missing <= 0:
            return 0
        end = os.fstat(file).st_size
        for begin, chunk in _chunks(file, 0, end):
            found = chunk.count(b"\n")
            if found >= missing:
                start = begin + _behind_break(chunk, missing)
                return start if start < end else None
            missing -= found
    return None


def tail(path: Path, *, start: int, end: int | None, lines: int) -> str:
    """The last lines between two bytes."""
    with _opened(path) as file:
        if file is None or lines <= 0:
            return ""
        size_bytes = os.fstat(file).st_size
        end = size_bytes if end is None else min(end, size_bytes)
        begin = max(start, end - TAIL_BYTES, 0)
        data = _pread(file, begin, end - begin)
    found = data.removesuffix(b"\n").split(b"\n")
    return b"\n".join(found[-lines:]).decode("utf-8", "replace")


def sync(path: Path) -> None:
    """Make what was appended survive a power cut."""
    with _locked(path) as file:
        _sync(path, file)


def seal(path: Path) -> None:
    """Mark the log as whole, durably."""
    with _locked(path) as file:
        _seal_of(path).touch(mode=0o600)
        failpoint.reach("artifact.mid_write")
        _sync(path, file)


def _sync(path: Path, file: int) -> None:
    os.fdatasync(file)
    _sync_folder(path.parent)
    _sync_folder(path.parent.parent)


def is_sealed(path: Path) -> bool:
    """Whether the log is whole."""
    return _seal_of(path).exists()


def delete(path: Path) -> None:
    """Remove the log and its seal."""
    _seal_of(path).unlink(missing_ok=True)
    path.unlink(missing_ok=True)


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[int | None]:
    file = opened(path)
    try:
        yield file
    finally:
        if file is not None:
            os.close(file)


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[int]:
    """The file, made where it is not there, held alone: also against a second process that is just ending."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield file
    finally:
        os.close(file)


def _write(file: int, begin: int, data: bytes) -> None:
    try:
        os.ftruncate(file, begin)
        written = 0
        if failpoint.is_awaited("log.mid_chunk"):
            written = os.pwrite(file, data[: len(data) // 2], begin)
            failpoint.reach("log.mid_chunk")
        while written < len(data):
            written += os.pwrite(file, data[written:], begin + written)
    except OSError:
        # Half of it must not look like all of it.
        with contextlib.suppress(OSError):
            os.ftruncate(file, begin)
        raise


def _pread(file: int, start: int, limit: int) -> bytes:
    parts: list[bytes] = []
    while limit > 0 and (part := os.pread(file, limit, start)):
        parts.append(part)
        start += len(part)
        limit -= len(part)
    return b"".join(parts)


def _chunks(file: int, begin: int, end: int) -> Iterator[tuple[int, bytes]]:
    while begin < end and (chunk := os.pread(file, min(_SCAN_BYTES, end - begin), begin)):
        yield begin, chunk
        begin += len(chunk)


def _behind_break(chunk: bytes, count: int) -> int:
    at = -1
    for _ in range(count):
        at = chunk.index(b"\n", at + 1)
    return at + 1


def _common_length(known: bytes, data: bytes) -> int:
    if data.startswith(known):
        return len(known)
    return next(index for index, (old, new) in enumerate(zip(known, data, strict=False)) if old != new)


def _seal_of(path: Path) -> Path:
    return path.with_suffix(".sealed")


def _sync_folder(folder: Path) -> None:
    # A new name survives a power cut only when its folder was written.
    file = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(file)
    finally:
        os.close(file)
