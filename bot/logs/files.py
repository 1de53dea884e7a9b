"""One log on the disk: the blocking side of the log store, called on its threads only.

While it grows it is a plain file, whose size says how much of it there is. When it is whole it is packed beside that
and takes its place. Whatever breaks off there leaves the plain log or the packed one, so who reads looks for the plain
one first. A plain file with a seal is whole as well: it could not be packed, or is of an older version.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from bot import errors, failpoint
from bot.logs import lines, packed, reading

_SCAN_BYTES = 1024 * 1024


def append(path: Path, *, index: lines.Index, offset_bytes: int, data: bytes) -> int:
    """See `bot.logs.LogStore.append`.

    :raises OSError: if the disk is full or broken.
    """
    if offset_bytes < 0:
        raise ValueError("an offset is not negative")
    # What begins amid a log that is not here is not made: it would stand before the whole one elsewhere.
    with index.lock, _locked(path, makes=offset_bytes == 0) as file:
        if file is None and packed_of(path).exists():
            return _repeat(path, offset_bytes=offset_bytes, data=data)
        size_bytes = 0 if file is None else os.fstat(file).st_size
        if offset_bytes > size_bytes:
            raise errors.Conflict(
                f"{path.stem}: bytes {size_bytes} to {offset_bytes} of the log are missing; append from {size_bytes}."
            )
        assert file is not None, "it is made where it begins"
        known = reading.pread(file, offset_bytes, min(len(data), size_bytes - offset_bytes))
        is_there = _common_length(known, data)
        new = data[is_there:]
        if not new:
            return size_bytes
        if seal_of(path).exists():
            raise errors.Conflict(f"{path.stem}: the log is sealed; nothing can be appended.")
        begin = offset_bytes + is_there
        index.cut(begin)
        _write(file, begin, new)
        if index.end == begin:
            index.take(new)
        return begin + len(new)


def _repeat(path: Path, *, offset_bytes: int, data: bytes) -> int:
    """Append to a log that is packed: what it has already is welcome."""
    with contextlib.closing(reading.open_packed(packed_of(path))) as log:
        if offset_bytes + len(data) > log.size() or log.read(offset_bytes, len(data)) != data:
            raise errors.Conflict(f"{path.stem}: the log is sealed; nothing can be appended.")
        return log.size()


def opened(path: Path, *, index: lines.Index) -> reading.Log | None:
    """The log, opened to be read; None where there is none. Whoever asked closes it.

    :raises errors.LogUnreadable: if it is damaged as a whole.
    """
    with contextlib.suppress(FileNotFoundError):
        return reading.Plain(os.open(path, os.O_RDONLY | os.O_CLOEXEC), index=index)
    with contextlib.suppress(FileNotFoundError):
        return reading.open_packed(packed_of(path))
    return None


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
        return {entry.name.partition(".")[0] for entry in entries}


def sync(path: Path) -> None:
    """Make what was appended survive a power cut."""
    with _locked(path) as file:
        if file is not None:
            os.fdatasync(file)
            _sync_folders(path)


def seal(path: Path) -> None:
    """Mark the log as whole, durably: packed, or plain with a seal where there is no room to pack it.

    One that is not here stays so: nothing was written, or it lies elsewhere.
    """
    with _locked(path) as file:
        if file is None:
            return
        try:
            _pack(path, file)
        except OSError:
            seal_of(path).touch(mode=0o600)
            os.fdatasync(file)
            _sync_folders(path)


def _pack(path: Path, file: int) -> None:
    new = path.with_suffix(".new")
    try:
        with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), "wb") as into:
            packed.write(_chunks(file), into)
            failpoint.reach("artifact.mid_write")
            into.flush()
            os.fsync(into.fileno())
        new.rename(packed_of(path))
    except OSError:
        with contextlib.suppress(OSError):
            new.unlink(missing_ok=True)
        raise
    _sync_folders(path)
    failpoint.reach("log.packed")
    _remove_plain(path)


def _remove_plain(path: Path) -> None:
    # The seal last: without its file it means nothing, a file without its seal could be appended to.
    path.unlink(missing_ok=True)
    seal_of(path).unlink(missing_ok=True)


def is_sealed(path: Path) -> bool:
    """Whether the log is whole."""
    return packed_of(path).exists() or seal_of(path).exists()


def is_packed(path: Path) -> bool:
    """Whether the log has its packed form."""
    return packed_of(path).exists()


def is_loose(path: Path, *, since: float) -> bool:
    """Whether there is a log that is not packed, and nothing was appended to it since then."""
    try:
        return path.stat().st_mtime < since
    except FileNotFoundError:
        return False


def delete(path: Path) -> None:
    """Remove the log, whatever its form."""
    # In the order in which it is looked for.
    for one in (path, seal_of(path), path.with_suffix(".new"), packed_of(path)):
        one.unlink(missing_ok=True)


def packed_of(path: Path) -> Path:
    """Where the packed form of a log lies."""
    return path.with_suffix(".packed")


def seal_of(path: Path) -> Path:
    """Where the seal of a plain log lies."""
    return path.with_suffix(".sealed")


@contextlib.contextmanager
def _locked(path: Path, *, makes: bool = False) -> Iterator[int | None]:
    """The plain file, held alone: also against a second process that is just ending.

    None where the log is packed already, or not there.

    :param makes: make it where there is no log.
    """
    if makes:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    flags = os.O_RDWR | os.O_CLOEXEC | (os.O_CREAT if makes else 0)
    while True:
        if packed_of(path).exists():
            # What a crash left behind the packing.
            _remove_plain(path)
            yield None
            return
        try:
            file = os.open(path, flags, 0o600)
        except FileNotFoundError:
            if makes or packed_of(path).exists():
                continue
            yield None
            return
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
            # Whoever held it before may have packed it meanwhile.
            if not packed_of(path).exists() and os.fstat(file).st_nlink:
                yield file
                return
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


def _chunks(file: int) -> Iterator[bytes]:
    at = 0
    while chunk := os.pread(file, _SCAN_BYTES, at):
        yield chunk
        at += len(chunk)


def _common_length(known: bytes, data: bytes) -> int:
    if data.startswith(known):
        return len(known)
    return next(index for index, (old, new) in enumerate(zip(known, data, strict=False)) if old != new)


def _sync_folders(path: Path) -> None:
    # A new name survives a power cut only when its folder was written.
    for folder in (path.parent, path.parent.parent):
        sync_folder(folder)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder survive a power cut."""
    file = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(file)
    finally:
        os.close(file)
